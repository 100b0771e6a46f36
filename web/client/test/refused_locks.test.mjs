// Browsers that store nothing for a site, and frames in a sandbox, have locks and refuse every request for one.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Browser } from './browser.mjs';
import { fill, tick, world } from './support.mjs';

/** Locks that are refused, as in Chromium. After many requests they are silent, so that a page which asks without end goes on. */
function refusedLocks() {
  const locks = {
    asked: 0,
    request: async () => {
      locks.asked += 1;
      if (locks.asked > 50) return new Promise(() => {});
      throw new DOMException('Access to the Locks API is denied in this context.', 'SecurityError');
    },
  };
  return locks;
}

async function tabWithoutLocks(options) {
  const made = world();
  await fill(made, 1);
  const own = new Browser(made);
  const locks = refusedLocks();
  const tab = await own.tab({ ...options, more: { locks } });
  await tick(made.clock, 2_000);
  return { ...made, tab, locks };
}

describe('where locks are refused', () => {
  test('writes are sent, and the lock is asked for once', async () => {
    const { tab, locks, clock } = await tabWithoutLocks({ isShared: false });
    const { done } = tab.client.update('escrows', 'e-1', { purchasePrice: 5 });
    await tick(clock, 200);
    assert.deepEqual([tab.client.outbox.pending(), locks.asked], [[], 1]);
    assert.equal((await done).purchasePrice, 5);
  });

  test('a tab has a stream of its own', async () => {
    const { tab, locks, service, clock } = await tabWithoutLocks();
    assert.deepEqual([tab.client.connection.getSnapshot().state, locks.asked], ['connected', 1]);
    service.publish({ broker: true }, { type: 'listing:sold', module: 'listings', recordId: 'l-1' });
    await tick(clock, 200);
    assert.deepEqual(tab.seen, ['l-1']);
  });
});
