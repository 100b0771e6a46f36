// The service in memory answers like the real one: the same requests are sent to both, and the answers compared.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Server, until } from '../../test/support.mjs';
import { connect } from '../src/index.js';
import { FakeService } from '../src/testing/index.js';
import { SseParser } from '../src/sse_parser.js';

const UUID = '0f8fad5b-d9cb-469f-a165-70867728950e';
const LATER = '7c9e6679-7425-40de-944b-e07fc1f90ae7';

/** What differs from run to run is replaced by what it is. */
function shape(value, key = '') {
  if (Array.isArray(value)) return value.map((one) => shape(one, key));
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, one]) => [name, shape(one, name)]));
  if (key === 'detail' || key === 'title' || key === 'text') return '(text)';
  if (key === 'stream') return '(stream)';
  if (['id', 'taskId', 'retryOf'].includes(key) && (typeof value === 'number' || (![UUID, LATER].includes(value) && /^(task-\d+|[a-z0-9]{20})$/.test(value)))) return '(id)';
  if (key === 'ids' || key === 'upTo') return '(id)';
  if (key === 'userName') return '(name)';
  if (key === 'cursor' || key === 'next') return value === null ? null : '(cursor)';
  if (typeof value === 'string' && /^\d+-\w+$/.test(value)) return '(position)';
  if (typeof value === 'string' && /^\d{4}-\d\d-\d\dT/.test(value)) return '(time)';
  return value;
}

/** Fields that a table of the real service has and that nobody has written. */
function withoutDefaults(body) {
  if (Array.isArray(body)) return body.map(withoutDefaults);
  if (!body || typeof body !== 'object') return body;
  const isRecord = 'version' in body && 'ownerId' in body;
  const kept = Object.entries(body).filter(([name, value]) => !(isRecord && (value === null || name === 'status') && !['teamId', 'archivedAt'].includes(name)));
  return Object.fromEntries(kept.map(([name, value]) => [name, withoutDefaults(value)]));
}

const HEADERS = ['etag', 'stream-position', 'idempotency-replayed', 'location', 'content-type'];

async function exchange(fetch, url, token, { method = 'GET', path, body, headers = {} }, known = {}) {
  const response = await fetch(`${url}${typeof path === 'function' ? path(known) : path}`, {
    method, headers: { Authorization: `Bearer ${token}`, ...(body && { 'Content-Type': 'application/json' }), ...headers }, body: body && JSON.stringify(body),
  });
  const text = await response.text();
  if (method === 'POST' && response.status === 201) known.id = JSON.parse(text).id;
  known.first ??= known.id;
  const seen = Object.fromEntries(HEADERS.filter((name) => response.headers.has(name)).map((name) => [name, shape(response.headers.get(name))]));
  return { status: response.status, headers: seen, body: text ? withoutDefaults(shape(JSON.parse(text))) : null };
}

/** A stream of a loaded machine may take so long. */
const PATIENCE_MS = 20_000;

/** The messages of a stream until one of this type. */
async function messages(fetch, url, token, path, last) {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(new Error(`${path}: no ${last} in time`)), PATIENCE_MS);
  const response = await fetch(`${url}${path}`, { headers: { Authorization: `Bearer ${token}` }, signal: abort.signal });
  const parser = new SseParser();
  const decoder = new TextDecoder();
  const seen = [];
  const reader = response.body.getReader();
  while (!seen.some(({ type }) => type === last)) {
    const { value, done } = await reader.read();
    assert.ok(!done, `${path} ended before ${last}: ${seen.map(({ type }) => type)}`);
    for (const { type, data, id } of parser.push(decoder.decode(value, { stream: true }))) {
      // They have no place in the order: others come and go at any time.
      if (type.startsWith('presence:') && type !== 'presence:snapshot') continue;
      seen.push({ type, data: data && withoutDefaults(shape(JSON.parse(data))), id: id && '(position)' });
    }
  }
  clearTimeout(timer);
  abort.abort();
  return { status: response.status, type: response.headers.get('content-type'), messages: seen };
}

const at = (path, more = {}) => ({ path, ...more });
const write = (method, path, body, headers) => ({ method, path, body, headers });

