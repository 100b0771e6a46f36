// What is published: types, sizes, files.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { VERSION } from '../src/version.js';
import { generated, TARGET } from '../scripts/event_types.mjs';
import * as reference from '../scripts/reference.mjs';

const run = promisify(execFile);
const here = fileURLToPath(new URL('..', import.meta.url));
const tsc = fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url));
const check = (...more) => run(process.execPath, [tsc, ...more], { cwd: here }).catch(({ stdout }) => assert.fail(stdout));

const CORE_BYTES = 12 * 1024;

/** The bytes of what a page loads at once, minified and compressed. */
async function coreBytes(source) {
  const { outputFiles, metafile } = await build({
    stdin: { contents: source, resolveDir: here }, bundle: true, minify: true, splitting: true, format: 'esm', outdir: '/out', write: false, metafile: true,
  });
  const outputs = new Map(Object.entries(metafile.outputs).map(([path, output]) => [path.split('/').at(-1), output]));
  const wanted = new Set(['stdin.js']);
  for (const name of wanted) {
    for (const { path, kind } of outputs.get(name).imports) if (kind === 'import-statement') wanted.add(path.split('/').at(-1));
  }
  const all = outputFiles.filter(({ path }) => wanted.has(path.split('/').at(-1))).map(({ contents }) => gzipSync(contents, { level: 9 }).length);
  return all.reduce((sum, bytes) => sum + bytes, 0);
}

/** What React Native's bundler loads from the package: the field `react-native` leaves out files, wherever they are imported. */
async function filesForReactNative({ exports, 'react-native': left }) {
  const leaveOut = {
    name: 'field-react-native',
    setup(builder) {
      const nameOf = ({ path, resolveDir }) => `./${relative(here, join(resolveDir, path))}`;
      builder.onResolve({ filter: /^\./ }, (file) => (left[nameOf(file)] === false ? { path: file.path, namespace: 'empty' } : undefined));
      builder.onLoad({ filter: /.*/, namespace: 'empty' }, () => ({ contents: 'module.exports = {};' }));
    },
  };
  const entryPoints = Object.values(exports).flatMap((entry) => entry.default ?? []);
  const { metafile } = await build({
    entryPoints, absWorkingDir: here, plugins: [leaveOut], packages: 'external', bundle: true, splitting: true, format: 'esm', outdir: '/out', write: false, metafile: true,
  });
  return Object.keys(metafile.inputs).filter((name) => name.startsWith('src/'));
}

describe('the package', () => {
  test('is free of type errors, and its declarations fit an application', async () => {
    await check('-p', 'tsconfig.json');
    const directory = await mkdtemp(join(here, '.types-'));
    try {
      await check('-p', 'tsconfig.types.json', '--outDir', directory);
      await writeFile(join(directory, 'events.d.ts'), await readFile(TARGET));
      assert.equal(await readFile(reference.TARGET, 'utf8'), reference.generated(directory), 'the reference is that of the types: node scripts/reference.mjs');
      await writeFile(join(directory, 'application.ts'), APPLICATION);
      await check('--ignoreConfig', '--strict', '--noEmit', '--module', 'nodenext', '--target', 'es2022', '--lib', 'es2023,dom', '--types', '', join(directory, 'application.ts'));
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test('the types of events are those of openapi.yaml: node scripts/event_types.mjs', async () => {
    assert.equal(await readFile(TARGET, 'utf8'), await generated());
  });

  test('what a page loads at once is small', async () => {
    const bytes = await coreBytes("export { connect } from './src/index.js';");
    console.log(`connect and collections: ${bytes} bytes`);
    assert.ok(bytes < CORE_BYTES, `${bytes} bytes, ${CORE_BYTES} allowed`);
  });

  test('has nothing for React Native that Hermes cannot read', async () => {
    const manifest = JSON.parse(await readFile(join(here, 'package.json'), 'utf8'));
    const files = await filesForReactNative(manifest);
    assert.ok(files.includes('src/tabs/shared_stream.js'), 'what is loaded later counts');
    for (const file of files) assert.doesNotMatch(await readFile(join(here, file), 'utf8'), /import\.meta/, file);
  });

  test('has no dependencies, and all files that it exports', async () => {
    const manifest = JSON.parse(await readFile(join(here, 'package.json'), 'utf8'));
    assert.equal(manifest.dependencies, undefined);
    assert.equal(VERSION, manifest.version, 'tabs with other versions have other streams');
    const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: here });
    const packed = JSON.parse(stdout);
    const files = new Set([packed].flat().flatMap((one) => (one.files ?? Object.values(one)[0].files).map(({ path }) => path)));
    for (const entry of Object.values(manifest.exports)) {
      const path = (entry.default ?? entry).replace('./', '');
      assert.ok(files.has(path), path);
    }
    assert.ok(![...files].some((path) => path.startsWith('test')), 'no tests');
  });
});

const APPLICATION = `
import { activity, connect, notifications, PorchlightError, tasks } from './index.js';
const client = connect({ url: 'http://localhost', token: async () => 'a' });
client.on('escrow:locked', (event, { position }) => { const fence: number = event.data.fence; const at: string | null = position; void [fence, at]; });
client.on('ai:task:progress', (event) => { const percent: number | undefined = event.data.percent; void percent; });
client.on('escrow:updated', (event) => { const version: number | undefined = event.version; void version; });
// @ts-expect-error there is no such field
client.on('escrow:locked', (event) => event.data.nothing);
const escrows = client.records('escrows', { filter: { status: 'open' }, sort: '-createdAt' });
const off: () => void = escrows.subscribe(() => { const first: string = escrows.getSnapshot().records[0].id; void first; });
const state: 'offline' | 'connecting' | 'connected' | 'reconnecting' | 'needs-auth' | 'error' = client.connection.getSnapshot().state;
client.update('escrows', 'e-1', { status: 'closed' }).done.catch((error: PorchlightError) => error.code);
for await (const event of client.stream('listing:*')) void event.type;
const list = tasks(client);
for await (const step of list.follow('t-1')) if (step.is === 'output') { const text: string = step.text; void text; } else if (step.is === 'end') { const ended: string = step.task.state; void ended; }
const unread: number = notifications(client).getSnapshot().unread;
const sentence: string | undefined = activity(client).getSnapshot().activity[0]?.text;
void [off, state, unread, sentence];
export {};
`;
