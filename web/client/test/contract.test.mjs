// The service in memory answers like the real one: the same requests are sent to both, and the answers compared.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Server } from '../../test/support.mjs';
import { FakeService } from '../src/testing/index.js';
import { SseParser } from '../src/sse_parser.js';

const UUID = '0f8fad5b-d9cb-469f-a165-70867728950e';
const LATER = '7c9e6679-7425-40de-944b-e07fc1f90ae7';

/** What differs from run to run is replaced by what it is. */
function shape(value, key = '') {
  if (Array.isArray(value)) return value.map((one) => shape(one, key));
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, one]) => [name, shape(one, name)]));
  if (key === 'detail' || key === 'title') return '(text)';
  if (key === 'stream') return '(stream)';
  if (typeof value === 'string' && /^\d+-\w+$/.test(value)) return '(position)';
  if (typeof value === 'string' && /^\d{4}-\d\d-\d\dT/.test(value)) return '(time)';
  if (key === 'cursor' || key === 'next') return value === null ? null : '(cursor)';
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

async function exchange(fetch, url, token, { method = 'GET', path, body, headers = {} }) {
  const response = await fetch(`${url}${path}`, {
    method, headers: { Authorization: `Bearer ${token}`, ...(body && { 'Content-Type': 'application/json' }), ...headers }, body: body && JSON.stringify(body),
  });
  const text = await response.text();
  const seen = Object.fromEntries(HEADERS.filter((name) => response.headers.has(name)).map((name) => [name, shape(response.headers.get(name))]));
  return { status: response.status, headers: seen, body: text ? withoutDefaults(shape(JSON.parse(text))) : null };
}

/** The messages of a stream until one of this type. */
async function messages(fetch, url, token, path, last) {
  const abort = new AbortController();
  const response = await fetch(`${url}${path}`, { headers: { Authorization: `Bearer ${token}` }, signal: abort.signal });
  const parser = new SseParser();
  const seen = [];
  const reader = response.body.getReader();
  const timer = setTimeout(() => abort.abort(), 5_000);
  while (!seen.some(({ type }) => type === last)) {
    const { value } = await reader.read();
    for (const { type, data, id } of parser.push(new TextDecoder().decode(value))) {
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
  write('DELETE', `/records/escrows/${UUID}`),
  write('DELETE', `/records/escrows/${UUID}`),
  at('/nothing'),
  write('PUT', '/records/escrows', {}),
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

describe('the service in memory', { timeout: 60_000 }, () => {
  let server;
  let real;
  const fake = new FakeService();

  before(async () => {
    server = await Server.start();
    real = await server.token('agent');
  });
  after(() => server?.stop());

  async function compare(requests) {
    const differences = [];
    for (const request of requests) {
      const expected = await exchange(globalThis.fetch, server.url, real, request);
      const answered = await exchange(fake.fetch, fake.url, fake.token(), request);
      try {
        assert.deepEqual(answered, expected);
      } catch {
        differences.push({ request, answered, expected });
      }
    }
    assert.deepEqual(differences.map(({ answered }) => answered), differences.map(({ expected }) => expected), differences.map(({ request }) => `${request.method ?? 'GET'} ${request.path}`).join('\n'));
  }

  test('answers requests for records and events like the real one', () => compare(RECORDS));

  test('answers requests for locks, presence and signals like the real one', () => compare(COLLABORATION));

  test('streams like the real one', async () => {
    for (const path of ['/stream?since=0', '/stream?since=1-other', '/stream?since=0&types=escrow:deleted,stream:*']) {
      const last = path.includes('other') ? 'locks:snapshot' : path.includes('types') ? 'escrow:deleted' : 'escrow:unlocked';
      const expected = await messages(globalThis.fetch, server.url, real, path, last);
      const answered = await messages(fake.fetch, fake.url, fake.token(), path, last);
      assert.deepEqual(answered.messages.map(({ type }) => type), expected.messages.map(({ type }) => type), path);
      assert.deepEqual(answered, expected, path);
    }
  });

  test('refuses tokens like the real one', async () => {
    for (const token of ['nonsense', '']) {
      const expected = await exchange(globalThis.fetch, server.url, token, at('/records'));
      const answered = await exchange(fake.fetch, fake.url, token, at('/records'));
      assert.equal(answered.status, expected.status);
    }
  });
});
