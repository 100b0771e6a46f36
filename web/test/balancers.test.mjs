// Two instances behind each of nginx, HAProxy and Caddy, with the configurations of `deploy`.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { after, before, describe, test } from 'node:test';
import { BALANCERS, Balancer, missing } from './balancer.mjs';
import { Crowd } from './crowd.mjs';
import { Demo, Person } from './page.mjs';
import { chromiumPath, launchBrowser, Server, until } from './support.mjs';

/** More than the six connections that a browser opens to a host over HTTP/1.1. */
const STREAMS = 8;
const CLIENTS = 35;
const MOST_WAIT_MS = 5_000;
/** Balancers need some time to find out that an instance is back. */
const PAUSE_MS = 2_500;
const UPLOAD_BYTES = 2_000_000;
/** Longer than a test waits, so that no heartbeat tells a balancer that a client has gone. */
const QUIET_SECONDS = '120';

const skip = missing ? `${missing} is missing` : !chromiumPath && 'there is no Chromium here';

describe('behind a balancer', { skip }, () => {
  /** Has the database, and is not behind the balancers. */
  let demo;
  let instances;
  let balancers;
  let browser;
  before(async () => {
    // Three instances must not need more connections than the embedded Postgres allows.
    [demo, browser] = await Promise.all([Demo.start({ PORCHLIGHT_DATABASE_CONNECTIONS: '4' }), launchBrowser()]);
    const settings = { ...demo.server.shared, PORCHLIGHT_DEMO: 'true', PORCHLIGHT_TRUSTED_PROXIES: '1', PORCHLIGHT_DRAIN_SPREAD_SECONDS: '1',
      PORCHLIGHT_HEARTBEAT_SECONDS: QUIET_SECONDS, PORCHLIGHT_DATABASE_CONNECTIONS: '4' };
    instances = await Promise.all([Server.start(settings), Server.start(settings)]);
    const addresses = instances.map(({ url }) => new URL(url).host);
    balancers = await Promise.all(BALANCERS.map((name) => Balancer.start(name, addresses)));
  });
  after(async () => {
    await browser?.close();
    for (const balancer of balancers ?? []) await balancer.stop();
    for (const instance of instances ?? []) await instance.stop();
    await demo?.stop();
  });

  const publish = (type) => demo.server.publish({ type, audience: { team: 'team-a' }, data: {} });

  async function request(balancer, path, options = {}) {
    const sent = https.request(`${balancer.url}${path}`, { rejectUnauthorized: false, ...options });
    sent.end(options.body);
    const [response] = await once(sent, 'response');
    return response;
  }

  async function openStreams() {
    const pages = await Promise.all(instances.map(async ({ url }) => (await fetch(`${url}/metrics`)).text()));
    return pages.reduce((sum, page) => sum + Number(page.match(/^porchlight_streams_open(?:\{.*\})? (\d+)$/m)[1]), 0);
  }

  for (const name of BALANCERS) {
    test(`${name}: an event comes at once over HTTP/1.1, and a client that goes is noticed`, async () => {
      const balancer = balancers.find((one) => one.name === name);
      const before = await openStreams();
      const user = await demo.server.token('agent', 'u-raw');
      const headers = { Authorization: `Bearer ${user}`, 'X-Forwarded-For': '203.0.113.9' };
      const stream = await request(balancer, '/stream/team', { headers });
      assert.equal(stream.headers['content-type'], 'text/event-stream');
      let text = '';
      stream.setEncoding('utf8').on('data', (part) => { text += part; }).on('error', () => {});
      await until('the stream is ready', async () => text.includes('locks:snapshot'));
      await publish(`test:${name}`);
      await until('the event is there', async () => text.includes(`test:${name}`));
      const admin = { Authorization: `Bearer ${await demo.server.token('admin', 'u-admin')}` };
      const { connections } = await (await fetch(`${demo.url}/admin/connections`, { headers: admin })).json();
      // What a client says of itself does not count.
      assert.deepEqual(connections.filter(({ userId }) => userId === 'u-raw').map(({ address }) => address), ['127.0.0.1']);
      assert.equal(await openStreams(), before + 1);
      stream.destroy();
      await until('the instance knows that the client has gone', async () => (await openStreams()) === before);
    });

    test(`${name}: http leads to https, and a page of http may not call`, async () => {
      const balancer = balancers.find((one) => one.name === name);
      const [plain] = await once(http.get(`http://127.0.0.1:${balancer.plainPort}/inspector`), 'response');
      assert.match(String(plain.statusCode), /^30[18]$/);
      assert.match(plain.headers.location, /^https:\/\/127\.0\.0\.1(:\d+)?\/inspector$/);
      plain.resume();
      const headers = { Authorization: `Bearer ${await demo.server.token('service')}`, Origin: balancer.url.replace('https', 'http') };
      const refused = await request(balancer, '/events', { method: 'POST', headers, body: '{}' });
      assert.equal(refused.statusCode, 403);
      refused.resume();
    });
  }

  /** Opens streams of as many users in a page. They count what they receive, and how often they were cut. */
  const openMany = (page, tokens) => page.evaluate((tokens) => {
    globalThis.streams = tokens.map((token) => {
      const seen = { types: [], cuts: 0 };
      const source = new EventSource(`/stream/team?named=false&access_token=${token}`);
      source.onmessage = ({ data }) => seen.types.push(JSON.parse(data).type);
      source.addEventListener('error', () => { seen.cuts += 1; });
      return seen;
    });
  }, tokens);

  const haveAll = (page, type) => until(`all streams have ${type}`, () => page.evaluate((type) => globalThis.streams.every(({ types }) => types.includes(type)), type));

  /** Without an instance, a stream is empty, and other requests fail. */
  async function isAway(balancer, token) {
    const headers = { Authorization: `Bearer ${token}` };
    const stream = await request(balancer, '/stream/team', { headers });
    assert.deepEqual([stream.statusCode, stream.headers['content-type']], [200, 'text/event-stream'], balancer.name);
    stream.resume();
    const other = await request(balancer, '/session', { headers });
    assert.match(String(other.statusCode), /^50[234]$/, balancer.name);
    other.resume();
  }

  test('a browser uses HTTP/2, has more than six streams, posts, uploads, and goes on when an instance is killed', async () => {
    const names = Array.from({ length: STREAMS }, (_, number) => `u-${number}`);
    const tokens = await Promise.all(names.map((name) => demo.server.token('agent', name)));
    const people = await Promise.all(balancers.map(({ url }) => Person.open(browser, { url }, 'bob', { ignoreHTTPSErrors: true })));
    const pages = people.map(({ page }) => page);
    /** Why POSTs got no answer: a page only sees that they failed. */
    const faults = [];
    for (const page of pages) page.on('requestfailed', (request) => request.method() === 'POST' && faults.push(request.failure().errorText));
    for (const page of pages) {
      const protocols = await page.evaluate(() => performance.getEntriesByType('navigation').map(({ nextHopProtocol }) => nextHopProtocol));
      assert.deepEqual(protocols, ['h2']);
      await openMany(page, tokens);
    }
    // Streams that wait for a connection would never be ready.
    for (const page of pages) await haveAll(page, 'stream:ready');
    await publish('test:first');
    for (const page of pages) await haveAll(page, 'test:first');
    const post = (page, path, token, body) => page.evaluate(async ({ path, token, body }) => {
      const headers = { Authorization: `Bearer ${token}`, 'Content-Type': typeof body === 'number' ? 'text/csv' : 'application/json' };
      const sent = typeof body === 'number' ? `name\n${'x'.repeat(body)}` : JSON.stringify(body);
      return (await fetch(path, { method: 'POST', headers, body: sent })).status;
    }, { path, token, body });
    for (const [number, page] of pages.entries()) {
      for (const [path, body, status] of [['/presence/heartbeat', { session: 'tab-1', status: 'online' }, 200], ['/uploads', UPLOAD_BYTES, 201]]) {
        const answered = await post(page, path, tokens[0], body).catch((error) => error.message);
        assert.equal(answered, status, `${balancers[number].name}, ${path}: ${faults}`);
      }
    }
    await instances[0].kill();
    await publish('test:second');
    for (const page of pages) await haveAll(page, 'test:second');
    // Without any instance, an EventSource that got an error would have no more attempts.
    await instances[1].kill();
    for (const balancer of balancers) await isAway(balancer, tokens[0]);
    await Promise.all(instances.map((instance) => instance.run()));
    await publish('test:third');
    for (const page of pages) await haveAll(page, 'test:third');
    const cuts = await Promise.all(pages.map((page) => page.evaluate(() => globalThis.streams.reduce((sum, { cuts }) => sum + cuts, 0))));
    assert.ok(cuts.every((count) => count > 0), `some streams were at the instance: ${cuts}`);
    for (const person of people) {
      await person.isLive();
      await person.context.close();
    }
  });

  test('a rolling restart loses nothing, and nobody waits long', async () => {
    const crowds = balancers.map(({ name, url }) => new Crowd({ name, url, clients: CLIENTS, teams: 7, eventsPerSecond: 10 }));
    try {
      await Promise.all(crowds.map((crowd) => crowd.open()));
      for (const crowd of crowds) crowd.startPublishing();
      for (const instance of instances) {
        await instance.restart();
        await new Promise((wake) => setTimeout(wake, PAUSE_MS));
      }
      await Promise.all(crowds.map((crowd) => crowd.stopPublishing()));
      await until('all have all events', async () => crowds.every(({ isComplete }) => isComplete));
      for (const crowd of crowds) {
        const { lost, repeated, outOfOrder, resets, published, longestWaitMs, ends } = crowd.summary();
        const what = `${crowd.name}: ${JSON.stringify(crowd.summary())}`;
        assert.deepEqual({ lost, repeated, outOfOrder, resets }, { lost: 0, repeated: 0, outOfOrder: 0, resets: 0 }, what);
        assert.ok(published > 0 && longestWaitMs < MOST_WAIT_MS, what);
        // No stream was cut, and nobody was sent away by the balancer.
        assert.deepEqual(Object.keys(ends), ['drain'], what);
      }
    } finally {
      for (const crowd of crowds) crowd.close();
    }
  });
});
