// A write that does not get through holds up those of its record, and no others.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { IDBFactory } from 'fake-indexeddb';
import { fill, tick, world } from './support.mjs';

/** A client whose updates of the first record meet a fault. */
async function writer(fault) {
  const made = world({ seed: 7 });
  const { service, clock } = made;
  await fill(made, 3);
  const environment = { indexedDB: new IDBFactory() };
  const open = async () => (await made.open({ environment })).client;
  const client = await open();
  await tick(clock, 100);
  service.faults.add({ method: 'PATCH', times: 1_000_000, ...fault });
  const sent = () => service.requests.filter(({ method }) => method === 'PATCH').map(({ path, body }) => [path.slice(-3), body]);
  const wait = async (seconds) => {
    for (let n = 0; n < seconds / 10; n += 1) await tick(clock, 10_000);
  };
  return { ...made, open, client, sent, wait, tick: (ms) => tick(clock, ms) };
}

/** How often each record was tried: the fake service does not note what something in between has answered. */
function counted({ service, client }, path) {
  let tried = 0;
  const { fetch } = client.environment;
  client.environment.fetch = (url, init) => {
    if (init?.method === 'PATCH' && url.includes(path)) tried += 1;
    return fetch(url, init);
  };
  return () => tried;
}

describe('a write', () => {
  for (const [name, status] of [['is too large for a proxy', 413], ['a firewall refuses with a page of its own', 403], ['the service cannot carry out', 500]]) {
    test(`that ${name} holds up those of its record only, also in the next page`, async () => {
      const made = await writer({ kind: 'status', status, path: '/records/escrows/e-1' });
      const { client, open, sent, wait, service, tick } = made;
      const tried = counted(made, '/e-1');
      client.update('escrows', 'e-1', { notes: 'too large' });
      client.update('escrows', 'e-1', { city: 'Bend' });
      client.update('escrows', 'e-2', { purchasePrice: 2 });
      await tick(200);
      assert.deepEqual(sent(), [['e-2', { purchasePrice: 2 }]]);
      await wait(600);
      assert.deepEqual(client.outbox.pending().map(({ recordId, reason }) => [recordId, reason]), [['e-1', `status_${status}`], ['e-1', null]]);
      assert.ok(tried() > 20 && tried() < 80, `${tried()} attempts in ten minutes`);
      await client.close();
      const next = await open();
      await tick(200);
      next.update('escrows', 'e-3', { purchasePrice: 3 });
      await tick(200);
      assert.deepEqual(sent().slice(1), [['e-3', { purchasePrice: 3 }]]);
      service.faults.clear();
      await wait(60);
      assert.deepEqual([sent().slice(2), next.outbox.pending()], [[['e-1', { notes: 'too large' }], ['e-1', { city: 'Bend' }]], []]);
    });
  }

  test('that is no JSON is refused, and the others are sent', async () => {
    const { client, sent, tick } = await writer({ kind: 'status', path: '/nothing' });
    const { done } = client.update('escrows', 'e-1', { purchasePrice: 1n });
    client.update('escrows', 'e-2', { purchasePrice: 2 });
    await tick(200);
    await assert.rejects(done, TypeError);
    assert.deepEqual([sent(), client.outbox.pending()], [[['e-2', { purchasePrice: 2 }]], []]);
  });

  for (const fault of [{ kind: 'reset' }, ...[429, 502, 503, 504].map((status) => ({ kind: 'status', status }))]) {
    test(`that meets ${fault.status ?? 'no service'} shows that the others need not be tried`, async () => {
      const made = await writer({ ...fault, path: '/records/escrows/e-1' });
      const { client, sent, service, tick, wait } = made;
      client.update('escrows', 'e-1', { purchasePrice: 1 });
      client.update('escrows', 'e-2', { purchasePrice: 2 });
      await tick(20);
      assert.deepEqual([sent(), client.outbox.pending().length], [[], 2]);
      service.faults.clear();
      await wait(60);
      assert.deepEqual(client.outbox.pending(), []);
    });
  }
});
