// Who is online and what is locked, built from messages. No browser is needed.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { People } from '../console/people.js';

const SINCE = '2025-11-02T12:00:00.000Z';
const user = (userId, status = 'online') => ({ userId, status, since: SINCE, viewing: [], editing: [] });
const snapshot = (users, more = {}) => ({ type: 'presence:snapshot', users, online: users.length, complete: true, ...more });
const holder = (userId) => ({ userId, session: 'tab-1' });
const at = (recordId) => ({ module: 'listings', recordId });
const lock = (recordId, userId, fence) => ({ ...at(recordId), holder: holder(userId), fence, lockedAt: SINCE, lockedUntil: SINCE, waiting: 0 });
const locked = (recordId, userId, fence) => ({ type: 'listing:locked', ...at(recordId), data: { holder: holder(userId), fence, lockedAt: SINCE, lockedUntil: SINCE } });
const unlocked = (recordId) => ({ type: 'listing:unlocked', ...at(recordId), data: { holder: holder('u-1'), fence: 1, lockedAt: SINCE, reason: 'released' } });
const turned = (userId, status) => ({ type: `user:presence:${status}`, userId, data: { status, since: SINCE, online: 9, of: { broker: true } } });
const moved = (userId, verb, comes) => ({ type: `user:${verb}:listing`, ...at('l-1'), userId, data: { [verb]: comes } });
const signal = (name, userId, data = {}) => ({ type: `user:${name}`, ...at('l-1'), userId, data });

/** The state after these messages: `[data, position, nowMs]`, or only the data. */
function after(...messages) {
  const people = new People('u-1');
  for (const message of messages) {
    const [data, position = null, nowMs = 0] = Array.isArray(message) ? message : [message];
    people.take(data, position, nowMs);
  }
  return people;
}

const names = (people, nowMs = 0) => people.view(nowMs).people.map(({ userId }) => userId);
const lockedBy = (people) => people.view(0).locks.map(({ path, holder: { userId } }) => `${path} ${userId}`);

describe('the people', () => {
  test('a snapshot replaces everything', () => {
    const people = after(snapshot([user('u-1'), user('u-2')]), snapshot([user('u-3')]));
    assert.deepEqual(names(people), ['u-3']);
    assert.equal(people.view(0).online, 1);
  });

  test('people come online, go away and go offline', () => {
    const people = after(snapshot([user('u-1')]), turned('u-2', 'online'), turned('u-1', 'away'));
    assert.deepEqual(people.view(0).people.map(({ userId, status }) => [userId, status]), [['u-1', 'away'], ['u-2', 'online']]);
    assert.equal(people.view(0).online, 1);
    people.take(turned('u-2', 'offline'), null, 0);
    assert.deepEqual(names(people), ['u-1']);
  });

  test('opened records are shown until they are closed, also after a change of status', () => {
    const people = after(snapshot([user('u-2')]), moved('u-2', 'viewing', true), moved('u-2', 'editing', true), turned('u-2', 'away'));
    const [person] = people.view(0).people;
    assert.deepEqual([person.viewing, person.editing], [['listings/l-1'], ['listings/l-1']]);
    people.take(moved('u-2', 'viewing', false), null, 0);
    assert.deepEqual(people.view(0).people[0].viewing, []);
  });

  test('records that an unknown user opens are ignored', () => {
    const people = after(snapshot([user('u-1')]), moved('u-2', 'viewing', true), turned('u-1', 'offline'), moved('u-1', 'viewing', false));
    assert.deepEqual(names(people), []);
  });

  test('of a large crowd only the number comes, and on the stream of a broker only that of the broker', () => {
    const ready = { type: 'stream:ready', scopes: { user: 'u-1', teams: ['a'], broker: 'b' } };
    const count = (online, of) => ({ type: 'presence:count', data: { online, of } });
    const people = after(ready, snapshot([], { online: 400, complete: false }), count(300, { team: 'a' }), count(410, { broker: true }));
    assert.equal(people.view(0).online, 410);
    assert.equal(people.view(0).isComplete, false);
  });

  test('typing ends by itself, or with the event of its end', () => {
    const people = after(snapshot([user('u-2')]), [signal('typing', 'u-2', { endsInMs: 6000 }), null, 1000]);
    assert.deepEqual(people.view(6999).people[0].doing, [{ name: 'typing', target: 'listings/l-1' }]);
    assert.deepEqual(people.view(7000).people[0].doing, []);
    people.take(signal('typing', 'u-2', { endsInMs: 6000 }), null, 8000);
    people.take(signal('stopped_typing', 'u-2'), null, 8001);
    assert.deepEqual(people.view(8002).people[0].doing, []);
  });

  test('a renewal extends typing, and typing in two places is shown twice', () => {
    const inTeam = { type: 'user:typing', userId: 'u-2', data: { team: 'a', endsInMs: 6000 } };
    const typing = signal('typing', 'u-2', { endsInMs: 6000 });
    const people = after(snapshot([user('u-2')]), [typing, null, 0], [inTeam, null, 0], [typing, null, 5000]);
    assert.deepEqual(people.view(5999).people[0].doing.length, 2);
    assert.deepEqual(people.view(10_999).people[0].doing, [{ name: 'typing', target: 'listings/l-1' }]);
  });

  test('a user who types without being online is shown while it lasts', () => {
    const people = after(snapshot([]), signal('typing', 'u-9', { endsInMs: 10 }));
    assert.deepEqual(people.view(0).people.map(({ userId, status }) => [userId, status]), [['u-9', null]]);
    assert.deepEqual(names(people, 10), []);
  });

  test('a logged event with the type of a state is ignored', () => {
    const people = after(snapshot([user('u-1')]), [turned('u-2', 'online'), '7-k', 0], [snapshot([]), '8-k', 0]);
    assert.deepEqual(names(people), ['u-1']);
  });
});

