// The outbox of several tabs: one of them sends, and all see the same.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { IDBFactory } from 'fake-indexeddb';
import { Browser } from './browser.mjs';
import { fill, patch, send, tick, world } from './support.mjs';

/** Two tabs of a user with one database. The first one sends. */
async function two(options = {}) {
  const made = world();
  await fill(made, 3);
  const own = new Browser(made);
  const indexedDB = new IDBFactory();
  const open = (more = {}) => own.tab({ ...options, more: { indexedDB, ...more } });
  const [first, second] = [await open(), await open()];
  await tick(made.clock, 100);
  const patches = () => made.service.requests.filter(({ method }) => method === 'PATCH').map(({ path, body }) => [path.slice(-3), body]);
  const priceOf = async (id) => (await send(made.service, 'GET', `/records/escrows/${id}`)).body.purchasePrice;
  return { ...made, open, indexedDB, tabs: [first, second], first: first.client, second: second.client, patches, priceOf };
}

/** The database as a tab sees it whose answers to reads, or to changes, come when the test says so. */
function heldDisk(factory, mode) {
  const held = [];
  const hold = (target, event) => Object.defineProperty(target, `on${event}`, { set: (run) => target.addEventListener(event, () => held.push(run)) });
  const wrap = (object, method, change) => {
    const original = object[method];
    object[method] = (...given) => change(original.apply(object, given), given);
  };
  const readsOf = (transaction) => wrap(transaction, 'objectStore', (table) => {
    wrap(table, 'getAll', (request) => hold(request, 'success'));
    return table;
  });
  const open = (...given) => {
    const request = factory.open(...given);
    request.addEventListener('success', () => wrap(request.result, 'transaction', (transaction, [, asked]) => {
      if (asked === mode && mode === 'readonly') readsOf(transaction);
      return asked === mode && mode === 'readwrite' ? hold(transaction, 'complete') : transaction;
    }));
    return request;
  };
  const release = async (clock) => {
    while (held.length) {
      for (const run of held.splice(0)) run({});
      await tick(clock, 0);
    }
  };
  return { indexedDB: { open }, release };
}

/** A write of the second tab, whose record somebody else has changed meanwhile. */
async function conflict({ service, clock, second }) {
  const { body: record } = await send(service, 'GET', '/records/escrows/e-1');
  await patch(service, '/records/escrows/e-1', { purchasePrice: 7 });
  const write = second.update('escrows', 'e-1', { purchasePrice: 5 }, { record });
  const behind = second.update('escrows', 'e-1', { city: 'Bend' });
  await tick(clock, 500);
  assert.deepEqual(second.outbox.pending().map(({ state }) => state), ['conflict', 'queued']);
  return { ...write, behind };
}

