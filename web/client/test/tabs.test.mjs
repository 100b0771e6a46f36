// One stream for all tabs of a browser, in fake time.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import '../src/tabs/shared_stream.js';
import { Browser } from './browser.mjs';
import { IDBFactory } from 'fake-indexeddb';
import { fill, renamed, statesOf, world } from './support.mjs';
import '../src/outbox/outboxes.js';

const TABS = 8;
/** The owner of the stream is replaced within this time. */
const REPLACED_MS = 1_900;
const sold = (recordId) => ({ type: 'listing:sold', module: 'listings', recordId });
/** Claims as many applications have them. */
const CAMEL = { sub: 'id', broker_id: 'brokerId', teams: 'teamIds' };
const numbers = (count, from = 1) => Array.from({ length: count }, (_, n) => `l-${from + n}`);

async function browser({ tabs = TABS, hasWorkers = false } = {}) {
  const made = world({ seed: 3 });
  made.service.publish({ broker: true }, sold('old'));
  const own = new Browser(made, { hasWorkers });
  const all = [];
  for (let n = 0; n < tabs; n += 1) all.push(await own.tab());
  await made.clock.advance(500);
  let count = 0;
  /** Publishes some events, 100 ms apart. */
  async function publish(events) {
    for (let n = 0; n < events; n += 1) {
      count += 1;
      made.service.publish({ broker: true }, sold(`l-${count}`));
      await made.clock.advance(100);
    }
  }
  const state = ({ client }) => client.connection.getSnapshot().state;
  return { ...made, own, all, publish, state };
}

for (const hasWorkers of [false, true]) {
  describe(`tabs with ${hasWorkers ? 'a SharedWorker' : 'locks'}`, () => {
    test('have one stream, and each receives each event once', async () => {
      const { all, service, publish, state } = await browser({ hasWorkers });
      assert.deepEqual([service.streams.open.size, service.count('/stream')], [1, 1]);
      await publish(5);
      for (const tab of all) assert.deepEqual([state(tab), tab.seen], ['connected', numbers(5)]);
    });

    test('that come later receive what they have missed', async () => {
      const { own, clock, service, publish } = await browser({ tabs: 2, hasWorkers });
      const before = service.log.position;
      await publish(5);
      const late = await own.tab({ since: before });
      await clock.advance(500);
      assert.deepEqual([late.seen, service.count('/stream')], [numbers(5), 1]);
      const oldest = await own.tab({ since: '0' });
      await clock.advance(500);
      assert.deepEqual([oldest.seen, service.streams.open.size, service.count('/stream')], [['old', ...numbers(5)], 1, 2]);
    });

    test('that ask for the last events receive them, and the others nothing twice', async () => {
      const { own, all, clock, service, publish } = await browser({ tabs: 1, hasWorkers });
      await publish(30);
      for (const streams of [2, 3]) {
        const late = await own.tab({ since: '-20' });
        await clock.advance(2_000);
        assert.deepEqual([late.seen, service.count('/stream')], [numbers(30).slice(10), streams]);
      }
      assert.deepEqual(all[0].seen, numbers(30));
    });

    test('of two users never share', async () => {
      const { own, all, service, clock, publish } = await browser({ tabs: 3, hasWorkers });
      const others = [await own.tab({ user: 'u-9', team: 'team-b' }), await own.tab({ user: 'u-9', team: 'team-b' })];
      await clock.advance(500);
      assert.equal(service.streams.open.size, 2);
      service.publish({ user: 'u-1' }, sold('mine'));
      service.publish({ user: 'u-9' }, sold('theirs'));
      service.publish({ team: 'team-b' }, sold('team'));
      await clock.advance(500);
      await publish(1);
      for (const tab of all) assert.deepEqual(tab.seen, ['mine', 'l-1']);
      for (const tab of others) assert.deepEqual(tab.seen, ['theirs', 'team', 'l-1']);
      // The same user with other rights has another stream.
      await own.tab({ token: () => service.token({ user: 'u-1', team: 'team-a', role: 'admin' }) });
      await clock.advance(500);
      assert.equal(service.streams.open.size, 3);
    });

    test('of one user in two brokerages never share, whatever the claims are called', async () => {
      const { own, service, clock } = await browser({ tabs: 0, hasWorkers });
      const tab = (broker) => own.tab({ token: () => renamed(service.token({ user: 'ann', broker }), { ...CAMEL, sub: 'sub' }) });
      for (const broker of ['b-1', 'b-2', 'b-1']) await tab(broker);
      await clock.advance(500);
      assert.deepEqual([...service.streams.open].map(({ caller }) => caller.broker), ['b-1', 'b-2']);
    });

    test('try again together after the service was away', async () => {
      const { all, service, clock, publish, state } = await browser({ hasWorkers });
      service.faults.add({ kind: 'reset', path: '/stream', times: 3 });
      service.streams.cut();
      await clock.advance(10);
      for (const tab of all) assert.equal(state(tab), 'reconnecting');
      await publish(3);
      await clock.advance(20_000);
      for (const tab of all) assert.deepEqual([state(tab), tab.seen], ['connected', numbers(3)]);
      assert.equal(service.streams.open.size, 1);
    });

    test('each get a fresh token when the service refuses one', async () => {
      const { all, service, clock, publish, state } = await browser({ tabs: 3, hasWorkers });
      service.faults.add({ kind: 'expired', path: '/stream' });
      service.streams.cut();
      await clock.advance(20_000);
      await publish(2);
      for (const tab of all) assert.deepEqual([state(tab), tab.seen], ['connected', numbers(2)]);
    });

    test('renew the token of their stream once for all, also when the one whose turn it is does not', async () => {
      const made = world({ seed: 3 });
      const { service, clock } = made;
      const own = new Browser(made, { hasWorkers });
      const all = [];
      const token = () => service.token({ seconds: 60 });
      for (let n = 0; n < 4; n += 1) {
        all.push(await own.tab({ token }));
        await clock.advance(1_000);
      }
      // The service says 30 seconds before the end that the token ends.
      await clock.advance(151_000);
      const renewals = () => service.count('/sessions/renew');
      assert.deepEqual([service.count('/stream'), renewals()], [1, 5]);
      // The one without the stream that is asked first is frozen from now on.
      for (const tab of all.slice(1, 3)) tab.freeze();
      await clock.advance(60_000);
      for (const tab of all.slice(1, 3)) tab.thaw();
      await clock.advance(1_000);
      service.publish({ broker: true }, sold('l-1'));
      await clock.advance(500);
      for (const { client, seen } of all) assert.deepEqual([client.connection.getSnapshot().state, seen], ['connected', ['l-1']]);
      assert.equal(service.count('/stream'), 1);
      assert.ok(renewals() <= 8, `${renewals()} renewals`);
    });

    test('that were frozen and forgotten attach again, and have missed nothing', async () => {
      const { all, own, service, clock, publish } = await browser({ tabs: 3, hasWorkers });
      const sleeper = all[2];
      sleeper.freeze();
      await publish(3);
      await clock.advance(200_000);
      const late = await own.tab();
      await clock.advance(500);
      // What was sent to the sleeper meanwhile is lost.
      sleeper.waiting.splice(0);
      await publish(2);
      sleeper.thaw();
      await clock.advance(1_000);
      assert.deepEqual([sleeper.seen, late.seen], [numbers(5), numbers(2, 4)]);
      await publish(1);
      for (const tab of [...all]) assert.deepEqual(tab.seen, numbers(6));
      assert.equal(service.streams.open.size, 1);
    });
  });
}

