// Writes: optimistic, durable, in order, once.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { IDBFactory, IDBObjectStore } from 'fake-indexeddb';
import { fill, patch, post, send, tick, tokensOf, world } from './support.mjs';

const refused = { name: 'PorchlightError' };

/** A client with a list, whose outbox has a database. */
async function writer(count = 3, { client: options = {}, query, idempotent = true } = {}) {
  const made = world();
  made.service.hasIdempotency = idempotent;
  await fill(made, count);
  const indexedDB = new IDBFactory();
  const { client, page, diagnostics } = await made.open({ environment: { indexedDB }, ...options });
  const list = client.records('escrows', query);
  list.subscribe(() => {});
  await tick(made.clock, 10);
  return { ...made, client, page, diagnostics, list, indexedDB, shown: (id) => list.get(id) };
}

/** A database whose changes are made, and never said to be. */
function silentDisk() {
  const factory = new IDBFactory();
  const { open } = factory;
  factory.open = (...given) => {
    const request = open.apply(factory, given);
    request.addEventListener('success', () => {
      const { result } = request;
      const { transaction } = result;
      result.transaction = (table, mode, how) => {
        const made = transaction.call(result, table, mode, how);
        if (mode === 'readwrite') Object.defineProperty(made, 'oncomplete', { set() {} });
        return made;
      };
    });
    return request;
  };
  return factory;
}

const writesOf = (service) => service.requests.filter(({ method, path }) => method !== 'GET' && path.startsWith('/records'));

