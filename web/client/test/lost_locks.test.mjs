// What was written under a lock is not lost with it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { IDBFactory } from 'fake-indexeddb';
import { lock } from '../src/index.js';
import { fill, patch, post, send, tick, world } from './support.mjs';

/** Ann holds the lock of a record that she sees. */
async function editor({ isShown = true, ...options } = {}) {
  const made = world();
  const { service, clock } = made;
  await fill(made, 1);
  const environment = { indexedDB: new IDBFactory() };
  const open = async () => {
    const { client } = await made.open({ user: 'ann', environment, ...options });
    if (isShown) client.record('escrows', 'e-1').subscribe(() => {});
    await tick(clock, 100);
    return client;
  };
  const client = await open();
  const own = lock(client, 'escrows', 'e-1');
  assert.equal(await own.acquire(), true);
  const wait = async (seconds) => {
    for (let n = 0; n < seconds / 10; n += 1) await tick(clock, 10_000);
  };
  /** The connection is away until the lease is over. */
  const beOffline = async (meanwhile = async () => {}) => {
    service.faults.add({ kind: 'reset', times: 100_000 });
    service.streams.cut();
    await tick(clock, 500);
    const write = client.update('escrows', 'e-1', { city: 'Bend' });
    await wait(90);
    service.faults.clear();
    await meanwhile();
    await wait(60);
    return write;
  };
  const held = async () => (await send(service, 'GET', '/locks')).body.locks.map(({ holder }) => holder.userId);
  const record = async () => (await send(service, 'GET', '/records/escrows/e-1')).body;
  const fences = () => service.requests.filter(({ method }) => method === 'PATCH').map(({ headers }) => headers['lock-fence']);
  return { ...made, open, client, own, wait, beOffline, held, record, fences, tick: (ms) => tick(clock, ms) };
}

describe('a write under a lock that has ended', () => {
  test('is sent when nobody has changed the record since', async () => {
    const { client, beOffline, record, fences } = await editor();
    const { done } = await beOffline();
    assert.deepEqual([client.outbox.pending(), (await record()).city, fences()], [[], 'Bend', ['1', undefined]]);
    assert.equal((await done).city, 'Bend');
  });

  test('is a conflict when somebody has changed the same field', async () => {
    const { client, service, beOffline, record, tick } = await editor();
    const { id } = await beOffline(() => patch(service, '/records/escrows/e-1', { city: 'Salem' }));
    assert.deepEqual(client.outbox.pending().map(({ state, conflict }) => [state, conflict.mine, conflict.theirs]), [['conflict', { city: 'Bend' }, { city: 'Salem' }]]);
    assert.equal((await record()).city, 'Salem', 'until the user has decided');
    await client.outbox.resolve(id, 'mine');
    await tick(200);
    assert.equal((await record()).city, 'Bend');
  });

  test('is refused while somebody else holds it, and when nobody knows what the user saw', async () => {
    const taken = await editor();
    const { done } = await taken.beOffline(() => post(taken.service, '/locks', { module: 'escrows', recordId: 'e-1', session: 's' }, { user: 'bob' }));
    await assert.rejects(done, { code: 'locked', status: 423 });
    const blind = await editor({ isShown: false });
    await assert.rejects((await blind.beOffline()).done, { code: 'fence_lost' });
  });
});

describe('a page that is closed', () => {
  test('leaves the lock to what it has written: the next page sends it before somebody else gets the lock', async () => {
    const { client, service, open, held, record, fences, tick, wait } = await editor({ mergeMs: 1_000 });
    client.update('escrows', 'e-1', { city: 'Bend' });
    service.faults.add({ kind: 'reset', method: 'PATCH' });
    await tick(50);
    await client.close();
    await tick(100);
    assert.deepEqual(await held(), ['ann']);
    await open();
    await tick(2_000);
    assert.deepEqual([(await record()).city, fences()], ['Bend', ['1']]);
    await wait(70);
    assert.deepEqual(await held(), [], 'it ends with its lease');
  });

  test('gives the lock back when nothing waits', async () => {
    const { client, held, tick } = await editor();
    client.close();
    await tick(100);
    assert.deepEqual(await held(), []);
  });
});

describe('a lock that is closed', () => {
  test('is given back after what was written under it was sent', async () => {
    const { client, held, record, fences, tick } = await editor({ mergeMs: 1_000 });
    const { done } = client.update('escrows', 'e-1', { city: 'Bend' });
    client.endPart('lock:escrows/e-1');
    await tick(200);
    assert.deepEqual([(await done).city, (await record()).city, fences(), await held()], ['Bend', 'Bend', ['1'], []]);
  });

  test('stays with whoever locks the record again meanwhile', async () => {
    const { client, held, fences, tick } = await editor({ mergeMs: 1_000 });
    client.update('escrows', 'e-1', { city: 'Bend' });
    client.endPart('lock:escrows/e-1');
    assert.equal(await lock(client, 'escrows', 'e-1').acquire(), true);
    await tick(500);
    client.update('escrows', 'e-1', { city: 'Salem' }, { isImmediate: true });
    await tick(200);
    assert.deepEqual([await held(), fences()], [['ann'], ['1', '1']]);
  });

  test('stays with whoever locks the record again while it is given back after what was written', async () => {
    const { client, own, held, tick } = await editor({ mergeMs: 1_000 });
    client.update('escrows', 'e-1', { city: 'Bend' });
    own.release();
    client.endPart('lock:escrows/e-1');
    const next = lock(client, 'escrows', 'e-1');
    assert.equal(await next.acquire(), true);
    await tick(500);
    assert.deepEqual([await held(), next.getSnapshot().status, own.getSnapshot().status], [['ann'], 'held', 'released']);
  });

  test('is given back where another object only looks at it', async () => {
    const { client, own, held, tick } = await editor({ mergeMs: 1_000 });
    client.update('escrows', 'e-1', { city: 'Bend' });
    client.endPart('lock:escrows/e-1');
    const next = lock(client, 'escrows', 'e-1');
    await tick(500);
    assert.deepEqual([await held(), own.getSnapshot().status, next.getSnapshot().status], [[], 'released', 'idle']);
    assert.equal(await next.acquire(), true);
    assert.equal(next.getSnapshot().fence, 2);
  });

  test('is given back before the same tab takes it again, also when that request is slow', async () => {
    const { client, service, held, tick } = await editor();
    service.faults.add({ kind: 'delay', method: 'DELETE', ms: 300 });
    client.endPart('lock:escrows/e-1');
    const next = lock(client, 'escrows', 'e-1');
    const taken = next.acquire();
    await tick(1_000);
    assert.deepEqual([await taken, await held(), next.getSnapshot().status], [true, ['ann'], 'held']);
  });
});
