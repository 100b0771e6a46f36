// The stream by EventSource, where `fetch` cannot stream.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SseParser } from '../src/sse_parser.js';
import { statesOf, world } from './support.mjs';

/** An EventSource as browsers have it, over the service in memory. */
const eventSourceOf = (service) => class {
  readyState = 0;
  #abort = new AbortController();

  constructor(url) {
    this.#run(url).catch(() => this.#fail(0));
  }

  async #run(url) {
    const response = await service.fetch(url, { signal: this.#abort.signal });
    if (response.status !== 200) return this.#fail(2);
    this.readyState = 1;
    this.onopen?.();
    const parser = new SseParser();
    const decoder = new TextDecoder();
    let lastEventId = '';
    for await (const chunk of response.body) {
      for (const { type, data, id } of parser.push(decoder.decode(chunk, { stream: true }))) {
        lastEventId = id ?? lastEventId;
        if (type === 'message' && this.readyState === 1) this.onmessage?.({ data, lastEventId });
      }
    }
    this.#fail(0);
  }

  #fail(state) {
    if (this.readyState === 2) return;
    this.readyState = state;
    this.onerror?.();
  }

  close() {
    this.readyState = 2;
    this.#abort.abort();
  }
};

async function opened() {
  const made = world();
  const environment = { EventSource: eventSourceOf(made.service) };
  const { client } = await made.open({ environment, transports: ['eventsource'] });
  return { ...made, client };
}

const sold = (recordId) => ({ type: 'listing:sold', module: 'listings', recordId });

describe('the stream by EventSource', () => {
  test('notices silence within 20 seconds, although it sees every second heartbeat only', async () => {
    const { client, clock, service, state } = await opened();
    await clock.advance(120_000);
    assert.deepEqual([state(client).state, service.count('/stream')], ['connected', 1]);
    service.streams.mute();
    const seen = statesOf(client);
    await clock.advance(20_000);
    assert.deepEqual(seen[0], ['reconnecting', 'silence']);
    await clock.advance(2_000);
    assert.deepEqual([state(client).state, service.count('/stream')], ['connected', 2]);
  });

  test('has each event once, through cuts, and knows that a quiet line is alive', async () => {
    const { client, clock, service, state } = await opened();
    const seen = [];
    client.on('listing:sold', ({ recordId }) => seen.push(recordId));
    assert.deepEqual([state(client).state, state(client).transport], ['connected', 'eventsource']);
    service.publish({ broker: true }, sold('l-1'));
    await clock.advance(500);
    service.streams.cut();
    service.publish({ broker: true }, sold('l-2'));
    await clock.advance(5_000);
    await clock.advance(60_000);
    service.publish({ broker: true }, sold('l-3'));
    await clock.advance(500);
    assert.deepEqual(seen, ['l-1', 'l-2', 'l-3']);
    assert.deepEqual([state(client).state, service.count('/stream')], ['connected', 2]);
    assert.ok(service.requests.every(({ path, query }) => path !== '/stream' || query.includes('access_token=')));
  });

  test('asks why it was refused', async () => {
    const { client, clock, service, state } = await opened();
    service.faults.add({ kind: 'status', path: '/stream', status: 403 }, { kind: 'status', path: '/events', status: 403 });
    service.streams.cut();
    await clock.advance(5_000);
    assert.deepEqual([state(client).state, state(client).reason, state(client).nextRetryAt], ['error', 'forbidden', null]);
  });
});