const RECORDS = [
  at('/records/boats'),
  at('/records/escrows?limit=2'),
  write('POST', '/records/escrows', { id: UUID, address: '1 Oak St', purchasePrice: 100 }),
  write('POST', '/records/escrows', { id: UUID, address: '1 Oak St' }),
  write('POST', '/records/escrows', { id: LATER, address: '2 Oak St', purchasePrice: 200 }),
  at(`/records/escrows/${UUID}`),
  at('/records/escrows/nothing'),
  write('PATCH', `/records/escrows/${UUID}?merge=fields`, { purchasePrice: 101 }, { 'If-Match': '"1"' }),
  write('PATCH', `/records/escrows/${UUID}?merge=fields`, { purchasePrice: 102 }, { 'If-Match': '"1"' }),
  write('PATCH', `/records/escrows/${UUID}?merge=fields`, { city: 'Bend' }, { 'If-Match': '"1"' }),
  write('PATCH', `/records/escrows/${UUID}`, { version: 9 }),
  write('PATCH', `/records/escrows/${UUID}`, { city: 'Bend' }, { 'Lock-Fence': '99' }),
  at('/records/escrows?sort=-purchasePrice&limit=1'),
  at('/records/escrows?q=2+oak'),
  write('POST', `/records/escrows/${UUID}/archive`),
  write('PATCH', `/records/escrows/${UUID}`, { city: 'Reno' }),
  at('/records/escrows'),
  at('/records/escrows?archived=all&sort=address'),
  write('POST', `/records/escrows/${UUID}/restore`),
  ...['Bend', 'Bend', 'Reno'].map((city) => write('PATCH', `/records/escrows/${UUID}`, { city }, { 'Idempotency-Key': 'k' })),
  write('DELETE', `/records/escrows/${UUID}`),
  write('DELETE', `/records/escrows/${UUID}`),
  at('/nothing'),
  write('PUT', '/records/escrows', {}),
  // Events of records come a moment later. Those of locks do not, and would overtake them.
  { ...at('/events?after=0&types=escrow:deleted'), until: ({ events }) => events.length === 1 },
  at('/events?after=0&limit=3'),
  at('/events?after=99999999'),
  at('/events?after=1-other'),
];

const COLLABORATION = [
  write('POST', '/locks', { module: 'escrows', recordId: LATER, session: 'tab-1', leaseSeconds: 300 }),
  write('POST', '/locks', { module: 'escrows', recordId: LATER, session: 'tab-2', leaseSeconds: 300 }),
  write('POST', `/locks/escrows/${LATER}/renew`, { session: 'tab-1' }),
  write('POST', `/locks/escrows/${LATER}/renew`, { session: 'tab-9' }),
  write('POST', `/locks/escrows/${LATER}/request`, { session: 'tab-1' }),
  at('/locks'),
  write('DELETE', `/locks/escrows/${LATER}?session=tab-1`),
  write('DELETE', `/locks/escrows/${LATER}`),
  write('DELETE', `/locks/escrows/${LATER}`),
  write('POST', '/presence/heartbeat', { session: 'tab-1', status: 'online', viewing: { module: 'escrows', recordId: LATER }, editing: null }),
  write('POST', '/presence/leave', { session: 'tab-1' }),
  write('POST', '/signals', { name: 'typing', module: 'escrows', recordId: LATER, session: 'tab-1' }),
  write('POST', '/signals', { name: 'stopped_typing', module: 'escrows', recordId: LATER, session: 'tab-1' }),
];

const userOf = (role) => (role === 'agent' ? 'u-1' : role);

/** As somebody else than the agent. */
const by = (role, request) => ({ ...request, role });
const inTime = (count) => ({ ...at('/notifications'), until: ({ unread }) => unread === count });
const task = (rest = '') => ({ id }) => `/tasks/${id}${rest}`;
const letter = { type: 'letter', title: 'A letter', params: { to: 'Ms. Ünal' } };

const FEEDS = [
  at('/tasks'),
  write('POST', '/tasks', letter),
  at(task()),
  at('/tasks/0f8fad5b-d9cb-469f-a165-70867728950e'),
  at('/tasks?type=other'),
  by('worker', write('POST', '/tasks/claim', { types: ['other'] })),
  by('worker', write('POST', '/tasks/claim', { types: ['letter'] })),
  by('worker', write('POST', task('/progress'), { fence: 1, percent: 40, step: 2, steps: 5, message: 'Writes' })),
  by('worker', write('POST', task('/progress'), { fence: 9, percent: 50 })),
  by('worker', write('POST', task('/output'), { fence: 1, offset: 0, text: 'Dear Ms. Ünal' })),
  at(task()),
  by('worker', write('POST', task('/complete'), { fence: 1, result: { text: 'Dear Ms. Ünal' }, message: 'Done' })),
  at(task()),
  inTime(1),
  write('POST', task('/cancel')),
  write('POST', task('/retry')),
  write('POST', '/tasks', { type: 'letter', title: 'Another' }),
  write('POST', task('/cancel')),
  write('POST', task('/cancel')),
  write('POST', task('/retry')),
  by('worker', write('POST', '/tasks/claim', { types: ['letter'] })),
  write('POST', task('/cancel')),
  by('worker', write('POST', task('/progress'), { fence: 1, percent: 1 })),
  by('worker', write('POST', task('/cancelled'), { fence: 1 })),
  write('POST', '/tasks', { type: 'letter', title: 'A third' }),
  by('worker', write('POST', '/tasks/claim', { types: ['letter'] })),
  by('worker', write('POST', task('/fail'), { fence: 1, error: { code: 'no_paper', message: 'There is no paper.', retryable: false } })),
  at(task()),
  at('/tasks?limit=2'),
  at('/tasks'),
  inTime(2),
  by('service', write('POST', '/notifications', { audience: { user: 'u-1' }, level: 'info', title: 'Hello', body: 'Ann' })),
  by('service', write('POST', '/notifications', { audience: { team: 'team-a' }, level: 'warning', title: 'Beware', module: 'escrows', recordId: 'e-1' })),
  by('service', write('POST', '/notifications', { audience: { broker: true }, level: 'error', title: 'Down' })),
  at('/notifications'),
  at('/notifications?limit=1'),
  write('POST', ({ id }) => `/notifications/${id}/read`),
  write('POST', '/notifications/999999/read'),
  at('/notifications'),
  write('POST', '/notifications/read-all', {}),
  at('/notifications'),
  at('/activity?limit=2'),
  at('/activity?module=escrows'),
  at(`/activity?module=escrows&recordId=${LATER}`),
];

