// What a user may see changes, or another user signs in: nothing that was loaded before is left on the screen.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { activity, notifications } from '../src/index.js';
import '../src/tabs/shared_stream.js';
import { Browser } from './browser.mjs';
import { escrow, fill, post, world } from './support.mjs';

const ids = (list) => list.getSnapshot().records.map(({ id }) => id).sort();

/** A service with a record of each of two teams. */
async function twoTeams() {
  const made = world({ seed: 1 });
  for (const [n, team] of [[1, 'team-a'], [2, 'team-b']]) await post(made.service, '/records/escrows', escrow(n, { teamId: team }), { team });
  return made;
}

/** What a client shows, and the resets that it passes on. */
function shownBy(client) {
  const shown = { list: client.records('escrows'), one: client.record('escrows', 'e-2'), resets: [] };
  client.onReset(({ reason, position }) => shown.resets.push([reason, position]));
  shown.list.subscribe(() => {});
  shown.one.subscribe(() => {});
  return shown;
}

/** A client whose token callback reads `user`, `teams` and `role` from what is returned. */
async function opened(rights = {}) {
  const made = await twoTeams();
  const own = { user: 'ann', teams: ['team-a', 'team-b'], role: 'agent', ...rights };
  const { client, diagnostics } = await made.open({ token: () => made.service.token(own) });
  const shown = shownBy(client);
  await made.clock.advance(500);
  return Object.assign(own, { ...made, ...shown, client, diagnostics });
}

describe('after a change of rights', () => {
  test('the records of a team that the user has left are gone, also with the same token', async () => {
    const { service, clock, open } = await twoTeams();
    const { client, diagnostics } = await open({ token: service.token({ user: 'ann', teams: ['team-a', 'team-b'] }) });
    const { list, one, resets } = shownBy(client);
    await clock.advance(500);
    assert.deepEqual([ids(list), one.getSnapshot().status], [['e-1', 'e-2'], 'ready']);
    service.leave('ann', 'team-b');
    await clock.advance(5_000);
    assert.deepEqual([ids(list), one.getSnapshot().status, one.getSnapshot().record], [['e-1'], 'missing', null]);
    assert.deepEqual(resets, [['rights', service.log.position]]);
    assert.deepEqual(diagnostics.find(({ message }) => message === 'reset').data.reason, 'rights');
    assert.equal(service.count('/records/escrows', 'GET'), 2, 'it was loaded again once');
  });

  test('the records of a team that the user has joined come, and what was shown stays until then', async () => {
    const own = await opened({ teams: ['team-a'] });
    const { list, clock, service, client, resets } = own;
    assert.deepEqual(ids(list), ['e-1']);
    own.teams = ['team-a', 'team-b'];
    const seen = [];
    list.subscribe(() => seen.push(list.getSnapshot().status));
    client.setToken(service.token(own));
    await clock.advance(5_000);
    assert.deepEqual([ids(list), resets.map(([reason]) => reason)], [['e-1', 'e-2'], ['rights']]);
    assert.ok(!seen.includes('loading'));
    await post(service, '/records/escrows', escrow(3, { teamId: 'team-b' }), { team: 'team-b' });
    await clock.advance(500);
    assert.deepEqual(ids(list), ['e-1', 'e-2', 'e-3']);
  });

  test('of which only the service knows, everything is loaded again', async () => {
    const { clock, service, resets } = await opened();
    for (const stream of [...service.streams.open]) stream.close('changed');
    await clock.advance(5_000);
    assert.deepEqual([resets.length, service.count('/records/escrows', 'GET')], [1, 2]);
  });

  test('a page of activity that was loaded before does not stay', async () => {
    const own = await opened();
    const acts = activity(own.client);
    acts.subscribe(() => {});
    await own.clock.advance(500);
    const { length } = acts.getSnapshot().activity;
    own.teams = ['team-a'];
    own.service.leave('ann', 'team-b');
    await own.clock.advance(5_000);
    const left = acts.getSnapshot().activity;
    assert.ok(length > left.length && left.every(({ recordId }) => recordId !== 'e-2'), JSON.stringify(left));
  });

  test('that is none, nothing is loaded again: another token of the same user, and another transport', async () => {
    const { clock, service, client, resets } = await opened();
    service.streams.cut();
    await clock.advance(5_000);
    client.setToken(service.token({ user: 'ann', teams: ['team-a', 'team-b'], seconds: 7_200 }));
    await clock.advance(5_000);
    service.streams.cut();
    service.faults.add({ kind: 'silence', path: '/stream', times: 2 });
    await clock.advance(60_000);
    assert.equal(client.connection.getSnapshot().transport, 'poll');
    await clock.advance(400_000);
    assert.equal(client.connection.getSnapshot().transport, 'fetch');
    assert.deepEqual([resets, service.count('/records/escrows', 'GET')], [[], 1]);
  });

  for (const hasWorkers of [false, true]) {
    test(`each tab loads again, also one that was frozen meanwhile, with ${hasWorkers ? 'a SharedWorker' : 'locks'}`, async () => {
      const made = await twoTeams();
      const { service, clock } = made;
      const browser = new Browser(made, { hasWorkers });
      const token = service.token({ user: 'ann', teams: ['team-a', 'team-b'] });
      const tabs = [];
      for (let n = 0; n < 3; n += 1) tabs.push(await browser.tab({ token }));
      const all = tabs.map(({ client }) => shownBy(client));
      await clock.advance(1_000);
      for (const { list } of all) assert.deepEqual(ids(list), ['e-1', 'e-2']);
      tabs[2].freeze();
      service.leave('ann', 'team-b');
      await clock.advance(10_000);
      tabs[2].thaw();
      await clock.advance(10_000);
      for (const { list, resets } of all) assert.deepEqual([ids(list), resets.map(([reason]) => reason)], [['e-1'], ['rights']]);
    });
  }
});

