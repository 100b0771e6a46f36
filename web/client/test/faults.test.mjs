// The real service behind a proxy that breaks connections: in Node.js, in Chromium, and in Firefox.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { chromiumPath, launchBrowser, Server } from '../../test/support.mjs';
import { Firefox, firefoxPath } from './bidi.mjs';
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
const LONG_SILENCES = isLong ? 4 : 0;
const LIMIT_MS = isLong ? 900_000 : 120_000;
/** Silence is noticed after 20 s, and the longest wait before another attempt is 30 s. A busy machine needs some time, too. */
const STUCK_MS = 55_000;
const RECORDS = 5;

const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));

/** Publishes as long as there are faults, so that events and faults meet. */
async function publish(server, token, type, proxy) {
  for (let n = 0; n < EVENTS; n += BATCH) {
    const events = Array.from({ length: BATCH }, (_, i) => ({ type, audience: { team: 'team-a' }, data: { n: n + i } }));
    await server.post('/events', token, { events });
    await sleep(20);
    for (let waited = 0; waited < 50 && proxy.made / FAULTS < n / EVENTS; waited += 1) await sleep(20);
  }
}

describe('behind a proxy that breaks connections', { timeout: 2 * LIMIT_MS, concurrency: true }, () => {
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

  /** @param {(options: object) => Promise<{seen: number[], errors: string[], disconnectedMs: number, withoutEventMs: number}>} run */
  async function checked(user, run) {
    const proxy = new FaultProxy(server.url, user.length, LONG_SILENCES);
    const url = await proxy.listen();
    const began = Date.now();
    try {
      const token = await server.token('agent', user);
      const service = await server.token('service', user);
      const records = [];
      for (let n = 0; n < RECORDS; n += 1) records.push((await server.post('/records/escrows', token, { address: `${n} ${user} St` })).id);
      proxy.left = FAULTS;
      let onConnected = () => {};
      const publishing = new Promise((connected) => { onConnected = connected; }).then(() => publish(server, service, `load:${user}`, proxy));
      const outcome = await run({ onConnected, url, token, type: `load:${user}`, records, events: EVENTS, writes: WRITES, limitMs: LIMIT_MS });
      const { disconnectedMs, withoutEventMs } = outcome;
      console.log(`${user}: ${proxy.made} faults in ${Date.now() - began} ms; at most ${disconnectedMs} ms without a connection, ${withoutEventMs} ms without an event`);
      assert.deepEqual(outcome.errors, []);
      await publishing;
      assert.deepEqual(outcome.seen, Array.from({ length: EVENTS }, (_, n) => n), 'each event once and in order');
      for (const id of records) {
        const record = await server.get(`/records/escrows/${id}`, user, 'team-a');
        assert.deepEqual([record.version, record.purchasePrice], [1 + WRITES / RECORDS, WRITES / RECORDS], 'each write once, the last one last');
      }
      assert.ok(proxy.made >= (isLong ? FAULTS : FAULTS / 2), `${proxy.made} faults were made`);
      assert.ok(Math.max(disconnectedMs, withoutEventMs) < STUCK_MS, 'never stuck');
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

  // Only long tests have a Firefox: it takes seconds to start.
  test('a client in Firefox does, too', { skip: isLong && firefoxPath ? false : 'only with PORCHLIGHT_TEST_LONG, and where Firefox is installed' }, async () => {
    const firefox = await Firefox.start();
    try {
      const run = await firefox.open(pages.url);
      await checked('firefox', async ({ onConnected, ...options }) => {
        await run(`async (given) => {
          const { followAndWrite } = await import('/test/workload.mjs');
          return new Promise((connected) => { globalThis.outcome = followAndWrite({ ...given, onConnected: () => connected(true) }); });
        }`, options);
        onConnected();
        return run('() => globalThis.outcome');
      });
    } finally {
      await firefox.close();
    }
  });
});