describe('the service in memory', { timeout: 60_000 }, () => {
  let server;
  let real = {};
  const fake = new FakeService();

  before(async () => {
    server = await Server.start();
    for (const role of ['agent', 'worker', 'service']) real[role] = await server.token(role, userOf(role));
  });
  after(() => server?.stop());

  /** Returns what is known of both after the requests. */
  async function compare(requests) {
    const differences = [];
    const known = [{}, {}];
    for (const request of requests) {
      const { role = 'agent' } = request;
      const ask = () => exchange(globalThis.fetch, server.url, real[role], request, known[0]);
      let expected = await ask();
      // What the service makes of a request may come a moment later.
      await until('the real one has answered so', async () => !request.until || request.until((expected = await ask()).body));
      const answered = await exchange(fake.fetch, fake.url, fake.token({ role, user: userOf(role) }), request, known[1]);
      try {
        assert.deepEqual(answered, expected);
      } catch {
        differences.push({ request, answered, expected });
      }
    }
    assert.deepEqual(differences.map(({ answered }) => answered), differences.map(({ expected }) => expected), differences.map(({ request }) => `${request.method ?? 'GET'} ${request.path}`).join('\n'));
    return known;
  }

  /** @param {[string, string]} paths at the real one, and at this one */
  async function compareStreams([path, own], last) {
    const expected = await messages(globalThis.fetch, server.url, real.agent, path, last);
    const answered = await messages(fake.fetch, fake.url, fake.token(), own, last);
    assert.deepEqual(answered.messages.map(({ type }) => type), expected.messages.map(({ type }) => type), path);
    assert.deepEqual(answered, expected, path);
  }

  test('answers requests for records and events like the real one', () => compare(RECORDS));

  test('answers requests for locks, presence and signals like the real one', () => compare(COLLABORATION));

  test('answers requests for tasks, notifications and activity like the real one', async () => {
    const known = await compare(FEEDS);
    await compareStreams(known.map(({ first }) => `/tasks/${first}/output`), 'end');
    const events = '/stream?since=0&types=ai:task:*,notification:*,stream:*';
    await compareStreams([events, events], 'notification:read');
  });

  test('streams like the real one', async () => {
    for (const path of ['/stream?since=0', '/stream?since=1-other', '/stream?since=0&types=escrow:deleted,stream:*', '/stream?since=-1&types=escrow:deleted,stream:*']) {
      const last = path.includes('other') ? 'locks:snapshot' : path.includes('types') ? 'escrow:deleted' : 'escrow:unlocked';
      await compareStreams([path, path], last);
    }
  });

  test('refuses tokens like the real one', async () => {
    for (const token of ['nonsense', '']) {
      const expected = await exchange(globalThis.fetch, server.url, token, at('/records'));
      const answered = await exchange(fake.fetch, fake.url, token, at('/records'));
      assert.equal(answered.status, expected.status);
    }
  });

  test('the real one tells a client of changed rights, which loads what it shows again', async () => {
    const broker = 'b-rights';
    for (const [team, address] of [['team-a', 'in-a'], ['team-b', 'in-b']]) {
      await server.post('/records/escrows', await server.token('agent', 'bob', team, broker), { teamId: team, address, commission: 7 });
    }
    let token = await server.token('agent', 'ann', 'team-a', broker, ['--team', 'team-b']);
    const client = connect({ url: server.url, token: () => token });
    const list = client.records('escrows');
    const resets = [];
    client.onReset(({ reason }) => resets.push(reason));
    const off = list.subscribe(() => {});
    const shown = () => list.getSnapshot().records.map(({ address, commission }) => `${address} ${commission}`).sort().join();
    const shows = (text) => until(text, async () => shown() === text).catch((error) => assert.equal(shown(), text, error.message));
    try {
      await shows('in-a [REDACTED],in-b [REDACTED]');
      await until('the stream is open', async () => client.connection.getSnapshot().state === 'connected');
      await server.post('/sessions/revoke', await server.token('service', 'crm', 'team-a', broker), { user: 'ann', team: 'team-b' });
      await shows('in-a [REDACTED]');
      token = await server.token('admin', 'ann', 'team-a', broker);
      client.setToken(() => token);
      await shows('in-a 7');
      token = await server.token('agent', 'bob', 'team-b', broker);
      client.setToken(() => token);
      await shows('in-b 7');
      assert.deepEqual(resets, ['rights', 'rights', 'user']);
    } finally {
      off();
      await client.close();
    }
  });
});