describe('after another user has signed in', () => {
  test('nothing of the first one is shown, also before the answers for the second one come', async () => {
    const own = await opened();
    const { service, clock, client, list, one, resets } = own;
    await post(service, '/notifications', { audience: { user: 'ann' }, level: 'warning', title: 'for Ann' });
    const feeds = [notifications(client), activity(client)];
    for (const feed of feeds) feed.subscribe(() => {});
    await clock.advance(500);
    assert.deepEqual([feeds[0].getSnapshot().unread, ids(list)], [1, ['e-1', 'e-2']]);
    Object.assign(own, { user: 'bob', teams: ['team-a'] });
    service.faults.add({ kind: 'status', status: 503, path: '/records', times: 100 }, { kind: 'status', status: 503, path: '/notifications', times: 100 }, { kind: 'status', status: 503, path: '/activity', times: 100 });
    service.streams.cut();
    await clock.advance(1_100);
    assert.deepEqual(resets.map(([reason]) => reason), ['user']);
    assert.deepEqual([ids(list), list.getSnapshot().status, one.getSnapshot().record], [[], 'loading', null]);
    assert.equal(list.get('e-2'), undefined);
    const [{ unread, notifications: titles }, { activity: acts }] = feeds.map((feed) => feed.getSnapshot());
    assert.deepEqual([unread, titles, acts], [0, [], []]);
    service.faults.clear();
    await clock.advance(60_000);
    assert.deepEqual([ids(list), one.getSnapshot().status, feeds[0].getSnapshot().notifications], [['e-1'], 'missing', []]);
  });

  test('by long polls, everything is loaded for the second one', async () => {
    const made = await twoTeams();
    const own = { user: 'ann', teams: ['team-a', 'team-b'] };
    const { client } = await made.open({ token: () => made.service.token(own), transports: ['poll'] });
    const { list } = shownBy(client);
    await made.clock.advance(500);
    assert.deepEqual(ids(list), ['e-1', 'e-2']);
    Object.assign(own, { user: 'bob', teams: ['team-a'] });
    client.setToken(made.service.token(own));
    made.service.faults.add({ kind: 'reset', path: '/events' });
    await made.clock.advance(60_000);
    assert.deepEqual(ids(list), ['e-1']);
    await fill(made, 1, 3);
    await made.clock.advance(1_000);
    assert.equal(list.getSnapshot().records.length, 2);
  });
});
