// Writes go with a token of the user who has made them, or not at all.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { IDBFactory } from 'fake-indexeddb';
import { memoryKeyValues } from '../src/testing/index.js';
import { claimsOf } from '../src/token.js';
import { fill, renamed, tick, world } from './support.mjs';

/** A browser with one tab at a time, whose token callback reads `user`, as if it were in `localStorage`. */
async function browser({ tokenOf = (token) => token, more = {} } = {}) {
  const made = world();
  const { service, clock } = made;
  await fill(made, 3);
  const environment = { indexedDB: new IDBFactory(), storage: memoryKeyValues(), ...more };
  const own = { user: 'ann' };
  const token = () => own.user && tokenOf(service.token({ user: own.user }));
  const open = async (more = {}) => (await made.open({ token, environment, ...more })).client;
  const sent = () => service.requests.filter(({ method, path }) => method !== 'GET' && /^\/records\/escrows\/e-/.test(path)).map(({ path, body, headers }) => {
    const claims = claimsOf((headers.authorization ?? '').slice(7));
    return [path.slice(-3), body.purchasePrice, claims.sub ?? claims.id];
  });
  const wait = async (seconds) => {
    for (let n = 0; n < seconds / 5; n += 1) await tick(clock, 5_000);
  };
  /** Somebody else signs in, in another tab: the token is asked for when the stream connects again. The network holds up writes until then. */
  const signIn = async (user) => {
    own.user = user;
    service.streams.cut();
    await wait(5);
    service.faults.clear();
    await wait(70);
  };
  return Object.assign(own, { ...made, open, sent, wait, signIn, tick: (ms) => tick(clock, ms) });
}

/** Ann's page with a write that the network has held up. */
async function waiting(own, options) {
  const client = await own.open(options);
  await own.tick(100);
  own.service.faults.add({ kind: 'reset', method: 'PATCH', times: 1_000 });
  const write = client.update('escrows', 'e-1', { purchasePrice: 7 });
  await own.tick(10);
  assert.equal(client.outbox.pending()[0].reason, 'network');
  return { client, ...write };
}

/** Locks that count who has them, and channels to nobody: there is one tab. */
function countedLocks() {
  const held = [];
  const locks = {
    async request(name, options, run) {
      held.push(name);
      await run();
      held.splice(held.indexOf(name), 1);
    },
  };
  return { held, more: { locks, BroadcastChannel: class { postMessage() {} close() {} } } };
}

/** What the next page of Ann sends. */
async function sentByAnn(own, options) {
  own.service.requests.length = 0;
  own.user = 'ann';
  const client = await own.open(options);
  await own.wait(40);
  assert.deepEqual(client.outbox.pending(), []);
  return own.sent();
}

const NAMES = { 'the usual names': undefined, 'other names': (token) => renamed(token, { sub: 'id', broker_id: 'brokerId' }) };

for (const [names, tokenOf] of Object.entries(NAMES)) {
  describe(`with claims under ${names}`, () => {
    test('a write that waits is not sent with the token of another user who has signed in in another tab', async () => {
      const own = await browser({ tokenOf });
      const { client, done } = await waiting(own);
      await own.signIn('bob');
      assert.deepEqual([own.sent(), client.outbox.pending()], [[], []]);
      await assert.rejects(done, { code: 'other_user' });
      client.update('escrows', 'e-2', { purchasePrice: 8 });
      await own.wait(5);
      assert.deepEqual(own.sent(), [['e-2', 8, 'bob']], 'their own writes are sent');
      await client.close();
      assert.deepEqual(await sentByAnn(own), [['e-1', 7, 'ann']]);
    });

    test('a tab that is loaded without a user keeps the writes of the last one from the next', async () => {
      const own = await browser({ tokenOf });
      await (await waiting(own)).client.close();
      own.service.faults.clear();
      own.user = null;
      const client = await own.open();
      await own.wait(40);
      assert.deepEqual([own.sent(), client.outbox.pending().map(({ reason }) => reason)], [[], ['needs-auth']], 'nothing is sent without a token');
      own.user = 'bob';
      client.retry();
      await own.wait(40);
      assert.deepEqual([own.sent(), client.outbox.pending()], [[], []]);
      await client.close();
      assert.deepEqual(await sentByAnn(own), [['e-1', 7, 'ann']]);
    });
  });
}

