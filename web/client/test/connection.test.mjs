// The connection: its states, its retries, its transports, its tokens.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { statesOf, world } from './support.mjs';

const broker = { broker: true };
const sold = (recordId) => ({ type: 'listing:sold', module: 'listings', recordId });

describe('a connection', () => {
  test('is connected once the stream has begun', async () => {
    const { open, service, state } = world();
    const { client } = await open();
    const { state: name, reason, nextRetryAt, transport, position, pendingWrites, isLost } = state(client);
    assert.deepEqual([name, reason, nextRetryAt, transport, position, pendingWrites, isLost], ['connected', null, null, 'fetch', service.log.position, 0, false]);
    assert.equal(service.requests[0].headers.authorization.startsWith('Bearer '), true);
  });

  test('receives each event once, also after it was cut off inside of one', async () => {
    const { open, service, clock, state } = world();
    const { client } = await open();
    const seen = [];
    client.on('listing:*', (event, { position }) => seen.push([event.recordId, position]));
    service.publish(broker, sold('l-1'));
    await clock.advance(200);
    service.faults.add({ kind: 'cut', path: '/stream', bytes: 330 }, { kind: 'cut', path: '/stream', bytes: 500, reset: true });
    service.streams.cut();
    await clock.advance(0);
    assert.deepEqual([state(client).state, state(client).reason], ['reconnecting', 'ended']);
    service.publish(broker, sold('l-2'));
    service.publish(broker, sold('l-3'));
    await clock.advance(20_000);
    assert.deepEqual(seen.map(([id]) => id), ['l-1', 'l-2', 'l-3']);
    assert.equal(seen[2][1], service.log.position);
    assert.equal(state(client).state, 'connected');
  });

  test('waits 1, 2, 4, 8 and at most 30 seconds with full jitter', async () => {
    const { open, service, clock, state } = world();
    service.retryMs = 0;
    service.faults.add({ kind: 'status', path: '/stream', times: 8 });
    const { client } = await open();
    const waits = [];
    for (let n = 0; n < 8; n += 1) {
      const { nextRetryAt } = state(client);
      waits.push(nextRetryAt - clock.now());
      await clock.advance(waits.at(-1));
    }
    assert.deepEqual(waits, [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
    assert.equal(state(client).state, 'connected');
  });

  test('honours retry, Retry-After and the time that a stream says at its end', async () => {
    const { open, service, clock, state } = world();
    service.retryMs = 2_500;
    const { client } = await open();
    const wait = () => state(client).nextRetryAt - clock.now();
    service.streams.cut();
    await clock.advance(0);
    assert.equal(wait(), 2_500);
    service.faults.add({ kind: 'status', path: '/stream', status: 503, headers: { 'Retry-After': '7' } });
    await clock.advance(2_500);
    assert.equal(wait(), 7_000);
    await clock.advance(7_000);
    service.streams.drain(4_000);
    await clock.advance(0);
    assert.deepEqual([state(client).reason, wait()], ['drain', 4_000]);
  });

  test('is an error after five failures, with a retry, and goes on trying', async () => {
    const { open, service, clock, state } = world();
    service.faults.add({ kind: 'reset', path: '/stream', times: 9 });
    const { client } = await open();
    const seen = statesOf(client);
    await clock.advance(20_000);
    assert.deepEqual([seen.at(-1), state(client).failures >= 5], [['error', 'network'], true]);
    assert.ok(state(client).nextRetryAt - clock.now() <= 30_000);
    service.faults.clear();
    client.retry();
    await clock.advance(0);
    assert.equal(state(client).state, 'connected');
  });

  test('tells of a loss after 5 seconds, and of a long one after 5 minutes', async () => {
    const { open, service, clock, state, } = world();
    const { client, diagnostics } = await open();
    service.faults.add({ kind: 'reset', path: '/stream', times: 1_000 });
    service.streams.cut();
    await clock.advance(4_900);
    assert.equal(state(client).isLost, false);
    await clock.advance(200);
    assert.equal(state(client).isLost, true);
    await clock.advance(300_000);
    assert.equal(state(client).isDisconnectedLong, true);
    assert.deepEqual(diagnostics.filter(({ message }) => /lost|long/.test(message)).map(({ message }) => message), ['lost', 'disconnected-long']);
    service.faults.clear();
    await clock.advance(30_000);
    const { isLost, isDisconnectedLong } = state(client);
    assert.deepEqual([isLost, isDisconnectedLong], [false, false]);
  });

  test('notices silence within 20 seconds, also where heartbeats are rare', async () => {
    const { open, service, clock, state } = world();
    service.heartbeatSeconds = 60;
    const { client } = await open();
    await clock.advance(60_000);
    assert.equal(state(client).state, 'connected');
    assert.equal(service.count('/stream'), 1);
    service.streams.mute();
    const since = clock.now();
    const seen = statesOf(client);
    while (seen.length === 0) await clock.advance(500);
    assert.deepEqual(seen, [['reconnecting', 'silence']]);
    assert.ok(clock.now() - since <= 20_500, `${clock.now() - since} ms`);
    await clock.advance(2_000);
    assert.equal(state(client).state, 'connected');
  });

  test('notices silence also after the clock was set back, and not sooner', async () => {
    const { open, service, clock, state } = world();
    const { client } = await open();
    await clock.advance(5_000);
    clock.setBack(3_600_000);
    await clock.advance(60_000);
    assert.deepEqual([state(client).state, service.count('/stream')], ['connected', 1]);
    clock.setBack(3_600_000);
    service.streams.mute();
    const seen = statesOf(client);
    await clock.advance(40_500);
    assert.deepEqual(seen[0], ['reconnecting', 'silence']);
  });

  test('stops at 401, 403 and 204 only', async () => {
    for (const [status, name] of [[403, 'error'], [204, 'offline']]) {
      const { open, service, clock, state } = world();
      service.faults.add({ kind: 'status', path: '/stream', status });
      const { client } = await open();
      assert.deepEqual([state(client).state, state(client).nextRetryAt], [name, null]);
      await clock.advance(120_000);
      assert.equal(service.count('/stream'), 0);
      client.retry();
      await clock.advance(0);
      assert.equal(state(client).state, 'connected');
    }
    const { open, service, clock, state } = world();
    service.faults.add({ kind: 'expired', path: '/stream', times: 2 });
    const { client } = await open();
    assert.deepEqual([state(client).state, state(client).reason], ['needs-auth', 'token_expired']);
    await clock.advance(120_000);
    assert.equal(service.count('/stream'), 2);
    client.setToken(service.token());
    await clock.advance(0);
    assert.equal(state(client).state, 'connected');
  });

  test('without a user it needs one', async () => {
    const { open, clock, state } = world();
    const { client } = await open({ token: async () => null });
    assert.deepEqual([state(client).state, state(client).reason], ['needs-auth', 'no-token']);
    await clock.advance(60_000);
  });

  test('a token callback that fails or never answers counts as a failure', async () => {
    const { open, service, clock, state } = world();
    let calls = 0;
    const token = () => {
      calls += 1;
      if (calls === 1) throw new Error('the login is away');
      if (calls === 2) return new Promise(() => {});
      return service.token();
    };
    const { client } = await open({ token });
    assert.equal(state(client).reason, 'token');
    await clock.advance(1_000);
    await clock.advance(10_000);
    assert.equal(state(client).failures, 2);
    await clock.advance(2_000);
    assert.equal(state(client).state, 'connected');
  });

  test('asks for a token before each connect, and uses the last one if there is no other', async () => {
    const { open, service, clock, state } = world();
    let asked = 0;
    const callbacks = [() => service.token(), () => service.token(), () => { throw new Error('the login is away'); }, () => new Promise(() => {})];
    const { client } = await open({ token: () => callbacks[asked++]() });
    for (let n = 1; n < callbacks.length; n += 1) {
      assert.deepEqual([asked, service.count('/stream'), state(client).state], [n, n, 'connected']);
      service.streams.cut();
      await clock.advance(5_000);
    }
    assert.deepEqual([asked, service.count('/stream'), state(client).state], [4, 4, 'connected']);
    const used = service.requests.filter(({ path }) => path === '/stream').map(({ headers }) => headers.authorization);
    assert.equal(new Set(used).size, 2);
  });

  test('renews the open stream before its token ends', async () => {
    const { open, service, clock, state } = world();
    const seconds = 300;
    let asked = 0;
    const { client } = await open({ token: () => (asked += 1, service.token({ seconds })) });
    await clock.advance(3_600_000);
    assert.equal(service.count('/stream'), 1);
    assert.ok(service.count('/sessions/renew') >= 12);
    assert.equal(state(client).state, 'connected');
    const before = asked;
    service.streams.cut();
    clock.sleep(400_000);
    await clock.advance(30_000);
    assert.ok(asked > before);
    assert.equal(state(client).state, 'connected');
  });

  test('renews as often where the computer has a wrong clock', async () => {
    for (const [aheadMs, canRenew] of [[3_600_000, true], [3_600_000, false], [870_000, true], [-3_600_000, true]]) {
      const { clock, service, open, state } = world();
      service.canRenew = canRenew;
      service.faults.add({ kind: 'delay', path: '/sessions/renew', ms: 25, times: 100_000 });
      const now = () => clock.now() + aheadMs;
      const { client } = await open({ token: () => service.token({ seconds: 900 }), environment: { now } });
      await clock.advance(9_000);
      const renewals = () => service.count('/sessions/renew');
      assert.ok(renewals() <= 1, `${renewals()} renewals in the first seconds, ${aheadMs} ms ahead`);
      for (let n = 0; n < 45; n += 1) await clock.advance(60_000);
      assert.ok(renewals() >= 3 && renewals() <= 5, `${renewals()} renewals in 45 minutes, ${aheadMs} ms ahead`);
      if (canRenew) assert.equal(service.count('/stream'), 1);
      assert.equal(state(client).state, 'connected');
    }
  });

  test('renews the open stream with a token that is set, also when a request uses that first', async () => {
    for (const hasRequest of [false, true]) {
      const { open, service, clock, state } = world();
      const { client } = await open({ token: service.token({ seconds: 300 }) });
      await clock.advance(1_000);
      client.setToken(service.token({ seconds: 3_600 }));
      if (hasRequest) client.request('GET', '/tasks');
      await clock.advance(600_000);
      assert.deepEqual([service.count('/sessions/renew'), service.count('/stream'), state(client).state], [1, 1, 'connected']);
    }
  });

  test('where the service cannot renew, the stream is opened again before the token ends', async () => {
    const { open, service, clock } = world();
    service.canRenew = false;
    const { client } = await open({ token: () => service.token({ seconds: 300 }) });
    const seen = [];
    client.on('listing:sold', ({ recordId }) => seen.push(recordId));
    const lost = statesOf(client);
    for (let n = 0; n < 20; n += 1) {
      service.publish(broker, sold(`l-${n}`));
      await clock.advance(60_000);
    }
    assert.equal(seen.length, 20);
    assert.ok(service.count('/stream') >= 4);
    assert.deepEqual(lost.filter(([state]) => state === 'needs-auth' || state === 'error'), []);
  });

  test('wakes on online, visibilitychange and pageshow', async () => {
    for (const wake of ['online', 'visibilitychange', 'pageshow']) {
      const { open, service, clock, state } = world();
      const { client, page } = await open();
      service.faults.add({ kind: 'reset', path: '/stream', times: 3 });
      service.streams.cut();
      await clock.advance(2_000);
      service.faults.clear();
      assert.notEqual(state(client).state, 'connected');
      page.emit(wake);
      await clock.advance(0);
      assert.equal(state(client).state, 'connected', wake);
    }
  });

  test('after the device has slept it does not trust the old stream', async () => {
    const { open, service, clock, state } = world();
    const { client, page } = await open();
    clock.sleep(600_000);
    page.emit('visibilitychange', { isVisible: true });
    await clock.advance(0);
    assert.equal(service.count('/stream'), 2);
    assert.equal(state(client).state, 'connected');
  });

  test('is offline at once when the browser says so, and connects when it is online', async () => {
    const { open, service, clock, state } = world();
    const { client, page } = await open();
    page.emit('offline');
    await clock.advance(0);
    assert.deepEqual([state(client).state, state(client).nextRetryAt - clock.now()], ['offline', 30_000]);
    page.emit('online');
    await clock.advance(0);
    assert.equal(state(client).state, 'connected');
    assert.equal(service.streams.open.size, 1);
  });

  test('a first byte that is late changes the transport, a short connection does not', async () => {
    const { open, service, clock, state } = world();
    service.faults.add({ kind: 'silence', path: '/stream', bytes: 0, times: 100 });
    const { client } = await open();
    const seen = [];
    client.on('listing:sold', ({ recordId }) => seen.push(recordId));
    await clock.advance(6_000);
    assert.deepEqual([state(client).state, state(client).transport], ['connected', 'poll']);
    service.publish(broker, sold('l-1'));
    await clock.advance(1_000);
    service.publish(broker, sold('l-2'));
    await clock.advance(40_000);
    assert.deepEqual(seen, ['l-1', 'l-2']);
    service.faults.clear();
    await clock.advance(300_000);
    assert.deepEqual([state(client).state, state(client).transport], ['connected', 'fetch']);

    const other = world();
    const { client: short } = await other.open();
    for (let n = 0; n < 10; n += 1) {
      other.service.streams.cut();
      await other.clock.advance(1_500);
    }
    assert.deepEqual([other.state(short).state, other.state(short).transport], ['connected', 'fetch']);
  });

  test('a reset is passed on, and the stream goes on from there', async () => {
    const { open, service, clock } = world();
    for (let n = 0; n < 5; n += 1) service.publish(broker, sold(`old-${n}`));
    const { client } = await open();
    const seen = [];
    client.onReset(({ reason, position }) => seen.push([reason, position]));
    client.on('listing:sold', ({ recordId }) => seen.push(recordId));
    service.faults.add({ kind: 'reset', path: '/stream', times: 2 });
    service.streams.cut();
    await clock.advance(0);
    for (let n = 0; n < 5; n += 1) service.publish(broker, sold(`missed-${n}`));
    service.log.expire(8);
    await clock.advance(10_000);
    service.publish(broker, sold('new'));
    await clock.advance(1_000);
    assert.deepEqual(seen, [['expired', '10-fake01'], 'new']);
  });

  test('the cursor survives a reload of the page', async () => {
    const { open, service, clock } = world();
    const { client, page } = await open();
    client.on('listing:sold', () => {});
    service.publish(broker, sold('l-1'));
    await clock.advance(200);
    await client.close();
    service.publish(broker, sold('l-2'));
    const seen = [];
    await open({ page, before: (reloaded) => reloaded.on('listing:sold', ({ recordId }) => seen.push(recordId)) });
    await clock.advance(200);
    assert.deepEqual(seen, ['l-2']);
  });

  test('streams that end each other do so ever more slowly', async () => {
    const { open, service, clock } = world();
    await open();
    for (let n = 0; n < 300; n += 1) {
      for (const stream of [...service.streams.open]) stream.close('evicted', 1_000);
      await clock.advance(1_000);
    }
    assert.ok(service.count('/stream') < 40, `${service.count('/stream')} streams in five minutes`);
  });

  test('leaves no timer and no listener behind', async () => {
    const { open, service, clock } = world();
    const { client, page } = await open();
    client.on('*', () => {});
    service.publish(broker, sold('l-1'));
    await clock.advance(50);
    await client.close();
    await clock.advance(15_000); // the service's own
    assert.deepEqual([clock.pending, page.listeners, service.streams.open.size], [0, 0, 0]);
  });
});
