// Live lists and records.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { tasks } from '../src/index.js';
import { escrow, fill, patch, post, send, world } from './support.mjs';

const ids = (list) => list.getSnapshot().records.map(({ id }) => id);

/** A client with a list of the escrows of the service. */
async function listed(count = 3, { client: options, ...query } = {}) {
  const made = world();
  await fill(made, count);
  const { client, page } = await made.open(options);
  const list = client.records('escrows', query);
  const snapshots = [];
  const off = list.subscribe(() => snapshots.push(list.getSnapshot()));
  await made.clock.advance(10);
  return { ...made, client, page, list, snapshots, off };
}

/** Live lists of records and of tasks, with how often they were requested. */
async function counted(since, prepare = () => {}) {
  const made = world();
  await fill(made, 3);
  prepare(made.service);
  const { client } = await made.open({ since });
  client.records('escrows').subscribe(() => {});
  tasks(client).subscribe(() => {});
  await made.clock.advance(60_000);
  return ['/records/escrows', '/tasks'].map((path) => made.service.count(path, 'GET'));
}

describe('a live list', () => {
  test('loads once, wherever the stream begins', async () => {
    for (const since of ['-20', '-1', '0', null]) assert.deepEqual(await counted(since), [1, 1], String(since));
  });

  test('loads once more for a stream that begins in another log, and waits for the reset then', async () => {
    const withoutReset = (service) => { service.log.resume = () => ({ after: service.log.head, reset: null }); };
    assert.deepEqual(await counted('2-other01', withoutReset), [2, 2]);
  });

  test('has the records of the service, the newest first', async () => {
    const { list } = await listed(3);
    const { status, records, hasMore, error } = list.getSnapshot();
    assert.deepEqual([status, records.map(({ id }) => id), hasMore, error], ['ready', ['e-3', 'e-2', 'e-1'], false, null]);
  });

  test('follows what others do, without a request, and only the changed record is another object', async () => {
    const { list, service, clock, snapshots } = await listed(50);
    const before = list.getSnapshot().records;
    const requests = service.requests.length;
    snapshots.length = 0;
    await patch(service, '/records/escrows/e-25', { purchasePrice: 5 });
    await clock.advance(200);
    const after = list.getSnapshot().records;
    const changed = after.filter((record, n) => record !== before[n]);
    assert.deepEqual(changed.map(({ id, purchasePrice, version }) => [id, purchasePrice, version]), [['e-25', 5, 2]]);
    assert.equal(snapshots.length, 1);
    assert.equal(service.requests.length, requests + 1, 'only the change itself');
  });

  test('follows new, archived, restored and deleted records', async () => {
    const { list, service, clock } = await listed(2);
    await fill({ service, clock }, 1, 3);
    await post(service, '/records/escrows/e-1/archive');
    await clock.advance(200);
    assert.deepEqual(ids(list), ['e-3', 'e-2']);
    await post(service, '/records/escrows/e-1/restore');
    await send(service, 'DELETE', '/records/escrows/e-3');
    await clock.advance(200);
    assert.deepEqual(ids(list), ['e-2', 'e-1']);
  });

  test('a second change that does not raise the version is applied, and the echo of a known one changes nothing', async () => {
    const { list, service, clock } = await listed(2);
    const tell = (version, changes) => service.publish({ broker: true }, { type: 'escrow:updated', module: 'escrows', action: 'updated', recordId: 'e-1', version, changes });
    tell(2, { purchasePrice: 5 });
    tell(2, { status: 'closed' });
    await clock.advance(200);
    const { purchasePrice, status, version } = list.get('e-1');
    assert.deepEqual([purchasePrice, status, version], [5, 'closed', 2]);
    const before = list.getSnapshot();
    tell(2, { status: 'closed' });
    tell(1, { status: 'open' });
    await clock.advance(200);
    assert.equal(list.getSnapshot(), before);
    assert.equal(service.count('/records/escrows/e-1', 'GET'), 0);
  });

  test('a filtered and sorted list has what fits, in its place', async () => {
    const { list, service, clock } = await listed(4, { filter: { status: 'open' }, sort: 'purchasePrice' });
    await patch(service, '/records/escrows/e-2', { status: 'closed' });
    await patch(service, '/records/escrows/e-1', { purchasePrice: 900_000 });
    await clock.advance(200);
    assert.deepEqual(ids(list), ['e-3', 'e-4', 'e-1']);
    await patch(service, '/records/escrows/e-2', { status: 'open' });
    await clock.advance(200);
    assert.deepEqual(ids(list), ['e-2', 'e-3', 'e-4', 'e-1']);
  });

  test('words are searched like the service does', async () => {
    const { list, service, clock } = await listed(3, { filter: { q: '2 OAK' } });
    assert.deepEqual(ids(list), ['e-2']);
    await patch(service, '/records/escrows/e-3', { address: '22 Oak Rd' });
    await clock.advance(200);
    assert.deepEqual(ids(list), ['e-3', 'e-2']);
  });

  test('pages follow the first one; a record beyond the last page is not shown', async () => {
    const { list, service, clock } = await listed(25, { limit: 10 });
    assert.deepEqual([ids(list).length, list.getSnapshot().hasMore], [10, true]);
    await patch(service, '/records/escrows/e-1', { purchasePrice: 1 });
    await clock.advance(200);
    assert.equal(ids(list).length, 10);
    service.faults.add({ kind: 'delay', path: '/records/escrows', ms: 300 });
    const loading = list.loadMore();
    await clock.advance(100);
    assert.equal(list.getSnapshot().isLoadingMore, true);
    await patch(service, '/records/escrows/e-10', { purchasePrice: 7 });
    await send(service, 'DELETE', '/records/escrows/e-11');
    await clock.advance(400);
    await loading;
    await list.loadMore();
    await clock.advance(200);
    assert.deepEqual([ids(list).length, list.getSnapshot().hasMore, list.get('e-10').purchasePrice, list.get('e-1').purchasePrice], [24, false, 7, 1]);
    assert.equal(new Set(ids(list)).size, 24);
  });

  test('loads as many pages again as it had, with what changes meanwhile', async () => {
    const { list, service, clock } = await listed(25, { limit: 10 });
    await list.loadMore();
    const requests = service.count('/records/escrows');
    service.faults.add({ kind: 'delay', path: '/records/escrows', ms: 300 });
    list.reload();
    await clock.advance(100);
    await patch(service, '/records/escrows/e-20', { purchasePrice: 9 });
    await clock.advance(400);
    assert.deepEqual([ids(list).length, list.getSnapshot().hasMore, list.get('e-20').purchasePrice], [20, true, 9]);
    assert.equal(service.count('/records/escrows'), requests + 2);
  });

  test('events that arrive before the first page are not lost', async () => {
    const made = world();
    await fill(made, 3);
    const { client } = await made.open();
    made.service.faults.add({ kind: 'delay', path: '/records/escrows', ms: 500 });
    const list = client.records('escrows');
    list.subscribe(() => {});
    await made.clock.advance(100);
    await patch(made.service, '/records/escrows/e-1', { status: 'closed' });
    await made.clock.advance(100);
    await fill(made, 1, 4);
    await made.clock.advance(1_000);
    assert.deepEqual(ids(list), ['e-4', 'e-3', 'e-2', 'e-1']);
    assert.deepEqual([list.get('e-1').status, list.get('e-1').version], ['closed', 2]);
  });

  test('a page that is older than the stream is loaded again', async () => {
    const made = world();
    await fill(made, 2);
    made.service.faults.add({ kind: 'delay', path: '/stream', ms: 300 });
    const { client } = await made.open();
    const list = client.records('escrows');
    list.subscribe(() => {});
    await made.clock.advance(100);
    await patch(made.service, '/records/escrows/e-1', { status: 'closed' });
    await made.clock.advance(1_000);
    assert.equal(list.get('e-1').status, 'closed');
    assert.equal(made.service.count('/records/escrows', 'GET'), 2);
  });

  test('after a reset everything is loaded again', async () => {
    const { list, service, clock } = await listed(3);
    service.faults.add({ kind: 'reset', path: '/stream' });
    service.streams.cut();
    await clock.advance(0);
    await patch(service, '/records/escrows/e-1', { status: 'closed' });
    await send(service, 'DELETE', '/records/escrows/e-2');
    service.log.expire(service.log.head);
    await fill({ service, clock }, 1, 4);
    service.log.expire(service.log.head - 1);
    await clock.advance(5_000);
    assert.deepEqual([ids(list), list.get('e-1').status], [['e-4', 'e-3', 'e-1'], 'closed']);
  });

  test('a version that was skipped, and an event without its data, are asked for', async () => {
    const { list, service, clock } = await listed(2);
    service.publish({ team: 'team-a' }, { type: 'escrow:updated', module: 'escrows', recordId: 'e-1', version: 2, truncated: true });
    await clock.advance(300);
    assert.equal(service.count('/records/escrows/e-1'), 1);
    const requests = service.requests.length;
    service.publish({ team: 'team-a' }, { type: 'escrow:updated', module: 'escrows', recordId: 'e-2', version: 9, changes: { status: 'closed' } });
    await clock.advance(300);
    assert.equal(service.requests.length, requests + 1);
    assert.deepEqual(ids(list), ['e-2', 'e-1']);
  });

  test('a record that goes to another team leaves, and one that comes enters', async () => {
    const { list, service, clock } = await listed(2);
    await post(service, '/records/escrows', escrow(9, { teamId: 'team-b' }), { team: 'team-b' });
    await clock.advance(200);
    assert.deepEqual(ids(list), ['e-2', 'e-1']);
    const row = (id) => service.part('records:escrows').get(id);
    row('e-1').record = { ...row('e-1').record, teamId: 'team-b', version: 2 };
    service.publish({ team: 'team-a' }, { type: 'escrow:updated', module: 'escrows', recordId: 'e-1', version: 2, changes: { teamId: 'team-b', version: 2 } });
    row('e-9').record = { ...row('e-9').record, teamId: 'team-a', version: 2 };
    service.publish({ team: 'team-a' }, { type: 'escrow:updated', module: 'escrows', recordId: 'e-9', version: 2, changes: { teamId: 'team-a', version: 2 } });
    await clock.advance(300);
    assert.deepEqual(ids(list), ['e-9', 'e-2']);
  });

  test('the same list is loaded once, for as long as somebody looks', async () => {
    const { client, service, clock, list, off } = await listed(2);
    assert.equal(client.records('escrows'), list);
    const again = client.records('escrows').subscribe(() => {});
    off();
    again();
    const third = client.records('escrows').subscribe(() => {});
    await clock.advance(5_000);
    assert.equal(service.count('/records/escrows', 'GET'), 1);
    third();
    await clock.advance(5_000);
    assert.equal(list.isActive, false);
    client.records('escrows').subscribe(() => {});
    await clock.advance(100);
    assert.equal(service.count('/records/escrows', 'GET'), 2);
  });

  test('goes on trying while the service is away, and says when it is refused', async () => {
    const made = world();
    await fill(made, 1);
    const { client } = await made.open();
    made.service.faults.add({ kind: 'status', path: '/records/escrows', times: 3 });
    const list = client.records('escrows');
    list.subscribe(() => {});
    await made.clock.advance(10);
    assert.deepEqual([list.getSnapshot().status, list.getSnapshot().error.status], ['loading', 502]);
    await made.clock.advance(10_000);
    assert.deepEqual([list.getSnapshot().status, list.getSnapshot().error], ['ready', null]);
    const wrong = client.records('boats');
    wrong.subscribe(() => {});
    await made.clock.advance(60_000);
    assert.deepEqual([wrong.getSnapshot().status, wrong.getSnapshot().error.code, made.service.count('/records/boats')], ['error', 'no_records', 1]);
  });

  test('equals a fresh list after many changes by many users and many cuts', async () => {
    const made = await listed(30, { filter: { status: 'open' }, sort: '-purchasePrice', limit: 12 });
    const { service, clock, list } = made;
    let n = 100;
    let state = 7;
    const dice = (sides) => (state = (state * 48_271) % 2_147_483_647) % sides;
    await list.loadMore();
    for (let round = 0; round < 300; round += 1) {
      const id = `e-${1 + dice(40)}`;
      const change = dice(10);
      if (change < 5) await patch(service, `/records/escrows/${id}`, { purchasePrice: dice(1_000) });
      else if (change === 5) await patch(service, `/records/escrows/${id}`, { status: dice(2) ? 'open' : 'closed' });
      else if (change === 6) await post(service, `/records/escrows/${id}/${dice(2) ? 'archive' : 'restore'}`);
      else if (change === 7) await post(service, '/records/escrows', escrow((n += 1)));
      else if (change === 8) service.streams.cut();
      else await clock.advance(dice(3_000));
    }
    await clock.advance(60_000);
    while (list.getSnapshot().hasMore) {
      await list.loadMore();
      await clock.advance(200);
    }
    const fresh = await send(service, 'GET', '/records/escrows?status=open&sort=-purchasePrice&limit=200', undefined);
    assert.deepEqual(list.getSnapshot().records, fresh.body.records);
  });
});

describe('a live record', () => {
  test('follows its events and is missing once it is deleted', async () => {
    const made = world();
    await fill(made, 1);
    const { client } = await made.open();
    const record = client.record('escrows', 'e-1');
    record.subscribe(() => {});
    await made.clock.advance(100);
    assert.equal(record.getSnapshot().record.version, 1);
    await patch(made.service, '/records/escrows/e-1', { status: 'closed' });
    await made.clock.advance(200);
    assert.deepEqual([record.getSnapshot().record.status, made.service.count('/records/escrows/e-1', 'GET')], ['closed', 1]);
    await send(made.service, 'DELETE', '/records/escrows/e-1');
    await made.clock.advance(200);
    assert.deepEqual([record.getSnapshot().status, record.getSnapshot().record], ['missing', null]);
  });
});