describe('of two tabs', () => {
  for (const which of ['first', 'second']) {
    test(`a conflict that the ${which} one resolves is sent, and what waits behind it`, async () => {
      const tabs = await two();
      const { id, done, behind } = await conflict(tabs);
      assert.equal(await tabs[which].outbox.resolve(id, 'mine'), true);
      await tick(tabs.clock, 100);
      assert.deepEqual([tabs.first.outbox.pending(), tabs.second.outbox.pending()], [[], []]);
      assert.deepEqual([(await done).purchasePrice, (await behind.done).city, await tabs.priceOf('e-1')], [5, 'Bend', 5]);
    });

    test(`a conflict that the ${which} one discards lets go what waits behind it`, async () => {
      for (const end of ['discard', 'resolve']) {
        const tabs = await two();
        const { id, done, behind } = await conflict(tabs);
        assert.equal(await tabs[which].outbox[end](id, 'theirs'), true);
        await tick(tabs.clock, 100);
        assert.deepEqual([tabs.first.outbox.pending(), tabs.second.outbox.pending()], [[], []]);
        await assert.rejects(done, { code: 'discarded' });
        assert.deepEqual([(await behind.done).city, await tabs.priceOf('e-1')], ['Bend', 7]);
      }
    });
  }

  test('an immediate write of the one that does not send waits for nothing, and neither does one that it flushes', async () => {
    const { second, clock, patches } = await two({ mergeMs: 1_000 });
    second.update('escrows', 'e-1', { purchasePrice: 1 }, { isImmediate: true });
    second.update('escrows', 'e-2', { purchasePrice: 2 });
    await tick(clock, 20);
    assert.deepEqual(patches(), [['e-1', { purchasePrice: 1 }]]);
    await second.outbox.flush();
    await tick(clock, 20);
    second.update('escrows', 'e-3', { purchasePrice: 3 });
    await second.outbox.flush();
    await tick(clock, 20);
    assert.deepEqual(patches().slice(1), [['e-2', { purchasePrice: 2 }], ['e-3', { purchasePrice: 3 }]]);
  });

  test('a third one that is opened while a write ends does not keep it', async () => {
    const made = world();
    await fill(made, 1);
    const own = new Browser(made);
    const factory = new IDBFactory();
    const disk = heldDisk(factory, 'readwrite');
    const first = await own.tab({ more: { indexedDB: disk.indexedDB } });
    await tick(made.clock, 100);
    const { done } = first.client.update('escrows', 'e-1', { purchasePrice: 5 });
    await tick(made.clock, 100);
    assert.equal((await done).purchasePrice, 5);
    const late = await own.tab({ more: { indexedDB: factory } });
    await tick(made.clock, 100);
    assert.equal(late.client.outbox.pending().length, 1, 'its row is still there');
    await disk.release(made.clock);
    assert.deepEqual(late.client.outbox.pending(), []);
  });

  test('a third one that has read a write before it ended does not keep it', async () => {
    const { open, service, clock, second, indexedDB } = await two();
    service.faults.add({ kind: 'delay', method: 'PATCH', ms: 1_000 });
    const { done } = second.update('escrows', 'e-1', { purchasePrice: 5 });
    await tick(clock, 100);
    const disk = heldDisk(indexedDB, 'readonly');
    const late = await open({ indexedDB: disk.indexedDB });
    await tick(clock, 1_000);
    assert.equal((await done).purchasePrice, 5);
    await disk.release(clock);
    await tick(clock, 100);
    assert.deepEqual(late.client.outbox.pending(), []);
  });

  test('one that was frozen while it sent does not keep what the other one has sent meanwhile', async () => {
    const { tabs, first, second, service, clock, priceOf } = await two();
    service.faults.add({ kind: 'silence', method: 'PATCH' });
    const { done } = first.update('escrows', 'e-1', { purchasePrice: 5 });
    await tick(clock, 100);
    tabs[0].freeze();
    for (let n = 0; n < 5; n += 1) await tick(clock, 4_000);
    assert.deepEqual([await priceOf('e-1'), second.outbox.pending()], [5, []]);
    tabs[0].thaw();
    await tick(clock, 100);
    await tick(clock, 100);
    assert.deepEqual([first.outbox.pending(), second.outbox.pending()], [[], []]);
    assert.equal((await done).purchasePrice, 5);
  });

  /** The second tab changes a write a moment before it is due, with a disk that holds this up until `release`. */
  async function changedLate(isDiskBusy) {
    const tabs = await two({ mergeMs: 1_000 });
    const { service, clock, open, indexedDB } = tabs;
    const disk = heldDisk(indexedDB, 'readwrite');
    const writer = await open({ indexedDB: disk.indexedDB });
    const list = writer.client.records('escrows');
    list.subscribe(() => {});
    await tick(clock, 100);
    const update = (id, purchasePrice, options) => writer.client.update('escrows', id, { purchasePrice }, options);
    const before = update('e-1', 1);
    await tick(clock, 100);
    await disk.release(clock);
    await tick(clock, 1_000 - (clock.now() - writer.client.outbox.pending()[0].at) - 1);
    if (isDiskBusy) update('e-2', 9, { isImmediate: true });
    const after = update('e-1', 2);
    assert.equal(after.id, before.id, 'they are one write, as far as this tab knows');
    return { ...tabs, before, after, list, service, writer, release: () => disk.release(clock) };
  }

  /** Everything has arrived, and every tab knows it. */
  async function assertArrived({ before, after, list, writer, first, second, open, clock, patches, priceOf }) {
    for (let n = 0; n < 3; n += 1) await tick(clock, 500);
    assert.deepEqual(patches().filter(([id]) => id === 'e-1').map(([, { purchasePrice }]) => purchasePrice), [1, 2]);
    assert.deepEqual([writer.client.outbox.pending(), first.outbox.pending(), second.outbox.pending()], [[], [], []]);
    assert.deepEqual([(await before.done).purchasePrice, (await after.done).purchasePrice, await priceOf('e-1')], [1, 2, 2]);
    assert.equal(list.get('e-1').purchasePrice, 2);
    const { client: late } = await open();
    await tick(clock, 100);
    assert.deepEqual(late.outbox.pending(), [], 'no row is left');
  }

  test('a change that is stored after its write was sent is sent, too', async () => {
    for (const isDiskBusy of [false, true]) {
      const tabs = await changedLate(isDiskBusy);
      const shown = [];
      tabs.list.subscribe(() => shown.push(tabs.list.get('e-1').purchasePrice));
      await tick(tabs.clock, 100);
      assert.deepEqual(tabs.patches().filter(([id]) => id === 'e-1').length, 1, 'the write was sent without it');
      await tabs.release();
      await assertArrived(tabs);
      assert.deepEqual([...new Set(shown)].filter((price) => price !== 2), [], 'the user always sees it');
    }
  });

  test('a change that arrives while its write is being sent is sent after it', async () => {
    const tabs = await changedLate(false);
    const [sender] = tabs.tabs;
    sender.freeze();
    await tick(tabs.clock, 1);
    await tabs.release();
    assert.deepEqual(tabs.patches(), [], 'the write is due, and the change is known');
    sender.thaw();
    await tick(tabs.clock, 100);
    await tabs.release();
    await assertArrived(tabs);
  });
});
