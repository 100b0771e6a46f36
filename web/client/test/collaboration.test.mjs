// Locks, presence and typing.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { lock, presence, typing } from '../src/index.js';
import { fill, send, tokensOf, world } from './support.mjs';

async function pair() {
  const made = world();
  await fill(made, 2);
  const { client: ann, page: annsPage } = await made.open({ user: 'ann' });
  const { client: bob } = await made.open({ user: 'bob' });
  return { ...made, ann, annsPage, bob };
}

const statusOf = (one) => one.getSnapshot().status;

describe('a lock', () => {
  test('is renewed while it is held, and others see whose it is', async () => {
    const { ann, annsPage, bob, clock, service } = await pair();
    const own = lock(ann, 'escrows', 'e-1');
    const other = lock(bob, 'escrows', 'e-1');
    const taken = own.acquire();
    await clock.advance(200);
    assert.deepEqual([await taken, statusOf(own), own.getSnapshot().fence, statusOf(other)], [true, 'held', 1, 'other']);
    for (let minute = 0; minute < 10; minute += 1) {
      await clock.advance(60_000);
      annsPage.emit('keydown');
    }
    assert.deepEqual([statusOf(own), statusOf(other), other.getSnapshot().lock.holder.userId], ['held', 'other', 'ann']);
    assert.ok(service.count('/locks/escrows/e-1/renew') > 25);
    const refused = other.acquire();
    await clock.advance(10);
    assert.equal(await refused, false);
    await own.release();
    await clock.advance(200);
    assert.deepEqual([statusOf(own), statusOf(other), other.getSnapshot().lock], ['released', 'idle', null]);
  });

  test('its fence is sent with writes under it', async () => {
    const { ann, clock, service } = await pair();
    const own = lock(ann, 'escrows', 'e-1');
    own.acquire();
    await clock.advance(100);
    ann.update('escrows', 'e-1', { status: 'closed' });
    ann.update('escrows', 'e-2', { status: 'closed' });
    await clock.advance(100);
    const fences = service.requests.filter(({ method }) => method === 'PATCH').map(({ headers }) => headers['lock-fence']);
    assert.deepEqual(fences, ['1', undefined]);
  });

  test('is asked for, and taken when it becomes free', async () => {
    const { ann, bob, clock } = await pair();
    const own = lock(ann, 'escrows', 'e-1');
    const other = lock(bob, 'escrows', 'e-1');
    own.acquire();
    await clock.advance(100);
    other.request();
    await clock.advance(200);
    assert.deepEqual([own.getSnapshot().isRequested, own.getSnapshot().requestedBy], [true, 'bob']);
    own.release();
    await clock.advance(500);
    assert.deepEqual([statusOf(other), other.getSnapshot().fence], ['held', 2]);
  });

  test('that is taken and given back in quick turns is what was wanted last', async () => {
    const { ann, clock, service } = await pair();
    const own = lock(ann, 'escrows', 'e-1');
    const held = async () => (await send(service, 'GET', '/locks')).body.locks.length;
    for (const slow of ['POST', 'DELETE', 'POST']) {
      service.faults.add({ kind: 'delay', method: slow, path: slow === 'POST' ? '/locks' : undefined, ms: 300 });
      own.acquire();
      own.release();
      const last = own.acquire();
      await clock.advance(1_000);
      assert.deepEqual([await last, statusOf(own), await held()], [true, 'held', 1], slow);
      own.release();
      await clock.advance(10);
      own.acquire();
      own.release();
      await clock.advance(1_000);
      assert.deepEqual([statusOf(own), await held(), service.log.events.at(-1).data.type], ['released', 0, 'escrow:unlocked']);
    }
  });

  test('that was given up stays released when the request for it fails afterwards', async () => {
    const { ann, clock, service } = await pair();
    const own = lock(ann, 'escrows', 'e-1');
    service.faults.add({ kind: 'silence', method: 'POST', path: '/locks' });
    const failed = assert.rejects(own.acquire(), { code: 'timeout' });
    await clock.advance(100);
    own.release();
    await clock.advance(20_000);
    await failed;
    assert.equal(statusOf(own), 'released');
  });

  test('that was taken over is reported as lost', async () => {
    const { ann, clock, service } = await pair();
    const own = lock(ann, 'escrows', 'e-1');
    own.acquire();
    await clock.advance(100);
    const token = service.token({ user: 'boss', role: 'admin' });
    await service.fetch(`${service.url}/locks/escrows/e-1/takeover`, { method: 'POST', headers: { Authorization: `Bearer ${token}` }, body: '{"session":"x"}' });
    await clock.advance(200);
    const { status, reason, fence, lock: held } = own.getSnapshot();
    assert.deepEqual([status, reason, fence, held.holder.userId], ['lost', 'taken_over', null, 'boss']);
  });

  test('ends after five minutes without activity, and can be taken again', async () => {
    const { ann, annsPage, bob, clock } = await pair();
    const own = lock(ann, 'escrows', 'e-1');
    const other = lock(bob, 'escrows', 'e-1');
    own.acquire();
    await clock.advance(200_000);
    annsPage.emit('pointermove');
    await clock.advance(299_000);
    assert.equal(statusOf(own), 'held');
    other.request();
    await clock.advance(2_000);
    const { status, reason, fence, isRequested } = own.getSnapshot();
    assert.deepEqual([status, reason, fence, isRequested, statusOf(other)], ['lost', 'idle', null, false, 'held']);
    await clock.advance(10_000);
    assert.equal(own.getSnapshot().lock.holder.userId, 'bob');
    annsPage.emit('keydown');
    await other.release();
    await clock.advance(400_000);
    assert.equal(statusOf(own), 'lost', 'only who asks for it takes it again');
    const again = own.acquire();
    await clock.advance(200);
    assert.deepEqual([await again, statusOf(own), own.getSnapshot().reason], [true, 'held', null]);
    await clock.advance(299_000);
    assert.equal(statusOf(own), 'held', 'taking it was activity');
  });

  test('ends without activity after what was written under it was sent, unless the user comes back meanwhile', async () => {
    const { open, clock, service } = await pair();
    for (const comesBack of [false, true]) {
      const { client, page } = await open({ user: 'ann', mergeMs: 2_000 });
      const own = lock(client, 'escrows', 'e-1', { idleMs: 30_000 });
      own.acquire();
      await clock.advance(29_500);
      service.faults.add({ kind: 'delay', method: 'PATCH', ms: 1_000 });
      client.update('escrows', 'e-1', { city: `Bend ${comesBack}` });
      await clock.advance(1_000);
      assert.equal(statusOf(own), 'held');
      if (comesBack) page.emit('keydown');
      await clock.advance(3_000);
      assert.equal(statusOf(own), comesBack ? 'held' : 'lost');
      const sent = service.requests.filter(({ method }) => method !== 'GET').map(({ method }) => method);
      assert.deepEqual(sent.slice(-2), comesBack ? ['POST', 'PATCH'] : ['PATCH', 'DELETE']);
      await own.release();
    }
  });

  test('does not end without activity where that is switched off', async () => {
    const { ann, clock } = await pair();
    const locks = [lock(ann, 'escrows', 'e-1', { idleMs: 0 }), lock(ann, 'escrows', 'e-2', { idleMs: Infinity })];
    for (const one of locks) one.acquire();
    await clock.advance(3_600_000);
    assert.deepEqual(locks.map(statusOf), ['held', 'held']);
  });

  test('that cannot be renewed is lost when its lease is over', async () => {
    const { ann, clock, service } = await pair();
    const own = lock(ann, 'escrows', 'e-1');
    own.acquire();
    await clock.advance(100);
    service.faults.add({ kind: 'reset', times: 100_000 });
    service.streams.cut();
    await clock.advance(59_000);
    assert.equal(statusOf(own), 'held');
    await clock.advance(20_000);
    assert.deepEqual([statusOf(own), own.getSnapshot().reason], ['lost', 'expired']);
  });

  test('is kept while the token callback fails, until its lease is over', async () => {
    const made = world();
    const { service, clock } = made;
    await fill(made, 1);
    const tokens = tokensOf(service, 30);
    const { client } = await made.open({ token: tokens.token });
    const own = lock(client, 'escrows', 'e-1');
    own.acquire();
    await clock.advance(100);
    tokens.isAway = true;
    await clock.advance(50_000);
    assert.equal(statusOf(own), 'held');
    tokens.isAway = false;
    await clock.advance(60_000);
    assert.deepEqual([statusOf(own), own.getSnapshot().fence], ['held', 1]);
    tokens.isAway = true;
    await clock.advance(100_000);
    assert.deepEqual([statusOf(own), own.getSnapshot().reason], ['lost', 'expired']);
  });

  test('that a list leaves out is looked for', async () => {
    const { ann, bob, clock, service } = await pair();
    for (const id of ['e-1', 'e-2']) lock(ann, 'escrows', id).acquire();
    const [first, second] = ['e-1', 'e-2'].map((id) => lock(bob, 'escrows', id));
    const here = presence(bob);
    await clock.advance(200);
    const list = { type: 'locks:snapshot', locks: [first.getSnapshot().lock], truncated: true, next: '1-escrows/e-1' };
    service.streams.deliverEphemeral({ broker: true }, list);
    await clock.advance(200);
    assert.deepEqual([statusOf(first), statusOf(second)], ['other', 'other']);
    assert.deepEqual(here.getSnapshot().locks.map(({ recordId }) => recordId).sort(), ['e-1', 'e-2']);
    const asked = service.requests.filter(({ method, path }) => method === 'GET' && path === '/locks').map(({ query }) => decodeURIComponent(query));
    assert.ok(asked.includes('?cursor=1-escrows/e-1') && asked.includes('?record=escrows/e-2'), asked.join());
  });
});

