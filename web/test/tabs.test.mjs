// Seven tabs of one user, each with an EventSource of the browser, where five streams are allowed over all instances.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { chromiumPath, launchBrowser, Server, until } from './support.mjs';

const TABS = 7;
const ALLOWED = 5;
/** Tabs that take each other's places do so within a second or two, and a browser without a `retry:` waits for three seconds. */
const WATCHED_MS = process.env.PORCHLIGHT_TEST_LONG ? 30_000 : 7_000;
const CONTROL_RETRY_MS = 1_000;

const skip = !chromiumPath && 'there is no Chromium here';
let instances;
let browser;

before(async () => {
  if (skip) return;
  const settings = { PORCHLIGHT_STREAMS_PER_USER: String(ALLOWED), PORCHLIGHT_USER_RATE: '0', PORCHLIGHT_DATABASE_CONNECTIONS: '4' };
  [instances, browser] = await Promise.all([
    Server.start(settings).then(async (first) => [first, await Server.start({ ...settings, ...first.shared })]),
    launchBrowser(),
  ]);
});
after(async () => {
  await browser?.close();
  for (const instance of (instances ?? []).toReversed()) await instance.stop();
});

/** A tab with an EventSource, and what that does. */
async function openTab(context, url, path) {
  const page = await context.newPage();
  await page.goto(url); // the EventSource has this origin
  await page.evaluate((address) => {
    const source = new EventSource(address);
    globalThis.tab = { source, opened: 0, closed: [], received: [] };
    source.addEventListener('open', () => { tab.opened += 1; });
    source.addEventListener('stream:closing', ({ data }) => tab.closed.push(JSON.parse(data).reason));
    source.addEventListener('test:tick', ({ data }) => tab.received.push(JSON.parse(data).data.n));
  }, path);
  return page;
}

const look = (page) => page.evaluate(() => ({ opened: tab.opened, closed: tab.closed, received: tab.received, isOpen: tab.source.readyState === EventSource.OPEN }));
const wait = (ms) => new Promise((wake) => setTimeout(wake, ms));

test('seven tabs over the limit of five do not fight: two of them wait', { skip }, async () => {
  const token = await instances[0].token('agent', 'ann');
  const context = await browser.newContext();
  const requests = [];
  context.on('request', (request) => request.url().includes('/stream?') && requests.push(request.url()));
  const tabs = [];
  for (let n = 0; n < TABS; n += 1) {
    const tab = await openTab(context, `${instances[n % 2].url}/health/live`, `/stream?access_token=${token}`);
    tabs.push(tab);
    await until(`tab ${n} has been open`, async () => (await look(tab)).opened === 1);
  }
  await until('two have made room', async () => (await Promise.all(tabs.map(look))).filter(({ closed }) => closed.length).length === TABS - ALLOWED);
  await wait(WATCHED_MS);
  await instances[0].publish({ type: 'test:tick', module: undefined, data: { n: 1 } });
  await until('those that stayed have the event', async () => (await Promise.all(tabs.map(look))).filter(({ received }) => received.length).length === ALLOWED);
  const seen = await Promise.all(tabs.map(look));
  assert.equal(requests.length, TABS);
  const gone = { opened: 1, closed: ['evicted'], received: [], isOpen: false };
  const stayed = { opened: 1, closed: [], received: [1], isOpen: true };
  // The oldest make room.
  assert.deepEqual(seen, [gone, gone, stayed, stayed, stayed, stayed, stayed]);
  await context.close();
});

test('the same browser comes back often to a stream with a short retry', { skip }, async () => {
  let connects = 0;
  const server = createServer((request, response) => {
    const isStream = request.url === '/stream';
    connects += isStream;
    response.writeHead(200, { 'Content-Type': isStream ? 'text/event-stream' : 'text/html' });
    response.end(isStream ? `retry: ${CONTROL_RETRY_MS}\n\n` : '');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const context = await browser.newContext();
  await openTab(context, `http://127.0.0.1:${server.address().port}/`, '/stream');
  await until('it has come back twice', async () => connects >= 3);
  await context.close();
  server.close();
});
