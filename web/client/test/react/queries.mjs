// The cache of TanStack Query.
import assert from 'node:assert/strict';
import { QueryClient, QueryClientProvider, QueryObserver, useQuery } from '@tanstack/react-query';
import { followQueries, useLiveQueries } from '../../src/react_query.js';
import { escrow, fill, patch, post, send, world } from '../support.mjs';
import { act, crm, describe, h, render, test } from './support.mjs';

const newCache = () => new QueryClient({ defaultOptions: { queries: { staleTime: Infinity, gcTime: Infinity, retry: false } } });

const loader = (client) => async ([module, filter]) => (await client.request('GET', `/records/${module}`, { query: filter })).body;

/** A function, and what waits until it is called. */
function waiting() {
  let answer;
  const waits = new Promise((resolve) => { answer = resolve; });
  return [answer, waits];
}

/** A followed cache with a list of escrows, loaded like an application does. */
async function cached(count, key = ['escrows'], options = {}) {
  const made = await crm(count);
  const { client, clock } = made;
  await made.advance(0);
  const queryClient = newCache();
  const stop = followQueries(client, queryClient, options);
  const loadAny = loader(client);
  const load = (wanted = key) => loadAny(wanted);
  await queryClient.fetchQuery({ queryKey: key, queryFn: () => load() });
  return { ...made, queryClient, stop, load, data: () => queryClient.getQueryData(key), tick: (ms = 200) => clock.advance(ms), records: () => queryClient.getQueryData(key).records.map(({ id }) => id) };
}

/** A followed cache with two escrows at the service, whose stream begins after a second. */
async function early() {
  const made = world();
  await fill(made, 2);
  made.service.faults.add({ kind: 'delay', path: '/stream', ms: 1_000 });
  const { client } = await made.open();
  const queryClient = newCache();
  followQueries(client, queryClient);
  const watch = (options) => new QueryObserver(queryClient, options).subscribe(() => {});
  return { made: { ...made, client }, queryClient, load: loader(client), watch };
}

const gets = ({ service }) => service.requests.filter(({ method, path }) => method === 'GET' && path.startsWith('/records')).length;

