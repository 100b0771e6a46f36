// What was received of a stream, and where it goes on.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Received } from '../src/received.js';

const event = (number) => ({ type: 'listing:sold', data: '{"type":"listing:sold"}', id: `${number}-k` });
const received = (cursor) => {
  const own = new Received(cursor, { control() {}, tell() {} });
  return { own, take: (...messages) => own.take(messages, () => true, () => {}).map(({ position }) => position) };
};

describe('the cursor', () => {
  test('never goes back, so that no event comes twice while a shared stream is replayed for another tab', () => {
    const { own, take } = received('100-k');
    take({ type: 'hb', data: '', id: '60-k' });
    assert.deepEqual([own.cursor, take(event(61), event(100), event(101))], ['100-k', ['101-k']]);
  });

  test('moves with heartbeats', () => {
    const { own, take } = received('100-k');
    take({ type: 'hb', data: '', id: '110-k' });
    assert.deepEqual([own.cursor, take(event(105), event(111))], ['110-k', ['111-k']]);
    take({ type: 'hb', data: '', id: null });
    assert.equal(own.cursor, '111-k');
  });

  test('of a stream that begins before the last events is where the service says', () => {
    const { own, take } = received('-20');
    assert.deepEqual([own.cursor, own.start], ['-20', null]);
    own.begin('80-k');
    assert.deepEqual([own.cursor, own.start], ['80-k', '80-k']);
    assert.deepEqual(take(event(80), event(81)), ['81-k']);
    own.begin('90-k');
    assert.deepEqual([own.cursor, own.start], ['81-k', '80-k']);
  });
});
