// Long-polling asks for the same events as the stream would carry.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { patch, fill, world } from './support.mjs';

async function asked(stream, more = {}) {
  const { open, service } = world();
  await open({ stream, transports: ['poll'], ...more });
  const { query } = service.requests.find(({ path }) => path === '/events');
  return Object.fromEntries([...new URLSearchParams(query)].filter(([name]) => name !== 'limit'));
}

describe('long-polling', () => {
  test('asks for the scope and the filter of the stream', async () => {
    assert.deepEqual(await asked('/stream'), { scope: 'all' });
    assert.deepEqual(await asked('/stream/user', { types: ['listing:*', 'stream:*'] }), { scope: 'user', types: 'listing:*,stream:*' });
    assert.deepEqual(await asked('/stream', { records: ['escrows/e-1'] }), { scope: 'all', records: 'escrows/e-1' });
    assert.deepEqual(await asked('/stream/records/escrows/e-1'), { records: 'escrows/e-1' });
    assert.deepEqual(await asked('/stream/records/escrows/e%201', { types: ['escrow:*'] }), { records: 'escrows/e 1', types: 'escrow:*' });
  });

  test('asks for what the path of the stream has in its query', async () => {
    assert.deepEqual(await asked('/stream/team?team=a'), { scope: 'team', team: 'a' });
    assert.deepEqual(await asked('/stream?types=escrow:*&named=true'), { scope: 'all', types: 'escrow:*' });
    assert.deepEqual(await asked('/stream/broker?records=escrows/e-1&coalesce=fields'), { scope: 'broker', records: 'escrows/e-1' });
  });

  test('of one record brings no other', async () => {
    const made = world();
    await fill(made, 2);
    const { client } = await made.open({ stream: '/stream/records/escrows/e-1', transports: ['poll'] });
    const heard = [];
    client.on('escrow:*', ({ recordId }) => heard.push(recordId));
    await made.clock.advance(1_000);
    for (const id of ['e-2', 'e-1']) await patch(made.service, `/records/escrows/${id}`, { city: 'Bend' });
    await made.clock.advance(1_000);
    assert.deepEqual(heard, ['e-1']);
  });

  test('begins now where a stream would begin before the last events', async () => {
    const { open, service, clock, state } = world();
    const { client } = await open({ since: '-20', transports: ['poll'] });
    await clock.advance(1_000);
    assert.equal(state(client).state, 'connected');
    assert.deepEqual(service.requests.map(({ query }) => new URLSearchParams(query).get('after')), [null, service.log.position]);
  });
});