describe('a followed cache', () => {
  test('changes one record, without a request', async () => {
    const made = await cached(3);
    const before = made.data();
    await patch(made.service, '/records/escrows/e-2', { city: 'Bend' });
    await made.tick();
    const after = made.data();
    assert.equal(after.records[1].city, 'Bend');
    assert.deepEqual([after.records[0], after.records[2]], [before.records[0], before.records[2]]);
    assert.ok(after.records[0] === before.records[0] && after.records[1] !== before.records[1]);
    assert.equal(gets(made), 1);
  });

  test('adds, moves and removes records as the filter of the key says', async () => {
    const made = await cached(3, ['escrows', { status: 'open', sort: '-purchasePrice' }]);
    assert.deepEqual(made.records(), ['e-3', 'e-2', 'e-1']);
    await patch(made.service, '/records/escrows/e-1', { purchasePrice: 900_000 });
    await post(made.service, '/records/escrows', escrow(4, { purchasePrice: 500_000 }));
    await post(made.service, '/records/escrows', escrow(5, { status: 'closed' }));
    await post(made.service, '/records/escrows/e-2/archive');
    await made.tick();
    assert.deepEqual(made.records(), ['e-1', 'e-4', 'e-3']);
    assert.equal(gets(made), 1);
    await patch(made.service, '/records/escrows/e-5', { purchasePrice: 200_000 });
    await made.tick();
    assert.equal(made.service.count('/records/escrows/e-5', 'GET'), 0, 'all that are open are loaded');
    await patch(made.service, '/records/escrows/e-5', { status: 'open' });
    await made.tick();
    assert.deepEqual(made.records(), ['e-1', 'e-4', 'e-5', 'e-3']);
    assert.equal(made.service.count('/records/escrows/e-5', 'GET'), 1);
    await send(made.service, 'DELETE', '/records/escrows/e-4');
    await made.tick();
    assert.deepEqual(made.records(), ['e-1', 'e-5', 'e-3']);
  });

  test('has the records of its pages when their order changes: those that move to a later page leave, and those that move here come', async () => {
    const key = ['escrows', { sort: '-purchasePrice', limit: 3 }];
    const made = await cached(6, key);
    const { service, queryClient } = made;
    const price = (id, purchasePrice) => patch(service, `/records/escrows/${id}`, { purchasePrice });
    assert.deepEqual(made.records(), ['e-6', 'e-5', 'e-4']);
    await price('e-1', 900_000);
    await price('e-2', 100_001);
    await made.tick();
    assert.deepEqual(made.records(), ['e-1', 'e-6', 'e-5', 'e-4']);
    assert.deepEqual([service.count('/records/escrows/e-1', 'GET'), service.count('/records/escrows/e-2', 'GET')], [1, 0]);
    await price('e-6', 50_000);
    await price('e-4', 60_000);
    await made.tick();
    assert.deepEqual(made.records(), ['e-1', 'e-5']);
    // The next page begins after the place where the last record was when this page was loaded.
    await price('e-3', 100_004.5);
    await post(service, '/records/escrows', escrow(7, { purchasePrice: 100_004.2 }));
    await post(service, '/records/escrows', escrow(8, { purchasePrice: 100_003.9 }));
    await made.tick();
    assert.deepEqual(made.records(), ['e-1', 'e-5', 'e-3', 'e-7']);
    const { next } = made.data();
    const { body } = await made.client.request('GET', '/records/escrows', { query: { ...key[1], cursor: next } });
    queryClient.setQueryData(key, { pages: [made.data(), body], pageParams: [null, next] });
    const all = () => queryClient.getQueryData(key).pages.map(({ records }) => records.map(({ id }) => id).join(' '));
    assert.deepEqual(all(), ['e-1 e-5 e-3 e-7', 'e-8 e-2 e-4']);
    await price('e-4', 100_000);
    await price('e-5', 10);
    await made.tick();
    assert.deepEqual(all(), ['e-1 e-3 e-7', 'e-8 e-2 e-4'], 'the last page says what is loaded');
  });

  test('keeps arrays, single records and the pages of infinite queries', async () => {
    const made = await cached(3);
    const { queryClient, service } = made;
    const [first, second, third] = made.data().records;
    queryClient.setQueryData(['escrows', { status: 'open' }], [first, second, third]);
    queryClient.setQueryData(['escrows', 'e-2'], second);
    queryClient.setQueryData(['escrows', { limit: 2 }], { pages: [{ records: [first], next: 'a' }, { records: [second], next: 'b' }], pageParams: [null, 'a'] });
    await patch(service, '/records/escrows/e-2', { city: 'Bend' });
    await post(service, '/records/escrows', escrow(9));
    await made.tick();
    assert.deepEqual(queryClient.getQueryData(['escrows', { status: 'open' }]).map(({ id, city }) => city ?? id), ['e-9', 'e-3', 'Bend', 'e-1']);
    assert.equal(queryClient.getQueryData(['escrows', 'e-2']).version, 2);
    const { pages } = queryClient.getQueryData(['escrows', { limit: 2 }]);
    assert.deepEqual(pages.map(({ records }) => records.map(({ id }) => id)), [['e-9', 'e-3'], ['e-2']]);
    assert.equal(gets(made), 1);
  });

  test('does not lose an event that arrives while the list is loaded', async () => {
    const made = await cached(2);
    const { queryClient, service } = made;
    const [answer, waits] = waiting();
    const loading = queryClient.fetchQuery({
      queryKey: ['escrows', { sort: 'createdAt' }], staleTime: 0,
      queryFn: async () => {
        const old = await made.load(['escrows', { sort: 'createdAt' }]);
        await waits;
        return old;
      },
    });
    await made.tick(10);
    await patch(service, '/records/escrows/e-1', { city: 'Bend' });
    await post(service, '/records/escrows', escrow(3));
    await made.tick();
    answer();
    await loading;
    const { records } = queryClient.getQueryData(['escrows', { sort: 'createdAt' }]);
    assert.deepEqual(records.map(({ id, city }) => city ?? id), ['Bend', 'e-2', 'e-3']);
  });

  for (const how of ['a first load', 'a load of what is known']) {
    test(`loads again what changed between ${how} and the start of the stream`, async () => {
      const { made, queryClient, load, watch } = await early();
      const keys = [['escrows'], ['escrows', { sort: 'createdAt' }]];
      if (how !== 'a first load') for (const key of keys) queryClient.setQueryData(key, await load(key));
      const [answer, waits] = waiting();
      const queryFn = async ({ queryKey }) => {
        const old = await load(queryKey);
        await waits;
        return old;
      };
      watch({ queryKey: keys[0], queryFn, staleTime: 0 });
      const other = queryClient.prefetchQuery({ queryKey: keys[1], queryFn, staleTime: 0 });
      await made.clock.advance(10);
      await patch(made.service, '/records/escrows/e-1', { city: 'Bend' });
      await made.clock.advance(2_000);
      assert.equal(made.state(made.client).state, 'connected');
      answer();
      await other;
      await made.clock.advance(100);
      assert.equal(queryClient.getQueryData(keys[0]).records.at(-1).city, 'Bend');
      assert.equal(queryClient.getQueryState(keys[1]).isInvalidated, true, 'who looks at it later loads it again');
      const { length } = made.service.requests;
      await patch(made.service, '/records/escrows/e-2', { city: 'Reno' });
      await made.clock.advance(100);
      assert.deepEqual([made.service.requests.length, queryClient.getQueryData(keys[0]).records[0].city], [length + 1, 'Reno'], 'once');
    });
  }

  test('marks what a cancelled load would have replaced, if the stream began meanwhile', async () => {
    const { made, queryClient, load } = await early();
    queryClient.setQueryData(['escrows'], await load(['escrows']));
    await patch(made.service, '/records/escrows/e-1', { city: 'Bend' });
    queryClient.prefetchQuery({ queryKey: ['escrows'], staleTime: 0, queryFn: () => new Promise(() => {}) });
    await made.clock.advance(2_000);
    await patch(made.service, '/records/escrows/e-2', { city: 'Reno' });
    await made.clock.advance(100);
    await queryClient.cancelQueries();
    assert.equal(queryClient.getQueryState(['escrows']).isInvalidated, true);
    assert.equal(queryClient.getQueryData(['escrows']).records[0].city, 'Reno');
  });

  test('asks for one record when an event was too large or a version is missing', async () => {
    const made = await cached(3);
    const { record } = (await made.service.part('records:escrows', () => null)).get('e-2');
    made.service.publish({ team: 'team-a' }, { type: 'escrow:updated', module: 'escrows', recordId: 'e-2', version: 5, truncated: true });
    Object.assign(record, { version: 5, city: 'Bend' });
    await made.tick();
    assert.equal(made.data().records[1].city, 'Bend');
    assert.equal(made.service.count('/records/escrows/e-2', 'GET'), 1);
    assert.equal(made.service.count('/records/escrows', 'GET'), 1);
  });

  test('asks for a record whose team changes, also when a trigger wrote it without a new version', async () => {
    const made = await cached(3);
    const { queryClient, service } = made;
    const [, second] = made.data().records;
    queryClient.setQueryData(['escrows', 'e-2'], second);
    // A record without a team is everybody's.
    Object.assign(service.part('records:escrows', () => null).get('e-2').record, { teamId: null, city: 'Bend' });
    service.publish({ team: 'team-a' }, { type: 'escrow:updated', module: 'escrows', recordId: 'e-2', version: second.version, changes: { teamId: null } });
    await made.tick();
    assert.equal(service.count('/records/escrows/e-2', 'GET'), 1);
    for (const shown of [made.data().records[1], queryClient.getQueryData(['escrows', 'e-2'])]) {
      assert.deepEqual([shown.teamId, shown.city, shown.version], [null, 'Bend', second.version]);
    }
  });

  test('asks once for a record that several queries have', async () => {
    const made = await cached(3);
    made.queryClient.setQueryData(['escrows', 'e-2'], made.data().records[1]);
    await patch(made.service, '/records/escrows/e-2', { teamId: null });
    await made.tick();
    const { teamId, version } = made.queryClient.getQueryData(['escrows', 'e-2']);
    assert.deepEqual([made.service.count('/records/escrows/e-2', 'GET'), teamId, version], [1, null, 2]);
  });

  test('loses a record that has moved to a team of others within one version', async () => {
    const made = await cached(3);
    const { service } = made;
    const { version } = made.data().records[1];
    Object.assign(service.part('records:escrows', () => null).get('e-2').record, { teamId: 'team-b' });
    service.publish({ team: 'team-a' }, { type: 'escrow:updated', module: 'escrows', recordId: 'e-2', version, changes: { teamId: 'team-b' } });
    await made.tick();
    assert.deepEqual(made.records(), ['e-3', 'e-1']);
  });

  test('loads again what a reset may have missed, and keys that it does not know', async () => {
    const made = await cached(2);
    const { queryClient, service } = made;
    queryClient.setQueryData(['escrows', 'mine', 'new'], [made.data().records[0]]);
    await post(service, '/records/escrows', escrow(3));
    await made.tick();
    assert.equal(queryClient.getQueryState(['escrows', 'mine', 'new']).isInvalidated, true);
    assert.equal(queryClient.getQueryState(['escrows']).isInvalidated, false);
    service.streams.cut();
    service.log.append({ team: 'team-a' }, { type: 'listing:sold' }, 0);
    service.log.expire(service.log.head);
    await made.tick(5_000);
    assert.equal(queryClient.getQueryState(['escrows']).isInvalidated, true);
  });

  test('has nothing of another user who was here first', async () => {
    const made = await cached(2);
    const { client, service } = made;
    client.setToken(service.token({ user: 'bob' }));
    await made.tick(2_000);
    assert.equal(made.data(), undefined);
  });

  test('changes nothing any more after the end', async () => {
    const made = await cached(2);
    made.stop();
    const before = made.data();
    await patch(made.service, '/records/escrows/e-2', { city: 'Bend' });
    await made.tick();
    assert.equal(made.data(), before);
  });

  test('works with a hook, in StrictMode', async () => {
    const { service, client, inProvider, advance } = await crm(3);
    const queryClient = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity } } });
    const queryFn = async () => (await client.request('GET', '/records/escrows')).body.records;
    const List = () => {
      useLiveQueries();
      const { data = [] } = useQuery({ queryKey: ['escrows'], queryFn });
      return data.map(({ city, id }) => city ?? id).join(' ');
    };
    const shown = await render(inProvider(h(QueryClientProvider, { client: queryClient }, h(List))));
    const wait = () => act(() => new Promise((wake) => setTimeout(wake, 20)));
    await advance(100);
    await wait();
    assert.equal(shown.text, 'e-3 e-2 e-1');
    const before = gets({ service });
    await patch(service, '/records/escrows/e-2', { city: 'Bend' });
    await advance(100);
    await wait();
    assert.equal(shown.text, 'e-3 Bend e-1');
    assert.equal(gets({ service }), before);
    await shown.unmount();
    queryClient.clear();
  });
});