describe('presence', () => {
  test('has everyone with what they view and edit', async () => {
    const { ann, bob, clock } = await pair();
    const seen = presence(bob);
    presence(ann).show({ viewing: { module: 'escrows', recordId: 'e-1' } });
    await clock.advance(500);
    const person = (id) => seen.getSnapshot().people.find(({ userId }) => userId === id);
    assert.deepEqual([seen.getSnapshot().online, person('ann').viewing], [2, [{ module: 'escrows', recordId: 'e-1' }]]);
    presence(ann).show({ viewing: { module: 'escrows', recordId: 'e-1' }, editing: { module: 'escrows', recordId: 'e-1' } });
    await clock.advance(500);
    assert.equal(person('ann').editing.length, 1);
    presence(ann).leave();
    await clock.advance(500);
    assert.deepEqual([person('ann').viewing, person('ann').editing], [[], []]);
  });

  test('is right when the stream of another tab begins again while it is loaded', async () => {
    const { ann, bob, clock, service } = await pair();
    presence(ann).show();
    await clock.advance(200);
    service.faults.add({ kind: 'delay', ms: 2_000, path: '/presence', method: 'GET' });
    const seen = presence(bob);
    const begins = () => bob.events.take([{ data: { type: 'stream:ready', isShared: true }, position: null }]);
    await clock.advance(10);
    begins();
    await clock.advance(500);
    assert.deepEqual([seen.getSnapshot().isKnown, seen.getSnapshot().online], [true, 2]);
    await clock.advance(5_000);
    assert.deepEqual([seen.getSnapshot().isKnown, seen.getSnapshot().online], [true, 2]);
  });

  test('a user without activity is away, and online again with it', async () => {
    const { ann, annsPage, clock, service } = await pair();
    presence(ann).show();
    await clock.advance(310_000);
    const told = () => service.requests.filter(({ path }) => path === '/presence/heartbeat').map(({ body }) => body.status);
    assert.equal(told().at(-1), 'away');
    annsPage.emit('keydown');
    await clock.advance(200);
    assert.equal(told().at(-1), 'online');
    assert.ok(told().length < 20, `${told().length} heartbeats`);
  });

  test('leaves with the page, by a request that outlives it', async () => {
    const { ann, annsPage, clock, service } = await pair();
    presence(ann).show();
    await clock.advance(100);
    annsPage.emit('pagehide');
    await clock.advance(100);
    assert.equal(service.count('/presence/leave'), 1);
  });

  test('comes back with a page that the browser has kept, unless it had left before', async () => {
    const { ann, annsPage, clock, service } = await pair();
    const viewing = { module: 'escrows', recordId: 'e-1' };
    const told = () => service.requests.filter(({ path }) => path === '/presence/heartbeat').map(({ body }) => body.viewing);
    presence(ann).show({ viewing });
    await clock.advance(100);
    annsPage.emit('pagehide');
    annsPage.emit('pageshow');
    await clock.advance(100);
    assert.deepEqual(told(), [viewing, viewing]);
    presence(ann).leave();
    annsPage.emit('pagehide');
    annsPage.emit('pageshow');
    await clock.advance(60_000);
    assert.deepEqual(told(), [viewing, viewing]);
  });
});

