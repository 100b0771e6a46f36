// The format of Server-Sent Events.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SseParser } from '../src/sse_parser.js';

const parsed = (...parts) => {
  const parser = new SseParser();
  return parts.flatMap((part) => parser.push(part)).map(({ type, data, id }) => [type, data, id]);
};

describe('the parser of streams', () => {
  test('reads events with name, data and id, whatever the line ends', () => {
    for (const end of ['\n', '\r\n', '\r']) {
      const text = ['event: a', 'data: x', 'data:y', 'id: 7', '', ':comment', 'data', '', ''].join(end);
      assert.deepEqual(parsed(text, end === '\r' ? ':' : ''), [['a', 'x\ny', '7'], ['message', '', null]]);
    }
  });

  test('a text that arrives character by character gives the same events', () => {
    const text = 'data: a\r\n\r\nevent: b\rdata: ü🏠\rid: 2\r\rid: 9\n\ndata: c\n\n';
    assert.deepEqual(parsed(...text), parsed(text));
    assert.deepEqual(parsed(text).at(-1), ['message', 'c', null]);
  });

  test('what is not finished is never an event, and its id does not count', () => {
    const parser = new SseParser();
    assert.deepEqual(parser.push('data: a\nid: 1\n\ndata: b\nid: 2\n').map(({ data }) => data), ['a']);
  });

  test('retry is passed on if it is a number', () => {
    const seen = [];
    new SseParser((ms) => seen.push(ms)).push('retry: 20\nretry: 1e3\nretry:\nretry: 007\n:ok\n');
    assert.deepEqual(seen, [20, 7]);
  });

  test('an event without an end is given up before memory runs out', () => {
    const parser = new SseParser();
    const megabyte = 'x'.repeat(1024 * 1024);
    assert.throws(() => {
      for (let n = 0; n < 20; n += 1) parser.push(megabyte);
    }, /too large/);
  });
});
