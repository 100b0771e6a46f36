// The real service behind a proxy that breaks connections: in Node.js, and in Chromium.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { chromiumPath, launchBrowser, Server } from '../../test/support.mjs';
import { FaultProxy } from './fault_proxy.mjs';
import { serveClient } from './pages.mjs';
import { followAndWrite } from './workload.mjs';

// One user sends more here than a user may.
const RATES = { PORCHLIGHT_USER_RATE: '100000', PORCHLIGHT_BROKERAGE_RATE: '100000', PORCHLIGHT_SERVICE_RATE: '100000', PORCHLIGHT_ADDRESS_RATE: '100000' };
const isLong = Boolean(process.env.PORCHLIGHT_TEST_LONG);
const BATCH = isLong ? 20 : 10;
const EVENTS = isLong ? 10_000 : 300;
const WRITES = isLong ? 2_000 : 40;
const FAULTS = isLong ? 500 : 16;
const LIMIT_MS = isLong ? 900_000 : 120_000;

async function publish(server, token, type, count, from = 0) {
  for (let n = from; n < from + count; n += BATCH) {
    const events = Array.from({ length: Math.min(BATCH, from + count - n) }, (_, i) => ({ type, audience: { team: 'team-a' }, data: { n: n + i } }));
    await server.post('/events', token, { events });
    await new Promise((wake) => setTimeout(wake, 20));
  }
}

describe('behind a proxy that breaks connections', { timeout: LIMIT_MS, concurrency: true }, () => {
  let server;
  let pages;

  before(async () => {
    pages = await serveClient();
    server = await Server.start({ PORCHLIGHT_CORS_ORIGINS: pages.url, ...RATES, PORCHLIGHT_STREAMS_PER_USER: '1000' });
  });
  after(async () => {
    pages?.close();
    await server?.stop();
  });

  /** @param {(options: object) => Promise<{seen: number[], versions: object, errors: string[]}>} run */
  async function checked(user, run) {
    const proxy = new FaultProxy(server.url, user.length);
    const url = await proxy.listen();
    try {
      const token = await server.token('agent', user);
      const service = await server.token('service', user);
      const records = [];
      for (let n = 0; n < 5; n += 1) records.push((await server.post('/records/escrows', token, { address: `${n} ${user} St` })).id);
      proxy.left = FAULTS;
      let onConnected = () => {};
      const publishing = new Promise((connected) => { onConnected = connected; }).then(() => publish(server, service, `load:${user}`, EVENTS));
      const outcome = await run({ onConnected, url, token, type: `load:${user}`, records, events: EVENTS, writes: WRITES, limitMs: LIMIT_MS / 2 });
      await publishing;
      assert.deepEqual(outcome.errors, []);
      assert.deepEqual(outcome.seen, Array.from({ length: EVENTS }, (_, n) => n), 'each event once and in order');
      const perRecord = WRITES / records.length;
      for (const id of records) {
        const record = await server.get(`/records/escrows/${id}`, user, 'team-a');
        assert.deepEqual([record.version, record.purchasePrice], [1 + perRecord, perRecord], 'each write once, the last one last');
      }
      assert.ok(proxy.made >= FAULTS / 2, `${proxy.made} faults were made`);
    } finally {
      proxy.close();
    }
  }

  test('a client in Node.js receives each event once and writes each change once', () => checked('node', followAndWrite));

  test('a client in Chromium does, too', { skip: chromiumPath ? false : 'there is no Chromium here' }, async () => {
    const browser = await launchBrowser();
    try {
      const page = await browser.newPage();
      await page.goto(pages.url);
      // The page talks to the proxy, whose origin is not that of the page.
      await checked('chromium', async ({ onConnected, ...options }) => {
        await page.exposeFunction('onConnected', onConnected);
        return page.evaluate(async (given) => {
          const { followAndWrite: run } = await import('/test/workload.mjs');
          return run({ ...given, onConnected: () => globalThis.onConnected() });
        }, options);
      });
    } finally {
      await browser.close();
    }
  });
});