describe('a write', () => {
  test('is shown at once, sent once, and confirmed', async () => {
    const { client, service, clock, shown } = await writer();
    const before = service.requests.length;
    const { done } = client.update('escrows', 'e-1', { purchasePrice: 5 });
    assert.equal(shown('e-1').purchasePrice, 5);
    assert.equal(client.outbox.pending().length, 1);
    assert.equal(client.connection.getSnapshot().pendingWrites, 1);
    await tick(clock, 200);
    const record = await done;
    assert.deepEqual([record.version, record.purchasePrice, shown('e-1').version], [2, 5, 2]);
    assert.deepEqual([client.outbox.pending().length, client.connection.getSnapshot().pendingWrites], [0, 0]);
    assert.equal(service.requests.length, before + 1);
    const { headers, query } = service.requests.at(-1);
    assert.deepEqual([headers['if-match'], query, Boolean(headers['idempotency-key'])], ['"1"', '?merge=fields', true]);
  });

  test('is sent while it is being stored; after a crash it is sent again with the same key, and counts once', async () => {
    const indexedDB = silentDisk();
    const { client, open, service, clock } = await writer(3, { client: { environment: { indexedDB } } });
    const patches = () => writesOf(service).filter(({ method }) => method === 'PATCH');
    client.update('escrows', 'e-1', { purchasePrice: 5 }, { isImmediate: true });
    await tick(clock, 50);
    assert.equal(patches().length, 1);
    const { client: next } = await open({ environment: { indexedDB } });
    await next.outbox.open();
    await tick(clock, 200);
    const keys = patches().map(({ headers }) => headers['idempotency-key']);
    assert.deepEqual(keys, [keys[0], keys[0]]);
    assert.equal((await send(service, 'GET', '/records/escrows/e-1')).body.version, 2);
    assert.deepEqual(next.outbox.pending(), []);
  });

  test('never delays what others do, and stays visible over it', async () => {
    const { client, service, clock, shown } = await writer();
    service.faults.add({ kind: 'delay', method: 'PATCH', ms: 5_000 });
    client.update('escrows', 'e-1', { purchasePrice: 5 });
    await tick(clock, 100);
    await patch(service, '/records/escrows/e-2', { city: 'Bend' });
    service.faults.clear();
    await send(service, 'PATCH', '/records/escrows/e-1', { status: 'pending' });
    await tick(clock, 200);
    assert.deepEqual([shown('e-1').status, shown('e-1').purchasePrice, shown('e-2').city], ['pending', 5, 'Bend']);
    await tick(clock, 5_000);
    assert.deepEqual([shown('e-1').status, shown('e-1').purchasePrice, shown('e-1').version], ['pending', 5, 3]);
  });

  test('is rolled back with its reason when it is refused', async () => {
    const { client, clock, shown } = await writer();
    const { done } = client.update('escrows', 'e-1', { purchasePrice: -5 });
    assert.equal(shown('e-1').purchasePrice, -5);
    await tick(clock, 200);
    await assert.rejects(done, { ...refused, code: 'invalid_field', field: 'purchasePrice' });
    assert.equal(shown('e-1').purchasePrice, 100_001);
    client.update('escrows', 'e-1', { purchasePrice: -6 }); // nobody waits for this one
    await tick(clock, 200);
  });

  test('of each kind is shown at once: create, archive, restore, delete', async () => {
    const { client, service, clock, list } = await writer(1);
    const { recordId } = client.create('escrows', { address: '9 Elm St', status: 'open' });
    assert.deepEqual(list.getSnapshot().records.map(({ address }) => address), ['9 Elm St', '1 Oak St']);
    await tick(clock, 200);
    assert.equal(list.get(recordId).version, 1);
    client.archive('escrows', 'e-1');
    assert.equal(list.get('e-1'), undefined);
    await tick(clock, 200);
    client.restore('escrows', 'e-1');
    await tick(clock, 500);
    assert.equal(list.get('e-1').version, 3);
    client.delete('escrows', recordId);
    assert.equal(list.get(recordId), undefined);
    await tick(clock, 500);
    assert.deepEqual(list.getSnapshot().records.map(({ id }) => id), ['e-1']);
    assert.equal(writesOf(service).filter(({ headers }) => headers['idempotency-key']).length, 4);
  });

  test('to the same fields within a second becomes one, and the last value wins', async () => {
    const { client, service, clock, shown } = await writer(3, { client: { mergeMs: 1_000 } });
    const handles = [];
    for (let n = 1; n <= 8; n += 1) {
      handles.push(client.update('escrows', 'e-1', { purchasePrice: n }));
      await tick(clock, 100);
    }
    assert.deepEqual([shown('e-1').purchasePrice, writesOf(service).filter(({ method }) => method === 'PATCH').length], [8, 0]);
    await tick(clock, 400);
    const sent = writesOf(service).filter(({ method }) => method === 'PATCH').map(({ body }) => body);
    assert.deepEqual(sent, [{ purchasePrice: 8 }]);
    assert.deepEqual(await Promise.all(handles.map(async ({ done }) => (await done).purchasePrice)), Array(8).fill(8));
    client.update('escrows', 'e-1', { city: 'Bend' });
    client.update('escrows', 'e-1', { status: 'closed' }, { isImmediate: true });
    await tick(clock, 2_000);
    assert.equal(writesOf(service).filter(({ method }) => method === 'PATCH').length, 3);
  });
});

