// A page at the real service: writes that wait through a reload, and memory that does not grow.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { chromiumPath, launchBrowser, Server, until } from '../../test/support.mjs';
import { serveClient } from './pages.mjs';

const skip = chromiumPath ? false : 'there is no Chromium here';
const isLong = Boolean(process.env.PORCHLIGHT_TEST_LONG);
const WRITES = 20;
const EVENTS = isLong ? 100_000 : 6_000;
/** What caches fill before the first measurement. */
const WARM = isLong ? 10_000 : 3_000;
const BATCH = 500;
/** Compiled code and caches of the browser come and go; 100,000 events that were kept are 50 MB. */
const MORE_BYTES = 2_000_000;
const RATES = { PORCHLIGHT_USER_RATE: '100000', PORCHLIGHT_BROKERAGE_RATE: '100000', PORCHLIGHT_SERVICE_RATE: '100000', PORCHLIGHT_ADDRESS_RATE: '100000' };

describe('a page of Chromium', { skip, timeout: 600_000 }, () => {
  let server;
  let pages;
  let browser;

  before(async () => {
    pages = await serveClient();
    [server, browser] = await Promise.all([Server.start({ PORCHLIGHT_CORS_ORIGINS: pages.url, ...RATES }), launchBrowser()]);
  });
  after(async () => {
    await browser?.close();
    pages?.close();
    await server?.stop();
  });

  /** A client with a live list in `globalThis`. */
  const connectIn = (page, given) => page.evaluate(async ({ url, token, hasWorker }) => {
    const { connect, createEnvironment } = await import('/src/index.js');
    globalThis.client = connect({ url, token, mergeMs: 0, warnsBeforeUnload: false, environment: createEnvironment(hasWorker ? {} : { SharedWorker: null }) });
    globalThis.list = client.records('escrows');
    list.subscribe(() => {});
  }, { url: server.url, ...given });
  const pendingIn = (page) => page.evaluate(() => client.outbox.pending());

  test('sends 20 writes made offline once each and in order, after a reload, although the first answer was lost; and a conflict shows both values', async () => {
    const token = await server.token('agent', 'ann');
    const [first, second] = [await server.post('/records/escrows', token, { address: '1 Oak St' }), await server.post('/records/escrows', token, { address: '2 Oak St', purchasePrice: 1 })];
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(pages.url);
    await connectIn(page, { token, hasWorker: true });
    await page.waitForFunction(() => list.getSnapshot().records.length >= 2 && client.connection.getSnapshot().state === 'connected');
    const { position } = await page.evaluate(() => client.connection.getSnapshot());
    const api = `${server.url}/**`;
    await context.route(api, (route) => route.abort());
    await page.evaluate(async ([id, other, writes]) => {
      for (let n = 1; n < writes; n += 1) client.update('escrows', id, { purchasePrice: n, city: `Town ${n}` });
      client.update('escrows', other, { purchasePrice: 7 });
      await client.outbox.flush();
    }, [first.id, second.id, WRITES]);
    await until('all are stored', async () => (await pendingIn(page)).length === WRITES);
    const theirs = await fetch(`${server.url}/records/escrows/${second.id}`, {
      method: 'PATCH', body: '{"purchasePrice":9}', headers: { Authorization: `Bearer ${await server.token('agent', 'bob')}`, 'Content-Type': 'application/merge-patch+json' },
    });
    assert.equal(theirs.status, 200);
    await page.reload();
    await connectIn(page, { token, hasWorker: true });
    await until('they are there after the reload', async () => (await pendingIn(page)).length === WRITES);
    // The first one arrives, and its answer does not.
    let lost = 0;
    await context.unroute(api);
    await context.route(`${server.url}/records/escrows/*`, async (route) => {
      if (route.request().method() !== 'PATCH' || lost > 0) return route.fallback();
      lost += 1;
      await route.fetch();
      return route.abort();
    });
    await page.evaluate(() => client.retry());
    await until('only the conflict waits', async () => (await pendingIn(page)).every(({ state }) => state === 'conflict'));
    assert.equal(lost, 1);
    const [{ id, conflict }] = await pendingIn(page);
    assert.deepEqual([conflict.fields, conflict.mine, conflict.theirs], [['purchasePrice'], { purchasePrice: 7 }, { purchasePrice: 9 }]);
    assert.equal(await page.evaluate((other) => list.get(other)?.purchasePrice, second.id), 7, 'the user sees their own value');
    await page.evaluate((write) => client.outbox.resolve(write, 'mine'), id);
    await until('nothing waits', async () => (await pendingIn(page)).length === 0);
    const { events } = await server.get(`/events?after=${position}&records=escrows/${first.id},escrows/${second.id}`, 'ann', 'team-a');
    const arrived = (of) => events.filter(({ recordId }) => recordId === of.id).map(({ changes }) => changes.purchasePrice);
    assert.deepEqual(arrived(first), Array.from({ length: WRITES - 1 }, (_, n) => n + 1), 'each once and in order');
    assert.deepEqual(arrived(second), [9, 7]);
    await context.close();
  });

  test(`keeps nothing of ${EVENTS} events`, async () => {
    const token = await server.token('agent', 'heap');
    const service = await server.token('service', 'heap');
    const record = await server.post('/records/escrows', token, { address: '3 Oak St' });
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(pages.url);
    // Without a worker the page has everything: the hub of the tabs, the stream, and the list.
    await connectIn(page, { token, hasWorker: false });
    await page.evaluate(() => {
      globalThis.seen = 0;
      client.on('escrow:updated', () => { seen += 1; });
      return new Promise((done) => list.subscribe(() => list.getSnapshot().status === 'ready' && done()));
    });
    const cdp = await context.newCDPSession(page);
    let { version } = record;
    async function publish(until_) {
      while (version - record.version < until_) {
        const events = Array.from({ length: BATCH }, () => {
          version += 1;
          return { type: 'escrow:updated', audience: { team: 'team-a' }, module: 'escrows', recordId: record.id, version, changes: { purchasePrice: version } };
        });
        await server.post('/events', service, { events });
      }
      await page.waitForFunction((all) => seen >= all, until_, { timeout: 300_000 });
      await cdp.send('HeapProfiler.collectGarbage');
      return (await cdp.send('Runtime.getHeapUsage')).usedSize;
    }
    const before = await publish(WARM);
    const afterwards = await publish(EVENTS);
    console.log(`the heap after ${WARM} events: ${before} bytes, after ${EVENTS}: ${afterwards}`);
    assert.equal(await page.evaluate((id) => list.get(id).purchasePrice, record.id), version);
    assert.ok(afterwards - before < MORE_BYTES, `${afterwards - before} bytes more`);
    await context.close();
  });
});