describe('the outbox', () => {
  test('does not repeat a request with another user\'s token after a refusal', async () => {
    const own = await browser();
    const client = await own.open();
    await own.tick(100);
    own.service.faults.add({ kind: 'expired', method: 'PATCH' });
    own.user = 'bob';
    client.update('escrows', 'e-1', { purchasePrice: 7 });
    await own.wait(40);
    assert.deepEqual(own.sent(), [['e-1', 7, 'ann']], 'the one that was refused');
    await client.close();
    assert.deepEqual(await sentByAnn(own), [['e-1', 7, 'ann']]);
  });

  test('of a user who comes back has what they left, and not what the other one wrote', async () => {
    const own = await browser();
    const { client } = await waiting(own);
    await own.signIn('bob');
    own.service.faults.add({ kind: 'reset', method: 'PATCH', times: 1_000 });
    client.update('escrows', 'e-2', { purchasePrice: 8 });
    await own.tick(10);
    assert.deepEqual(client.outbox.pending().map(({ recordId }) => recordId), ['e-2']);
    await own.signIn('ann');
    assert.deepEqual(own.sent(), [['e-1', 7, 'ann']]);
    await own.signIn('bob');
    assert.deepEqual(own.sent(), [['e-1', 7, 'ann'], ['e-2', 8, 'bob']]);
  });

  test('of the next user is opened once, however many writes waited, and ends with the client', async () => {
    const { held, more } = countedLocks();
    const own = await browser({ more });
    const { client } = await waiting(own);
    client.update('escrows', 'e-2', { purchasePrice: 8 });
    await own.tick(10);
    assert.equal(client.outbox.pending().length, 2);
    await own.signIn('bob');
    assert.deepEqual(held.map((name) => name.includes('bob')), [true], held.join());
    await client.close();
    await own.tick(10);
    assert.deepEqual(held, []);
  });

  test('does not get what another user has written while theirs was opened', async () => {
    const own = await browser();
    const { client } = await waiting(own);
    own.service.faults.clear();
    const use = async (user) => {
      own.user = user;
      await client.tokens.get({ isFresh: true });
    };
    await use('bob');
    const { done } = client.update('escrows', 'e-2', { purchasePrice: 8 });
    const refused = assert.rejects(done, { code: 'other_user' });
    await use('ann');
    await own.wait(40);
    await refused;
    assert.deepEqual([own.sent().at(-1), client.outbox.pending()], [['e-1', 7, 'ann'], []]);
  });

  test('of a user whom the application names waits for a token of the user who was here first', async () => {
    const own = await browser();
    const options = { userId: 'ann of b-1' };
    const { client, done } = await waiting(own, options);
    await own.signIn('bob');
    assert.deepEqual([own.sent(), client.outbox.pending().map(({ reason }) => reason)], [[], ['needs-auth']]);
    await own.signIn('ann');
    assert.deepEqual([own.sent(), (await done).purchasePrice], [[['e-1', 7, 'ann']], 7]);
  });

  test('of a tab that began without a user belongs to the first one who signs in', async () => {
    const own = await browser();
    own.user = null;
    const client = await own.open();
    client.update('escrows', 'e-1', { purchasePrice: 5 });
    await own.wait(5);
    own.user = 'ann';
    client.retry();
    await own.wait(40);
    own.service.faults.add({ kind: 'reset', method: 'PATCH', times: 1_000 });
    const { done } = client.update('escrows', 'e-2', { purchasePrice: 6 });
    await own.tick(10);
    await own.signIn('bob');
    assert.deepEqual(own.sent(), [['e-1', 5, 'ann']]);
    await assert.rejects(done, { code: 'other_user' }, 'it waited in memory');
    client.update('escrows', 'e-3', { purchasePrice: 8 });
    await own.wait(5);
    assert.deepEqual(own.sent().slice(1), [['e-3', 8, 'bob']]);
  });
});