describe('an outbox', () => {
  test('twenty writes made offline arrive once each, in order, after a reload, and when an answer was lost', async () => {
    for (const idempotent of [true, false]) {
      const { client, service, clock, page, open } = await writer(20, { idempotent });
      service.faults.add({ kind: 'reset', times: 1_000 });
      page.emit('offline');
      for (let n = 1; n <= 20; n += 1) client.update('escrows', `e-${1 + (n % 7)}`, { purchasePrice: n });
      await tick(clock, 500);
      assert.equal(client.outbox.pending().length, 20);
      assert.equal(client.outbox.getSnapshot().storage, 'indexeddb');
      await client.close();
      service.faults.clear();
      service.faults.add({ kind: 'reset', method: 'PATCH', isLate: true });
      page.emit('online');
      const from = service.log.head;
      const { client: reloaded } = await open({ page });
      await tick(clock, 10);
      assert.equal(reloaded.outbox.pending().length > 0, true);
      for (let n = 0; n < 30; n += 1) await tick(clock, 1_000);
      assert.deepEqual(reloaded.outbox.pending(), []);
      const arrived = service.log.events.filter(({ number }) => number > from).map(({ data }) => data.changes.purchasePrice);
      assert.deepEqual(arrived, Array.from({ length: 20 }, (_, n) => n + 1));
    }
  });

  test('a conflict shows both values, and nothing is lost', async () => {
    for (const [how, expected] of [['mine', 5], ['theirs', 7], [{ purchasePrice: 6 }, 6]]) {
      const { client, service, clock, shown } = await writer();
      service.faults.add({ kind: 'delay', method: 'PATCH', ms: 1_000 });
      const { id, done } = client.update('escrows', 'e-1', { purchasePrice: 5, city: 'Bend' });
      client.update('escrows', 'e-1', { status: 'closed' });
      client.update('escrows', 'e-2', { purchasePrice: 9 });
      await tick(clock, 10);
      service.faults.clear();
      await patch(service, '/records/escrows/e-1', { purchasePrice: 7 });
      await tick(clock, 1_500);
      await tick(clock, 500);
      const [first, second] = client.outbox.pending();
      assert.deepEqual([first.state, first.conflict.fields, first.conflict.mine, first.conflict.theirs, first.conflict.record.version],
        ['conflict', ['purchasePrice'], { purchasePrice: 5 }, { purchasePrice: 7 }, 2]);
      assert.equal(second.recordId, 'e-1', 'what follows on the same record waits');
      assert.equal(shown('e-1').purchasePrice, 5);
      assert.equal(shown('e-2').version, 2, 'other records do not wait');
      await client.outbox.resolve(id, how);
      await tick(clock, 1_000);
      await tick(clock, 1_000);
      assert.deepEqual([shown('e-1').purchasePrice, shown('e-1').city, shown('e-1').status], [expected, 'Bend', 'closed']);
      assert.equal((await done).city, 'Bend');
      assert.deepEqual(client.outbox.pending(), []);
    }
  });

  test('changes of other fields by others are no conflict, and neither is the value that the user saw', async () => {
    const { client, service, clock, shown } = await writer();
    service.faults.add({ kind: 'reset', method: 'PATCH', isLate: false, times: 2 });
    client.update('escrows', 'e-1', { purchasePrice: 5 });
    client.update('escrows', 'e-1', { purchasePrice: 6, city: 'Bend' });
    await tick(clock, 10);
    await patch(service, '/records/escrows/e-1', { status: 'pending' }).catch(() => {});
    await patch(service, '/records/escrows/e-1', { status: 'pending' });
    for (let n = 0; n < 8; n += 1) await tick(clock, 1_000);
    assert.deepEqual([shown('e-1').purchasePrice, shown('e-1').city, shown('e-1').status, client.outbox.pending().length], [6, 'Bend', 'pending', 0]);
  });

  test('a write whose answer was lost and that another user has changed since is done, where the stream brought it', async () => {
    const { client, service, clock, shown } = await writer(3, { idempotent: false });
    service.faults.add({ kind: 'reset', method: 'PATCH', isLate: true });
    const { done } = client.update('escrows', 'e-1', { purchasePrice: 5 });
    await tick(clock, 200);
    await patch(service, '/records/escrows/e-1', { purchasePrice: 7 });
    await tick(clock, 200);
    assert.equal(shown('e-1').purchasePrice, 7);
    await tick(clock, 3_000);
    assert.equal((await done).purchasePrice, 7);
    assert.deepEqual([shown('e-1').purchasePrice, client.outbox.pending().length], [7, 0]);
  });

  test('a write that never arrived is not done because another user has written the same for a while', async () => {
    for (const [after, expected] of [['open', 'closed'], ['pending', 'conflict']]) {
      const { client, service, clock, shown } = await writer();
      service.faults.add({ kind: 'reset', method: 'PATCH' });
      client.update('escrows', 'e-1', { status: 'closed' });
      await tick(clock, 50);
      await patch(service, '/records/escrows/e-1', { status: 'closed' });
      await patch(service, '/records/escrows/e-1', { status: after });
      for (let n = 0; n < 3; n += 1) await tick(clock, 1_000);
      const state = client.outbox.pending()[0]?.state ?? shown('e-1').status;
      assert.deepEqual([state, shown('e-1').status], [expected, 'closed'], after);
    }
  });

  test('a write that never arrived is not done because the user has written the same before', async () => {
    const { client, service, clock } = await writer();
    service.streams.mute();
    for (const purchasePrice of [5, 6]) {
      client.update('escrows', 'e-1', { purchasePrice });
      await tick(clock, 100);
    }
    service.faults.add({ kind: 'reset', method: 'PATCH', times: 2 });
    client.update('escrows', 'e-1', { purchasePrice: 5 });
    await tick(clock, 50);
    await patch(service, '/records/escrows/e-1', { purchasePrice: 7 }).catch(() => {});
    await patch(service, '/records/escrows/e-1', { purchasePrice: 7 });
    service.faults.add({ kind: 'delay', method: 'PATCH', ms: 1_000 });
    service.streams.cut();
    for (let n = 0; n < 5; n += 1) await tick(clock, 1_000);
    assert.deepEqual(client.outbox.pending().map(({ state }) => state), ['conflict']);
  });

  test('a create whose answer was lost makes one record', async () => {
    const { client, service, clock, list } = await writer(1, { idempotent: false });
    service.faults.add({ kind: 'reset', method: 'POST', path: '/records', isLate: true });
    const { done, recordId } = client.create('escrows', { address: '9 Elm St' });
    await tick(clock, 200);
    await tick(clock, 3_000);
    assert.equal((await done).id, recordId);
    assert.equal(list.getSnapshot().records.length, 2);
  });

  test('a create whose id somebody else has taken is refused, also when it is tried again', async () => {
    const { client, service, clock, list } = await writer(1, { idempotent: false });
    service.faults.add({ kind: 'reset', method: 'POST', path: '/records' });
    const { done } = client.create('escrows', { id: 'e-9', address: 'My house', status: 'open', purchasePrice: 2 });
    await tick(clock, 50);
    await post(service, '/records/escrows', { id: 'e-9', address: 'Their house', status: 'open', purchasePrice: 2 });
    await tick(clock, 3_000);
    assert.deepEqual(client.outbox.pending(), []);
    await assert.rejects(done, { ...refused, code: 'id_taken', field: 'id' });
    assert.equal(list.get('e-9').address, 'Their house');
  });

  test('a create is not refused while nobody can say whose its id is', async () => {
    const { client, service, clock } = await writer(1, { idempotent: false });
    service.faults.add({ kind: 'reset', method: 'POST', path: '/records', isLate: true });
    // The token is refused twice, and so is the fresh one.
    service.faults.add({ kind: 'expired', method: 'GET', path: '/records/escrows/', times: 2 });
    const { done, recordId } = client.create('escrows', { address: '9 Elm St' });
    await tick(clock, 3_000);
    assert.equal(client.outbox.pending()[0].reason, 'needs-auth');
    for (let n = 0; n < 4; n += 1) await tick(clock, 10_000);
    assert.deepEqual(client.outbox.pending(), []);
    assert.equal((await done).id, recordId);
  });

  test('says what waits and why, and discards it', async () => {
    const { client, service, clock, shown } = await writer();
    service.faults.add({ kind: 'status', method: 'PATCH', status: 503, times: 100, headers: { 'Retry-After': '3' } });
    const { id, done } = client.update('escrows', 'e-1', { purchasePrice: 5 });
    await tick(clock, 100);
    const [{ state, reason, attempts, changes, recordId }] = client.outbox.pending();
    assert.deepEqual([state, reason, attempts, changes, recordId], ['queued', 'status_503', 1, { purchasePrice: 5 }, 'e-1']);
    assert.equal(await client.outbox.discard(id), true);
    await assert.rejects(done, { ...refused, code: 'discarded' });
    assert.deepEqual([shown('e-1').purchasePrice, client.outbox.pending().length], [100_001, 0]);
    await tick(clock, 60_000);
    assert.equal(writesOf(service).filter(({ method }) => method === 'PATCH').length, 0);
  });

  test('warns before the page is left while something waits', async () => {
    const { client, clock, page } = await writer(1, { client: { mergeMs: 1_000 } });
    const asked = () => {
      let isAsked = false;
      page.emit('beforeunload', { preventDefault: () => (isAsked = true) });
      return isAsked;
    };
    assert.equal(asked(), false);
    client.update('escrows', 'e-1', { purchasePrice: 5 });
    await tick(clock, 0);
    assert.equal(asked(), true);
    await tick(clock, 2_000);
    assert.equal(asked(), false);
  });

  test('uses memory where there is no database, and says so', async () => {
    const broken = { open: () => ({ set onsuccess(_) {}, set onerror(_) {}, set onupgradeneeded(_) {} }) };
    const { client, clock, shown, diagnostics } = await writer(1, { client: { environment: { indexedDB: broken } } });
    await tick(clock, 3_100);
    assert.equal(client.outbox.getSnapshot().storage, 'memory');
    assert.equal(diagnostics.some(({ message }) => message.includes('memory')), true);
    client.update('escrows', 'e-1', { purchasePrice: 5 });
    await tick(clock, 200);
    assert.equal(shown('e-1').version, 2);
  });

  test('stores what a framework has wrapped, and shows it as the service will have it', async () => {
    const { client, clock, shown } = await writer(1, { client: { mergeMs: 1_000 } });
    client.update('escrows', 'e-1', { tags: new Proxy(['a'], {}), closeDate: new Date(0) });
    await tick(clock, 100);
    assert.equal(client.outbox.getSnapshot().storage, 'indexeddb');
    assert.deepEqual([shown('e-1').tags, shown('e-1').closeDate], [['a'], '1970-01-01T00:00:00.000Z']);
    await tick(clock, 2_000);
    assert.deepEqual([shown('e-1').tags, client.outbox.pending()], [['a'], []]);
  });

  test('whose database is full once removes what it has stored there before', async () => {
    const indexedDB = new IDBFactory();
    const { client, service, clock, open } = await writer(2, { client: { environment: { indexedDB }, mergeMs: 1_000 } });
    client.update('escrows', 'e-1', { purchasePrice: 5 });
    await tick(clock, 100);
    const { put } = IDBObjectStore.prototype;
    IDBObjectStore.prototype.put = () => { throw new DOMException('', 'QuotaExceededError'); };
    client.update('escrows', 'e-2', { purchasePrice: 6 });
    await tick(clock, 100);
    IDBObjectStore.prototype.put = put;
    assert.equal(client.outbox.getSnapshot().storage, 'memory');
    for (let n = 0; n < 3; n += 1) await tick(clock, 1_000);
    assert.deepEqual([client.outbox.pending(), writesOf(service).filter(({ method }) => method === 'PATCH').length], [[], 2]);
    await client.close();
    const { client: next } = await open({ environment: { indexedDB } });
    await next.outbox.open();
    await tick(clock, 100);
    assert.equal(writesOf(service).filter(({ method }) => method === 'PATCH').length, 2, 'it is not sent again');
  });

  test('that is closed refuses what is written afterwards', async () => {
    const { client, service, clock } = await writer(1);
    client.update('escrows', 'e-1', { purchasePrice: 5 });
    await tick(clock, 100);
    await client.close();
    const { done } = client.update('escrows', 'e-1', { purchasePrice: 6 });
    await tick(clock, 10);
    assert.deepEqual(client.outbox.pending(), []);
    await assert.rejects(done, { ...refused, code: 'closed' });
    assert.equal((await send(service, 'GET', '/records/escrows/e-1')).body.purchasePrice, 5);
  });

  test('has a limit', async () => {
    const { client, clock } = await writer(1);
    for (let n = 0; n < 1_000; n += 1) client.update('escrows', `x-${n}`, { purchasePrice: n });
    await assert.rejects(client.update('escrows', 'e-1', { purchasePrice: 1 }).done, { code: 'outbox_full' });
    assert.equal(client.outbox.pending().length, 1_000);
    await client.close();
    await tick(clock, 0);
  });

  test('a refusal that breaks off, or that something in between makes, refuses nothing', async () => {
    const { client, service, clock, shown } = await writer(1);
    service.faults.add({ kind: 'status', method: 'PATCH', status: 404 }, { kind: 'cut', method: 'PATCH', bytes: 20, reset: true });
    const { done } = client.update('escrows', 'e-1', { purchasePrice: 5 });
    for (let n = 0; n < 6; n += 1) await tick(clock, 1_000);
    assert.equal((await done).purchasePrice, 5);
    const { done: refusal } = client.update('escrows', 'e-1', { purchasePrice: -5 });
    service.faults.add({ kind: 'cut', method: 'PATCH', bytes: 20, reset: true });
    for (let n = 0; n < 6; n += 1) await tick(clock, 1_000);
    await assert.rejects(refusal, { code: 'invalid_field' });
    assert.equal(shown('e-1').purchasePrice, 5);
  });

  test('a token callback that fails refuses nothing: the write is sent once there is a token', async () => {
    const made = world();
    const { service, clock } = made;
    await fill(made, 1);
    const tokens = tokensOf(service, 60);
    const { client } = await made.open({ token: tokens.token, environment: { indexedDB: new IDBFactory() } });
    await tick(clock, 100);
    tokens.isAway = true;
    await tick(clock, 60_000);
    const { done } = client.update('escrows', 'e-1', { purchasePrice: 5 });
    await tick(clock, 500);
    const [{ state, reason, changes }] = client.outbox.pending();
    assert.deepEqual([state, reason, changes], ['queued', 'token', { purchasePrice: 5 }]);
    await assert.rejects(client.request('GET', '/records'), (error) => {
      assert.deepEqual([error.name, error.code, error.status, error.isTemporary, error.cause.message], ['PorchlightError', 'token', 0, true, 'Failed to fetch']);
      return true;
    });
    tokens.isAway = false;
    for (let n = 0; n < 8; n += 1) await tick(clock, 5_000);
    assert.deepEqual([(await done).purchasePrice, client.outbox.pending().length], [5, 0]);
  });

  test('requests have a limit of time', async () => {
    const { client, service, clock } = await writer(1);
    service.faults.add({ kind: 'silence', method: 'PATCH' });
    client.update('escrows', 'e-1', { purchasePrice: 5 });
    await tick(clock, 100);
    assert.equal(client.outbox.pending()[0].state, 'sending');
    await tick(clock, 15_000);
    assert.equal(client.outbox.pending()[0].reason, 'timeout');
    await tick(clock, 2_000);
    assert.deepEqual(client.outbox.pending(), []);
  });

  test('a write under a lock carries its fence', async () => {
    const { client, service, clock } = await writer(1);
    const { body: { fence } } = await post(service, '/locks', { module: 'escrows', recordId: 'e-1', session: 's' }, { user: 'u-1' });
    client.update('escrows', 'e-1', { purchasePrice: 5 }, { fence });
    await tick(clock, 200);
    assert.equal(writesOf(service).at(-1).headers['lock-fence'], String(fence));
    assert.equal(client.outbox.pending().length, 0);
  });
});
