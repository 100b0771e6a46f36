// The hub of a shared stream: where it opens the stream, so that no tab misses anything.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createEnvironment } from '../src/environment.js';
import { Received } from '../src/received.js';
import { Hub } from '../src/tabs/hub.js';
import { tools } from '../src/tabs/tools.js';
import { settle } from '../src/testing/index.js';
import { tokenWith } from './support.mjs';

const HEAD = 100;
const START_MS = Date.UTC(2026, 0, 1);
const at = (number, log = 'k') => `${number}-${log}`;

/** A service with 100 events whose streams send as much as a test asks for, and tabs that note what they receive. */
class World {
  now = START_MS;
  head = HEAD;
  log = 'k';
  /** The cursors of all streams that were opened. */
  opened = [];
  tabs = new Map();
  #streams = [];

  constructor() {
    const open = (_env, { cursor }, on) => {
      const stream = { cursor, on, isOpen: true };
      this.opened.push(cursor);
      this.#streams.push(stream);
      return () => { stream.isOpen = false; };
    };
    const env = createEnvironment({ now: () => this.now });
    this.hub = new Hub(env, { ...tools, loadTransport: async () => open }, (to, told) => {
      for (const [id, tab] of this.tabs) if (to === null || to === id) this.#hear(tab, told);
    });
  }