describe('typing', () => {
  test('is told at most every three seconds, seen by others, and ends', async () => {
    const { ann, bob, clock, service } = await pair();
    const seen = presence(bob);
    const signal = typing(ann, { module: 'escrows', recordId: 'e-1' });
    for (let n = 0; n < 50; n += 1) {
      signal.type();
      await clock.advance(100);
    }
    assert.equal(service.count('/signals'), 2);
    assert.deepEqual(seen.getSnapshot().typing.map(({ userId, recordId }) => [userId, recordId]), [['ann', 'e-1']]);
    signal.stop();
    await clock.advance(200);
    assert.deepEqual(seen.getSnapshot().typing, []);
    signal.type();
    service.faults.add({ kind: 'reset', times: 100 });
    await clock.advance(10_000);
    assert.deepEqual(seen.getSnapshot().typing, []);
  });

  test('is told and ends also after the clock was set back', async () => {
    const { ann, bob, clock, service } = await pair();
    const seen = presence(bob);
    const signal = typing(ann, { module: 'escrows', recordId: 'e-1' });
    signal.type();
    await clock.advance(500);
    assert.equal(seen.getSnapshot().typing.length, 1);
    clock.setBack(3_600_000);
    signal.type();
    assert.equal(service.count('/signals'), 1, 'on its way');
    await clock.advance(200);
    assert.equal(service.count('/signals'), 2);
    service.faults.add({ kind: 'reset', times: 100 });
    clock.setBack(3_600_000);
    await clock.advance(10_000);
    assert.deepEqual(seen.getSnapshot().typing, []);
  });
});
