// An environment like that of a phone: no window, no session storage, no IndexedDB, a state of the application in place of a page's.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, createEnvironment } from '../src/index.js';
import { FakeService } from '../src/testing/index.js';
import { escrow, fill, post } from './support.mjs';

/** What a phone passes to `createEnvironment`, as docs/start/react-native.md shows it. */
function phone(service, { fetch = service.fetch } = {}) {
  const { clock } = service;
  const kept = new Map();
  const app = { state: 'active', listeners: new Set() };
  const environment = createEnvironment({
    fetch,
    uuid: () => `id-${kept.size}-${clock.now()}`,
    storage: { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) },
    isOnline: () => true,
    isVisible: () => app.state === 'active',
    listen(type, run) {
      if (type !== 'visibilitychange') return () => {};
      app.listeners.add(run);
      return () => app.listeners.delete(run);
    },
    now: clock.now, setTimeout: clock.setTimeout, clearTimeout: clock.clearTimeout, random: () => 0.5,
    EventSource: undefined, indexedDB: null, locks: null, BroadcastChannel: null, SharedWorker: null,
  });
  const become = (state) => {
    app.state = state;
    for (const run of app.listeners) run(state);
  };
  return { environment, become };
}

/** A body that cannot be read while it arrives, like that of React Native's own `fetch`. */
const withoutBody = (fetch) => async (...given) => {
  const answer = await fetch(...given);
  Object.defineProperty(answer, 'body', { value: undefined });
  return answer;
};

test('a phone that was in the background goes on after the last event, also after the system has ended the application', async () => {
  const service = new FakeService();
  const { clock } = service;
  await fill({ clock, service }, 1);
  const { environment, become } = phone(service);
  const options = { url: service.url, token: () => service.token(), userId: 'u-1', environment };
  const heard = [];
  const first = connect(options);
  first.on('escrow:created', ({ recordId }) => heard.push(recordId));
  await clock.advance(100);
  await post(service, '/records/escrows', escrow(2));
  await clock.advance(2_000);
  become('background');
  service.streams.cut();
  clock.sleep(600_000);
  await post(service, '/records/escrows', escrow(3));
  become('active');
  await clock.advance(1_000);
  assert.deepEqual(heard, ['e-2', 'e-3']);
  await clock.advance(2_000);
  await first.close();
  await post(service, '/records/escrows', escrow(4));
  const second = connect(options);
  second.on('escrow:created', ({ recordId }) => heard.push(recordId));
  await clock.advance(1_000);
  assert.deepEqual(heard, ['e-2', 'e-3', 'e-4']);
  assert.equal(second.connection.getSnapshot().transport, 'fetch');
  await second.close();
});

test('a phone whose fetch has no body polls', async () => {
  const service = new FakeService();
  const { clock } = service;
  const { environment } = phone(service, { fetch: withoutBody(service.fetch) });
  const client = connect({ url: service.url, token: () => service.token(), environment });
  const heard = [];
  client.on('escrow:created', ({ recordId }) => heard.push(recordId));
  await clock.advance(15_000);
  await post(service, '/records/escrows', escrow(1));
  await clock.advance(1_000);
  assert.equal(client.connection.getSnapshot().transport, 'poll');
  assert.deepEqual(heard, ['e-1']);
  await client.close();
});
