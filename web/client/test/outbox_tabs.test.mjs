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
  return { ...made, open, first: first.client, second: second.client, patches, priceOf, tabs: [first, second] };
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
});
