// Answers about a lock that come after an event which says something newer.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { lock } from '../src/index.js';
import { fill, world } from './support.mjs';

const LATE_MS = 1_000;

/** Ann, Bob and Cleo. The answer to Bob's next request that `isLate` names comes a second late, the events come at once. */
async function three() {
  const made = world();
  const { service, clock } = made;
  await fill(made, 1);
  const own = { isLate: null };
  const fetch = async (url, init) => {
    const name = `${init.method} ${new URL(url).pathname}`;
    const answer = await service.fetch(url, init);
    if (own.isLate === name) {
      own.isLate = null;
      await new Promise((wake) => { clock.setTimeout(wake, LATE_MS); });
    }
    return answer;
  };
  const { client: bob } = await made.open({ user: 'bob', environment: { fetch } });
  const [ann, cleo] = await Promise.all(['ann', 'cleo'].map(async (user) => (await made.open({ user })).client));
  const lockOf = (client) => lock(client, 'escrows', 'e-1');
  const acquire = async (one) => {
    const taken = one.acquire();
    await clock.advance(100);
    return taken;
  };
  return Object.assign(own, { ...made, bob, bobs: () => lockOf(bob), anns: lockOf(ann), cleos: lockOf(cleo), acquire, tick: (ms) => clock.advance(ms) });
}

/** Ann has the lock, and the answer to the next of these requests of Bob comes late. */
async function heldByAnn(late) {
  const own = await three();
  const bobs = own.bobs();
  await own.acquire(own.anns);
  own.isLate = late;
  return { own, bobs };
}

const shown = (one) => [one.getSnapshot().status, one.getSnapshot().lock?.holder.userId ?? null];

describe('a lock that is refused', () => {
  test('is free when its holder has given it back before the refusal was here', async () => {
    const { own, bobs } = await heldByAnn('POST /locks');
    const taken = bobs.acquire();
    await own.tick(100);
    own.anns.release();
    await own.tick(2 * LATE_MS);
    assert.deepEqual([await taken, shown(bobs)], [false, ['idle', null]]);
  });

  test('is that of whoever has taken it meanwhile', async () => {
    const { own, bobs } = await heldByAnn('POST /locks');
    bobs.acquire();
    await own.tick(100);
    own.anns.release();
    await own.tick(100);
    assert.equal(await own.acquire(own.cleos), true);
    await own.tick(2 * LATE_MS);
    assert.deepEqual(shown(bobs), ['other', 'cleo']);
  });
});

test('a lock that was granted and taken over before the grant was here is lost', async () => {
  const own = await three();
  const bobs = own.bobs();
  own.isLate = 'POST /locks';
  bobs.acquire();
  await own.tick(100);
  const token = own.service.token({ user: 'boss', role: 'admin' });
  await own.service.fetch(`${own.service.url}/locks/escrows/e-1/takeover`, { method: 'POST', headers: { Authorization: `Bearer ${token}` }, body: '{"session":"x"}' });
  await own.tick(2 * LATE_MS);
  assert.deepEqual([bobs.getSnapshot().status, bobs.getSnapshot().reason], ['lost', 'taken_over']);
});

describe('a lock that is asked for', () => {
  test('is taken when it becomes free before the answer is here', async () => {
    const { own, bobs } = await heldByAnn('POST /locks/escrows/e-1/request');
    bobs.request();
    await own.tick(100);
    own.anns.release();
    await own.tick(2 * LATE_MS);
    assert.deepEqual(shown(bobs), ['held', 'bob']);
  });

  test('is not taken by who has given up before the answer is here', async () => {
    const { own, bobs } = await heldByAnn('POST /locks/escrows/e-1/request');
    bobs.request();
    await own.tick(100);
    bobs.release();
    await own.tick(2 * LATE_MS);
    own.anns.release();
    await own.tick(LATE_MS);
    assert.deepEqual([shown(bobs), own.service.count('/locks', 'POST')], [['released', null], 1]);
  });

  test('is not taken when the request has failed', async () => {
    const own = await three();
    const bobs = own.bobs();
    await own.acquire(own.anns);
    own.service.faults.add({ kind: 'reset', isLate: true, path: '/locks/escrows/e-1/request' });
    const failed = assert.rejects(bobs.request());
    await own.tick(100);
    await failed;
    own.anns.release();
    await own.tick(LATE_MS);
    assert.deepEqual(shown(bobs), ['idle', null]);
  });
});

describe('a list of locks that is older than what was heard since', () => {
  test('does not free a lock that was taken', async () => {
    const own = await three();
    own.isLate = 'GET /locks';
    const bobs = own.bobs();
    await own.tick(100);
    await own.acquire(own.anns);
    await own.tick(2 * LATE_MS);
    assert.deepEqual(shown(bobs), ['other', 'ann']);
  });

  test('does not bring back a lock that was given back', async () => {
    const own = await three();
    await own.acquire(own.anns);
    own.isLate = 'GET /locks';
    const bobs = own.bobs();
    await own.tick(100);
    own.anns.release();
    await own.tick(2 * LATE_MS);
    assert.deepEqual(shown(bobs), ['idle', null]);
  });
});
