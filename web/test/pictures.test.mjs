// The pictures of the documents can still be taken.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { chromiumPath } from './support.mjs';

test('the pictures of the documents are taken from the demo', { skip: chromiumPath ? false : 'there is no Chromium here' }, async () => {
  const script = fileURLToPath(new URL('../pictures.mjs', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [script, '--check']);
  assert.deepEqual(stdout.match(/^page\S*/gm), ['page.webp:', 'page-dark.webp:', 'page-phone.webp:']);
});
