// Parts of the inspector and of operations that need no browser.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asCurl } from '../console/inspector/as_code.js';
import { EventStore, MOST_EVENTS } from '../console/inspector/event_store.js';
import { EventView } from '../console/inspector/event_view.js';
import { codeOf, KINDS } from '../console/inspector/kinds.js';
import { positionAt } from '../console/inspector/position_at.js';
import { addressOf } from '../console/inspector/inspected_stream.js';
import { roundUp } from '../console/operations/chart.js';

const delivery = (n, more = {}) => {
  const data = { type: 'escrow:updated', recordId: `e-${n}`, timestamp: new Date(n).toISOString(), ...more };
  return { data, position: `${n}-abc`, message: { type: data.type, data: JSON.stringify(data) } };
};

function filled(count, more) {
  const store = new EventStore();
  for (let n = 0; n < count; n += 1) store.add(delivery(n, more?.(n)), n + 5);
  return store;
}

test('an event is read back as it came', () => {
  const store = filled(3, () => ({ changes: { name: 'Ünal “x”\n😀' } }));
  store.add({ data: { type: 'user:typing', userId: 'bob' }, position: null }, 9);
  const { data, position, receivedAt, committedAt, kind } = store.get(1);
  assert.deepEqual([data.changes.name, position, receivedAt, committedAt, KINDS[kind].name], ['Ünal “x”\n😀', '1-abc', 6, 1, 'record']);
  assert.deepEqual([store.get(3).position, store.get(3).committedAt, store.counts], [null, null, [3, 0, 1, 0, 0, 0]]);
});

test('the newest 100,000 events are kept, and the oldest make room', () => {
  const store = filled(MOST_EVENTS + 10_000);
  assert.ok(store.size >= MOST_EVENTS && store.size < MOST_EVENTS + 4_096, String(store.size));
  assert.equal(store.get(store.first).data.recordId, `e-${store.first}`);
  assert.equal(store.get(store.end - 1).data.recordId, `e-${MOST_EVENTS + 9_999}`);
  assert.equal(store.counts[0], store.size);
});

test('large events are kept by their bytes', () => {
  const store = new EventStore();
  const text = 'x'.repeat(64_000);
  for (let n = 0; n < 1_000; n += 1) store.add(delivery(n, { text }), n);
  assert.ok(store.size > 100 && store.size < 1_000, String(store.size));
  assert.equal(store.get(store.end - 1).data.text.length, 64_000);
});

test('a search finds what is there and what comes, and knows the rows', async () => {
  const store = filled(5_000, (n) => ({ changes: { price: n % 10 } }));
  const view = new EventView(store, () => {});
  view.search('"PRICE":7');
  while (view.progress < 1) await new Promise((wake) => { setTimeout(wake); });
  assert.deepEqual([view.count, view.at(0), view.rowOf(17), view.rowOf(18)], [500, 7, 1, -1]);
  store.add(delivery(5_000, { changes: { price: 7 } }), 0);
  view.advance();
  assert.equal(view.count, 501);
  view.showKind(0, false);
  assert.equal(view.count, 0);
  view.reset();
  assert.deepEqual([view.count, view.isFiltered], [5_001, false]);
});

test('a paused view stays as it is until it goes on', () => {
  const store = filled(10);
  const view = new EventView(store, () => {});
  view.pause(true);
  store.add(delivery(10), 0);
  view.advance();
  assert.deepEqual([view.count, view.waiting, view.rowOf(10)], [10, 1, -1]);
  view.pause(false);
  assert.deepEqual([view.count, view.rowOf(10)], [11, 10]);
});

test('types have kinds', () => {
  const kinds = ['escrow:updated', 'listing:unlocked', 'locks:snapshot', 'user:viewing:escrows', 'ai:task:queued', 'notification:info', 'system:broadcast', 'stream:reset'];
  assert.deepEqual(kinds.map((type) => KINDS[codeOf(type)].name), ['record', 'lock', 'lock', 'presence', 'task', 'notice', 'notice', 'stream']);
});

test('a time becomes the position before its first event, in few requests', async () => {
  // Only every third event is for this user.
  const events = Array.from({ length: 900 }, (_, n) => ({ position: `${n * 3 + 1}-abc`, timestamp: new Date(1_000_000 + n * 10).toISOString() }));
  let requests = 0;
  const request = async (method, path, { query: { after } }) => {
    requests += 1;
    const found = events.find(({ position }) => Number.parseInt(position, 10) > Number.parseInt(after, 10));
    return { body: { events: found ? [found] : [] }, headers: new Headers({ 'Stream-Position': '2700-abc' }) };
  };
  const firstAfter = (since) => events.find(({ position }) => Number.parseInt(position, 10) > Number.parseInt(since, 10));
  for (const n of [1, 17, 450, 899]) {
    const since = await positionAt(request, 1_000_000 + n * 10 - 3, {});
    assert.equal(firstAfter(since), events[n]);
  }
  assert.ok(requests < 4 * 16, String(requests));
  assert.equal(await positionAt(request, 0, {}), '0', 'all of them');
  assert.equal(firstAfter((await positionAt(request, 2_000_000, {})) ?? '2700'), undefined, 'none since');
});

test('an address and a command are as a shell and a service take them', () => {
  assert.deepEqual(addressOf({ scope: 'record', team: '', record: 'escrows/a b', types: ['x:*', 'y'], since: '-5' }), { path: '/stream/records/escrows/a%20b', query: { types: 'x:*,y', since: '-5' } });
  assert.deepEqual(addressOf({ scope: 'team', team: 't', record: '', types: [], since: null }), { path: '/stream/team', query: { team: 't' } });
  const command = asCurl('http://h', { method: 'POST', path: '/tasks', body: { title: "Ann's" } });
  assert.ok(command.endsWith(`-d '{"title":"Ann'\\''s"}'`), command);
});

test('scales end at round numbers', () => {
  assert.deepEqual([0, 0.3, 1, 1.2, 3, 26, 480, 999].map(roundUp), [1, 0.5, 1, 2, 5, 50, 500, 1_000]);
});