describe('the locks', () => {
  const held = (...locks) => ({ type: 'locks:snapshot', position: '10-k', locks });

  test('only events after the snapshot change them', () => {
    const people = after(
      held(lock('l-1', 'u-1', 1)),
      [unlocked('l-1'), '10-k'],
      [locked('l-2', 'u-2', 1), '9-k'],
      [locked('l-3', 'u-3', 1), '11-k'],
    );
    assert.deepEqual(lockedBy(people), ['listings/l-1 u-1', 'listings/l-3 u-3']);
    people.take(unlocked('l-1'), '12-k', 0);
    assert.deepEqual(lockedBy(people), ['listings/l-3 u-3']);
  });

  test('positions are compared as numbers of any length', () => {
    const people = after({ type: 'locks:snapshot', position: '99999999999999998-k', locks: [] });
    people.take(locked('l-1', 'u-1', 1), '99999999999999998-k', 0);
    assert.deepEqual(lockedBy(people), []);
    people.take(locked('l-1', 'u-1', 1), '99999999999999999-k', 0);
    assert.deepEqual(lockedBy(people), ['listings/l-1 u-1']);
  });

  test('the next snapshot replaces them', () => {
    const people = after(held(lock('l-1', 'u-1', 1)), { type: 'locks:snapshot', position: '3-z', locks: [lock('l-2', 'u-2', 1)], truncated: true });
    assert.deepEqual(lockedBy(people), ['listings/l-2 u-2']);
    assert.equal(people.view(0).areLocksComplete, false);
    people.take(unlocked('l-2'), '4-z', 0);
    assert.deepEqual(lockedBy(people), []);
  });

  test('a lock that was taken over belongs to the new holder', () => {
    const people = after(held(lock('l-1', 'u-2', 1)), [unlocked('l-1'), '11-k'], [locked('l-1', 'u-1', 2), '12-k']);
    assert.deepEqual(people.view(0).locks.map(({ fence, isOwn }) => [fence, isOwn]), [[2, true]]);
  });

  test('a renewal extends only its own grant', () => {
    const people = after(held(lock('l-1', 'u-1', 2)));
    people.renewed({ ...lock('l-1', 'u-1', 1), lockedUntil: 'of old' });
    assert.equal(people.view(0).locks[0].lockedUntil, SINCE);
    people.renewed({ ...lock('l-1', 'u-1', 2), lockedUntil: 'later' });
    assert.equal(people.view(0).locks[0].lockedUntil, 'later');
  });

  test('other events with the same ending are ignored', () => {
    const people = after(held());
    for (const data of [undefined, null, 'shut', { holder: 'u-1' }, { holder: holder('u-1'), fence: 1 }]) {
      assert.equal(people.take({ type: 'door:locked', ...at('l-1'), data }, '11-k', 0), false);
    }
    assert.deepEqual(lockedBy(people), []);
  });
});