describe('the tab with the stream', () => {
  for (const end of ['closed', 'frozen', 'crashed']) {
    test(`is ${end}: another one has it at once, and no event is lost`, async () => {
      const { all: [owner, ...others], service, clock, publish, state } = await browser();
      await publish(2);
      const lost = others.map(({ client }) => statesOf(client));
      if (end === 'closed') owner.client.close();
      if (end === 'frozen') owner.freeze();
      if (end === 'crashed') owner.crash();
      const since = clock.now();
      await publish(2);
      while (others.some(({ seen }) => seen.length < 4)) await clock.advance(50);
      assert.ok(clock.now() - since <= REPLACED_MS, `${clock.now() - since} ms`);
      await publish(2);
      for (const tab of others) assert.deepEqual([state(tab), tab.seen], ['connected', numbers(6)]);
      assert.deepEqual(lost.flat().filter(([state]) => state !== 'connected'), [], 'nobody was disconnected');
      assert.equal(service.streams.open.size, end === 'frozen' ? 2 : 1);
      if (end !== 'frozen') return;
      owner.thaw();
      await clock.advance(5_000);
      await publish(1);
      assert.deepEqual([owner.seen, service.streams.open.size, service.count('/stream')], [numbers(7), 1, 2]);
      for (const tab of others) assert.deepEqual(tab.seen, numbers(7));
    });
  }
});

describe('the worker with the stream', () => {
  test('has crashed: another one has it, and no event is lost', async () => {
    const { all, own, service, clock, publish } = await browser({ hasWorkers: true });
    await publish(2);
    own.crashWorkers();
    const since = clock.now();
    await publish(2);
    while (all.some(({ seen }) => seen.length < 4)) await clock.advance(50);
    assert.ok(clock.now() - since <= REPLACED_MS, `${clock.now() - since} ms`);
    await publish(2);
    for (const tab of all) assert.deepEqual(tab.seen, numbers(6));
    assert.equal(service.streams.open.size, 1);
  });
});

