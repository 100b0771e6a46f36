// The hooks, with React 18 and 19. Each version runs the same cases from a bundle of its own.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
const HOOKS_BYTES = 4 * 1024;
const VERSIONS = [{ react: 'react18', 'react-dom': 'react-dom18' }, {}];

/** React opens channels and never closes them, which keeps Node.js running. */
class Channel {
  port1 = { onmessage: null, close() {} };
  port2 = { postMessage: (data) => void setImmediate(() => this.port1.onmessage?.({ data })), close() {} };
}

async function setDocument() {
  const { Window } = await import('happy-dom');
  const window = new Window({ url: 'http://crm.test/' });
  for (const name of ['document', 'HTMLElement', 'HTMLIFrameElement', 'Event', 'MouseEvent']) globalThis[name] = window[name];
  // Node.js has a navigator of its own, some versions of it.
  if (!globalThis.navigator) globalThis.navigator = window.navigator;
  Object.assign(globalThis, { window, MessageChannel: Channel, IS_REACT_ACT_ENVIRONMENT: true });
}

/** Bundles the cases with a version of React, and registers them. */
async function register(alias) {
  const directory = await mkdtemp(join(tmpdir(), 'porchlight-react-'));
  const outfile = join(directory, 'cases.mjs');
  const banner = { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" };
  try {
    await build({
      entryPoints: [join(here, 'react/cases.mjs')], bundle: true, platform: 'node', format: 'esm', outfile, alias, banner, sourcemap: 'inline',
      absWorkingDir: here, logLevel: 'error', ignoreAnnotations: true,
    });
    await import(pathToFileURL(outfile));
  } finally {
    await rm(directory, { recursive: true });
  }
}

await setDocument();
for (const alias of VERSIONS) await register(alias);

/** The bytes of an entry without the client and without React, minified and compressed. */
async function bytesOf(entry, folder) {
  const isOwn = new RegExp(`/src/(${entry}$|${folder}/)`);
  const { outputFiles } = await build({
    entryPoints: [join(here, '../src', entry)], bundle: true, minify: true, format: 'esm', write: false,
    plugins: [{
      name: 'own files only',
      setup: ({ onResolve }) => onResolve({ filter: /./ }, ({ path, resolveDir }) => {
        const isFile = path.startsWith('/') || path.startsWith('.');
        return isFile && isOwn.test(join(path.startsWith('/') ? '' : resolveDir, path)) ? undefined : { path, external: true };
      }),
    }],
  });
  return gzipSync(outputFiles[0].contents, { level: 9 }).length;
}

describe('the bundle', () => {
  for (const [entry, folder] of [['react/index.js', 'react'], ['react_query.js', 'react_query']]) {
    test(`of ${entry} is small`, async () => {
      const bytes = await bytesOf(entry, folder);
      console.log(`${entry}: ${bytes} bytes`);
      assert.ok(bytes < HOOKS_BYTES, `${bytes} bytes, ${HOOKS_BYTES} allowed`);
    });
  }
});
