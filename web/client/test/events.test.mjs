// Events: patterns, batches, promises, iterators.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { matches } from '../src/index.js';
import { world } from './support.mjs';

const team = { team: 'team-a' };
const event = (type, recordId = 'r') => ({ type, module: 'listings', recordId });

describe('events', () => {
  test('patterns match like those of the service', () => {
    assert.deepEqual(
      [['*', 'a'], ['escrow:*', 'escrow:updated'], ['escrow:*', 'escrows:x'], ['a', 'a'], ['a', 'ab'], ['ai:task:*', 'ai:task:progress']].map(([pattern, type]) => matches(pattern, type)),
      [true, true, false, true, false, true],
    );
  });

  test('go to the handlers of their types, until these are removed', async () => {
    const { open, service, clock } = world();
    const { client } = await open();
    const seen = [];
    const off = client.on(['escrow:*', 'listing:sold'], ({ type }) => seen.push(type));
    for (const type of ['escrow:updated', 'listing:sold', 'listing:updated']) service.publish(team, event(type));
    await clock.advance(200);
    off();
    service.publish(team, event('escrow:updated'));
    await clock.advance(200);
    assert.deepEqual(seen, ['escrow:updated', 'listing:sold']);
  });

  test('are delivered at once, few within a frame, and many together within 100 ms', async () => {
    const { open, service, clock } = world();
    const { client } = await open();
    await clock.advance(1_000);
    const seen = [];
    client.on('a', ({ data }) => seen.push({ at: clock.now(), waited: clock.now() - data.at }));
    const publish = async (count, everyMs) => {
      seen.splice(0);
      for (let n = 0; n < count; n += 1) {
        service.publish(team, { ...event('a'), data: { at: clock.now() } });
        await clock.advance(everyMs);
      }
      await clock.advance(200);
      assert.equal(seen.length, count);
      assert.ok(seen[0].waited <= 1, `the first waited ${seen[0].waited} ms`);
      return { times: new Set(seen.map(({ at }) => at)).size, longest: Math.max(...seen.map(({ waited }) => waited)) };
    };
    const few = await publish(30, 10);
    assert.ok(few.longest <= 17, `a hundred a second wait a frame, not ${few.longest} ms`);
    const many = await publish(600, 1);
    assert.ok(many.longest <= 101 && many.times <= 12, `a thousand a second come in ${many.times} batches, after ${many.longest} ms at most`);
  });

  test('are delivered after the clock was set back', async () => {
    const { open, service, clock } = world();
    const { client } = await open();
    const seen = [];
    client.on('a', ({ recordId }) => seen.push(recordId));
    service.publish(team, event('a', '1'));
    await clock.advance(200);
    clock.setBack(3_600_000);
    service.publish(team, event('a', '2'));
    await clock.advance(200);
    assert.deepEqual(seen, ['1', '2']);
  });

  test('a handler that throws does not stop the others', async () => {
    const { open, service, clock } = world();
    const { client, page } = await open();
    const seen = [];
    client.on('a', () => {
      throw new Error('mine');
    });
    client.on('a', () => seen.push(1));
    service.publish(team, event('a'));
    await clock.advance(200);
    assert.deepEqual([seen, page.errors.map(String)], [[1], ['Error: mine']]);
  });

  test('once gives the next one, or an error when nobody waits any more', async () => {
    const { open, service, clock } = world();
    const { client } = await open();
    const next = client.once('a');
    service.publish(team, event('a', 'first'));
    service.publish(team, event('a', 'second'));
    await clock.advance(200);
    assert.equal((await next).recordId, 'first');
    const late = assert.rejects(client.once('b', { timeoutMs: 1_000 }), { code: 'timeout' });
    await clock.advance(1_000);
    await late;
    await assert.rejects(client.once('b', { signal: AbortSignal.abort() }), { code: 'aborted' });
  });

  test('an iterator has them from the call on, until it is left', async () => {
    const { open, service, clock } = world();
    const { client } = await open();
    const abort = new AbortController();
    const stream = client.stream('a', { signal: abort.signal });
    service.publish(team, event('a', '1'));
    service.publish(team, event('a', '2'));
    await clock.advance(200);
    const seen = [];
    for await (const { recordId } of stream) {
      seen.push(recordId);
      if (seen.length === 2) abort.abort();
    }
    assert.deepEqual(seen, ['1', '2']);
  });

  test('an iterator that nobody reads has a limit, and listens no more once its signal aborts', async () => {
    const { open, service, clock } = world();
    const { client } = await open();
    const stream = client.stream('a');
    const abort = new AbortController();
    const aborted = client.stream('a', { signal: abort.signal });
    abort.abort();
    for (let n = 0; n < 10_001; n += 1) service.publish(team, event('a'));
    await clock.advance(200);
    await assert.rejects(stream.next(), { code: 'overflow' });
    assert.deepEqual(await aborted.next(), { done: true, value: undefined });
  });
});