describe('a tab', () => {
  test('renews the stream with the token that it has, if the stream has an older one', async () => {
    const made = world();
    const { service, clock } = made;
    const own = new Browser(made, { hasWorkers: true });
    const first = await own.tab({ token: service.token({ seconds: 90 }) });
    await clock.advance(20_000);
    const second = await own.tab({ token: service.token({ seconds: 900 }) });
    await clock.advance(1_000);
    first.client.close();
    await clock.advance(120_000);
    assert.deepEqual([service.count('/stream'), service.count('/sessions/renew')], [1, 1]);
    assert.equal(second.client.connection.getSnapshot().state, 'connected');
  });

  test('without a readable token has a stream of its own', async () => {
    const { own, service, clock } = await browser({ tabs: 1 });
    const token = () => service.token({ user: 'u-1' }).replace(/\..*\./, '.e30.');
    const before = service.count('/stream');
    await own.tab({ token });
    await clock.advance(0);
    assert.ok(service.count('/stream') > before);
  });

  test('whose worker does not start uses locks', async () => {
    const made = world();
    const Worker = class {
      constructor() {
        throw new Error('forbidden');
      }
    };
    const own = new Browser(made, { Worker });
    const tabs = [await own.tab(), await own.tab()];
    await made.clock.advance(500);
    made.service.publish({ broker: true }, sold('l-1'));
    await made.clock.advance(500);
    assert.equal(made.service.streams.open.size, 1);
    for (const tab of tabs) assert.deepEqual(tab.seen, ['l-1']);
  });
});

/** fake-indexeddb runs on real timers. */
async function tick(clock, ms) {
  for (let n = 0; n < 12; n += 1) {
    await new Promise((wake) => setTimeout(wake, 0));
    await clock.advance(n === 5 ? ms : 0);
  }
}

describe('the outbox of two tabs', () => {
  test('sends each write once, and those of a tab that is gone', async () => {
    const made = world();
    const { service, clock } = made;
    await fill(made, 2);
    const own = new Browser(made);
    const environment = { indexedDB: new IDBFactory() };
    const [first, second] = [await own.tab({ more: environment }), await own.tab({ more: environment })];
    await tick(clock, 100);
    first.client.update('escrows', 'e-1', { purchasePrice: 1 });
    second.client.update('escrows', 'e-2', { purchasePrice: 2 });
    await tick(clock, 500);
    const sent = () => service.requests.filter(({ method }) => method === 'PATCH').map(({ path, body }) => `${path.slice(-3)} ${body.purchasePrice}`).sort();
    assert.deepEqual(sent(), ['e-1 1', 'e-2 2']);
    service.faults.add({ kind: 'reset', method: 'PATCH', times: 1_000 });
    first.client.update('escrows', 'e-1', { purchasePrice: 3 });
    await tick(clock, 500);
    first.crash();
    service.faults.clear();
    for (let n = 0; n < 8; n += 1) await tick(clock, 5_000);
    assert.deepEqual(sent(), ['e-1 1', 'e-1 3', 'e-2 2']);
    assert.deepEqual(second.client.outbox.pending(), []);
  });

  for (const [names, called] of [[{}, 'as usual'], [CAMEL, 'otherwise']]) test(`of two users or brokerages is two outboxes, with claims that are called ${called}`, async () => {
    const made = world();
    const { service, clock } = made;
    await fill(made, 1);
    const own = new Browser(made);
    const environment = { indexedDB: new IDBFactory() };
    const tab = (user, broker) => own.tab({ token: () => renamed(service.token({ user, broker }), names), more: environment });
    const ann = await tab('ann', 'b-1');
    await tick(clock, 100);
    service.faults.add({ kind: 'reset', method: 'PATCH', times: 1_000 });
    ann.client.update('escrows', 'e-1', { purchasePrice: 7 });
    await tick(clock, 500);
    ann.crash();
    service.faults.clear();
    for (const other of [await tab('bob', 'b-1'), await tab('ann', 'b-2')]) {
      for (let n = 0; n < 4; n += 1) await tick(clock, 5_000);
      assert.equal(service.requests.filter(({ method }) => method === 'PATCH').length, 0);
      assert.deepEqual(other.client.outbox.pending(), []);
    }
    const again = await tab('ann', 'b-1');
    for (let n = 0; n < 4; n += 1) await tick(clock, 5_000);
    assert.equal(service.requests.filter(({ method }) => method === 'PATCH').length, 1);
    assert.deepEqual(again.client.outbox.pending(), []);
  });

  test('of somebody whom nobody knows is in memory, and of this tab alone', async () => {
    const made = world();
    const { service, clock } = made;
    await fill(made, 1);
    const own = new Browser(made);
    const environment = { indexedDB: new IDBFactory() };
    const unknown = () => renamed(service.token({ user: 'ann' }), { sub: 'https://crm.test/user' });
    const first = await own.tab({ token: unknown, more: environment });
    await tick(clock, 100);
    first.client.update('escrows', 'e-1', { purchasePrice: 7 });
    await tick(clock, 500);
    assert.equal(first.client.outbox.getSnapshot().storage, 'memory');
    const second = await own.tab({ token: unknown, more: environment });
    await tick(clock, 500);
    assert.deepEqual([first.client.outbox.pending().length, second.client.outbox.pending()], [1, []]);
    const known = await own.tab({ token: unknown, userId: 'ann', more: environment });
    await tick(clock, 500);
    assert.deepEqual([await environment.indexedDB.databases()].flat().map(({ name }) => name), ['porchlight:outbox:http://porchlight.test|["ann"]']);
    assert.equal(known.client.outbox.getSnapshot().storage, 'indexeddb');
  });
});