  #hear({ received, heard, readies, turns }, told) {
    if (told.is === 'turn') turns.push(told.token);
    if (told.is !== 'messages') return;
    for (const { position, data } of received.take(told.messages, () => true, (ready) => ready.position && received.begin(ready.position))) {
      if (data.type === 'stream:ready') readies.push(data.position);
      else heard.push(data.type === 'stream:reset' ? 'reset' : Number.parseInt(position, 10));
    }
  }

  token(seconds, age = 0) {
    const iat = this.now / 1_000 - age;
    return tokenWith({ sub: 'ann', iat, exp: iat + seconds });
  }

  /** A tab that is at `cursor` joins. */
  async join(id, cursor, { token = this.token(9_000), transport = 'fetch' } = {}) {
    const tab = { received: new Received(cursor, { control() {}, tell() {} }), heard: [], readies: [], turns: [] };
    this.tabs.set(id, tab);
    this.hub.receive({ is: 'attach', id, transport, request: { base: '', path: '/stream', query: {}, token, cursor } });
    await settle(2);
    return tab;
  }

  get stream() {
    return this.#streams.findLast(({ isOpen }) => isOpen);
  }

  #start(cursor) {
    if (cursor === null) return { after: this.head };
    if (cursor.startsWith('-')) return { after: this.head - Number(cursor.slice(1)) };
    const [number, log] = cursor.split('-');
    return log === this.log ? { after: Number(number) } : { after: this.head, reset: 'unknown' };
  }

  /** The open stream begins, with its replay in the same piece; and so do those that the hub opens because of that. */
  async begin({ replay = Infinity } = {}) {
    for (let stream; (stream = this.stream) && !stream.hasBegun;) {
      stream.hasBegun = true;
      const { after, reset } = this.#start(stream.cursor);
      const position = at(after, this.log);
      const control = (type, more) => ({ type, data: JSON.stringify({ type, position, ...more }), id: position });
      stream.on.alive();
      stream.on.messages([control('stream:ready'), ...(reset ? [control('stream:reset', { reason: reset })] : []), ...this.#events(after, Math.min(this.head, after + replay))]);
      await settle(2);
    }
  }

  #events(after, upTo) {
    return Array.from({ length: upTo - after }, (_, n) => ({ type: 'listing:sold', data: '{"type":"listing:sold"}', id: at(after + 1 + n, this.log) }));
  }

  publish(count) {
    const before = this.head;
    this.head += count;
    this.stream.on.messages(this.#events(before, this.head));
  }
}

const range = (from, to) => Array.from({ length: to - from + 1 }, (_, n) => from + n);

describe('a tab that joins an outdated stream receives what it has missed:', () => {
  const outdated = {
    'its token ends': (world) => ({ old: { token: world.token(900, 850) }, late: { token: world.token(900) } }),
    'another transport is better': () => ({ old: { transport: 'poll' }, late: { transport: 'fetch' }, sleepMs: 301_000 }),
    'the device has slept': () => ({ old: {}, late: {}, sleepMs: 600_000 }),
  };
  for (const [why, of] of Object.entries(outdated)) {
    test(why, async () => {
      const world = new World();
      const { old, late, sleepMs = 0 } = of(world);
      const first = await world.join('A', at(80), old);
      await world.begin();
      world.now += sleepMs;
      const second = await world.join('B', at(90), late);
      assert.equal(world.opened.length, 2, 'the stream was outdated');
      await world.begin();
      world.publish(1);
      assert.deepEqual([first.heard, second.heard], [range(81, 101), range(91, 101)]);
    });
  }

  test('so does the one that was there, if the stream was behind it', async () => {
    const world = new World();
    const first = await world.join('A', at(80));
    await world.begin({ replay: 5 });
    world.now += 600_000;
    const second = await world.join('B', at(95));
    await world.begin();
    assert.deepEqual([first.heard, second.heard], [range(81, 100), range(96, 100)]);
  });
});

describe('tabs that join before the stream has begun', () => {
  test('receive what comes after their positions, whichever joins last', async () => {
    for (const cursors of [[50, 80], [80, 50], [80, 50, 70]]) {
      const world = new World();
      const newest = await world.join('new', null);
      const tabs = [];
      for (const cursor of cursors) tabs.push(await world.join(`${cursor}`, at(cursor)));
      await world.begin();
      world.publish(1);
      assert.deepEqual(tabs.map(({ heard }) => heard), cursors.map((cursor) => range(cursor + 1, 101)));
      assert.deepEqual([newest.heard, newest.readies[0]], [[101], at(100)], 'what is old is not new to it');
      assert.deepEqual(world.opened, [null, at(50)]);
    }
  });

  test('receive it, too, where the first one knows more and its replay comes at once', async () => {
    const world = new World();
    const tabs = [await world.join('A', at(80)), await world.join('B', at(50))];
    await world.begin();
    assert.deepEqual(tabs.map(({ heard }) => heard), [range(81, 100), range(51, 100)]);
  });

  test('receive it when the stream is opened again meanwhile by another transport', async () => {
    const world = new World();
    const tabs = [await world.join('A', null, { transport: 'poll' }), await world.join('B', at(50), { transport: 'poll' }), await world.join('C', at(80))];
    await world.begin();
    assert.deepEqual(tabs.map(({ heard }) => heard), [[], range(51, 100), range(81, 100)]);
  });

  test('may ask for the last events', async () => {
    const world = new World();
    const tabs = [await world.join('A', '-20'), await world.join('B', at(70)), await world.join('C', '-10')];
    await world.begin();
    assert.deepEqual(tabs.map(({ heard }) => heard.at(0)), [71, 71, 71]);
    assert.deepEqual(world.opened, ['-20', at(70)]);
  });

  test('of another log are all told that events are missing', async () => {
    for (const cursors of [[at(50, 'old'), at(80)], [at(80), at(50, 'old')], [at(50, 'old'), at(80, 'older'), at(70)]]) {
      const world = new World();
      const tabs = [];
      for (const cursor of cursors) tabs.push(await world.join(cursor, cursor));
      await world.begin();
      world.publish(1);
      for (const { heard } of tabs) assert.deepEqual(heard, ['reset', 101]);
      assert.ok(world.opened.length <= 2, world.opened.join());
    }
  });
});

test('a tab that asks for the last events of a stream that is behind takes nothing from the others', async () => {
  const world = new World();
  const first = await world.join('A', at(50));
  await world.begin({ replay: 20 });
  const second = await world.join('B', '-20');
  await world.begin();
  assert.deepEqual([first.heard, second.heard], [range(51, 100), range(71, 100)]);
});

test('tabs get their turn to renew the token also after the clock was set back', async () => {
  const world = new World();
  const { turns } = await world.join('a', at(90));
  world.hub.receive({ is: 'renew', id: 'a' });
  world.now -= 3_600_000;
  world.hub.receive({ is: 'renew', id: 'a' });
  assert.equal(turns.length, 2);
});
