// The JavaScript of the documents, run as it is printed: in the console of the page.
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { launchBrowser, Server, until } from './support.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PLACES = ['README.md', 'docs', 'examples', 'clients', 'web/client'];
const BLOCK = /^(?<mark><!-- not run: .+ -->\n)?```js\n(?<code>.*?)^```$/gms;

/** The Markdown files at a place. */
async function documentsAt(place) {
  if (place.endsWith('.md')) return [place];
  const entries = await readdir(join(ROOT, place), { withFileTypes: true }).catch(() => []);
  const inside = entries.filter(({ name }) => name.endsWith('.md') || (!name.includes('.') && name !== 'node_modules'));
  return (await Promise.all(inside.map(({ name }) => documentsAt(join(place, name))))).flat();
}

/** The blocks of JavaScript of a document, except those that say why they are not run. */
const blocksOf = (text) => [...text.matchAll(BLOCK)].filter(({ groups }) => !groups.mark).map(({ groups }) => groups.code);

/** A page with a token, and what goes wrong on it. */
async function openConsole(browser, server) {
  const page = await browser.newPage();
  const errors = [];
  const said = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => (message.type() === 'error' ? errors : said).push(message.text()));
  await page.goto(`${server.url}/#token=${await server.token('agent', 'bob', 'team-a', 'acme')}`);
  const session = await page.context().newCDPSession(page);
  /** Runs code as the console of a browser does: it may await, and its names stay. */
  const run = async (expression) => {
    const { exceptionDetails } = await session.send('Runtime.evaluate', { expression, replMode: true, awaitPromise: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  };
  return { page, errors, said, run };
}

let server;
let browser;
before(async () => {
  server = await Server.start({ PORCHLIGHT_DEMO: 'true', PORCHLIGHT_STREAMS_PER_USER: '50' });
  browser = await launchBrowser();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test('the JavaScript of every document runs in a browser', async () => {
  const names = (await Promise.all(PLACES.map(documentsAt))).flat();
  let blocks = 0;
  for (const name of names) {
    const found = blocksOf(await readFile(join(ROOT, name), 'utf8'));
    if (found.length === 0) continue;
    const { page, errors, run } = await openConsole(browser, server);
    for (const code of found) {
      await run(code).catch((error) => assert.fail(`${name}: ${error.message}\n${code}`));
    }
    await page.waitForTimeout(200); // for handlers of what it has begun
    assert.deepEqual(errors, [], name);
    await page.close();
    blocks += found.length;
  }
  assert.ok(blocks >= 5, `${blocks} blocks were found`);
});

test('the README shows a change as it is made, and its stream comes back after an answer that ends an EventSource', async () => {
  const { page, said, run } = await openConsole(browser, server);
  for (const code of blocksOf(await readFile(join(ROOT, 'README.md'), 'utf8'))) await run(code);
  await until('the change is logged', async () => said.length > 0);
  const [listen] = blocksOf(await readFile(join(ROOT, 'docs/TOUR.md'), 'utf8')).filter((code) => code.includes('function listen('));
  let refusals = 0;
  await page.route('**/stream?*', (route) => (refusals++ < 1 ? route.fulfill({ status: 502 }) : route.continue()));
  await run(listen);
  await until('it is connected', async () => said.some((line) => line.startsWith('connected')));
  assert.ok(refusals >= 2, `${refusals} requests`);
  await page.close();
});

test('a block that fails is noticed', async () => {
  const { page, run } = await openConsole(browser, server);
  const text = '```js\nconst a = 1;\n```\n<!-- not run: an excerpt -->\n```js\n…\n```\n```js\nawait nothing.there();\n```\n';
  const [first, second] = blocksOf(text);
  await run(first);
  await assert.rejects(run(second), /nothing is not defined/);
  await page.close();
});
