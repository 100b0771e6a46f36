// The client of a tree, and its events.
import assert from 'node:assert/strict';
import { Activity, useState } from 'react';
import { PorchlightProvider, useClient, useConnection, useEvent, useRecords } from '../../src/react/index.js';
import { fill, patch, world } from '../support.mjs';
import { act, crm, describe, h, ownCrm, render, takeComplaints, test } from './support.mjs';

const State = () => useConnection(({ state }) => state);
const Count = () => String(useRecords('escrows').records.length);

describe('the provider', () => {
  test('is needed', async () => {
    await assert.rejects(render(h(State)), /no <PorchlightProvider>/);
    takeComplaints();
  });

  test('connects once in StrictMode, and leaves no timer, listener or stream behind', async () => {
    const made = world();
    await fill(made, 3);
    const { page, timers, props } = ownCrm(made.service, made.clock);
    const shown = await render(h(PorchlightProvider, props, h(State), ' ', h(Count)));
    await act(() => made.clock.advance(100));
    assert.equal(shown.text, 'connected 3');
    assert.equal(made.service.count('/stream'), 1);
    assert.equal(made.service.count('/records/escrows', 'GET'), 1);
    await shown.unmount();
    await made.clock.advance(0);
    assert.deepEqual([timers.size, page.listeners, made.service.streams.open.size], [0, 0, 0]);
  });

  test('leaves nothing behind of a rendering that React throws away', async () => {
    const { clock, service } = world();
    const { page, props } = ownCrm(service, clock);
    const Broken = () => {
      throw new Error('broken');
    };
    await assert.rejects(render(h(PorchlightProvider, props, h(Broken))), /broken/);
    takeComplaints();
    assert.deepEqual([clock.pending, page.listeners, service.requests.length], [0, 0, 0]);
  });

  test('makes another client for another user, and uses the newest token', async () => {
    const { clock, service } = world();
    const { props } = ownCrm(service, clock);
    const clients = new Set();
    const Seen = () => String(clients.add(useClient()).size);
    const as = (more) => h(PorchlightProvider, { ...props, ...more }, h(Seen), h(State));
    const shown = await render(as({ token: service.token({ user: 'u-1' }) }), { strict: false });
    await act(() => clock.advance(100));
    await shown.show(as({ token: service.token({ user: 'u-1' }) }));
    assert.equal(clients.size, 1);
    await shown.show(as({ token: service.token({ user: 'u-2' }) }));
    await act(() => clock.advance(100));
    assert.equal(clients.size, 2);
    assert.deepEqual([...service.streams.open].map(({ caller }) => caller.userId), ['u-2']);
  });

  test('asks the callback of the last rendering for a token', async () => {
    const { clock, service } = world();
    const { props } = ownCrm(service, clock);
    const asked = [];
    const token = (name) => () => {
      asked.push(name);
      return service.token({ seconds: 100 });
    };
    const shown = await render(h(PorchlightProvider, { ...props, token: token('first') }));
    await act(() => clock.advance(100));
    await shown.show(h(PorchlightProvider, { ...props, token: token('second') }));
    await act(() => clock.advance(95_000));
    assert.equal(asked[0], 'first');
    assert.equal(asked.at(-1), 'second');
    assert.equal(service.count('/stream'), 1);
  });

  test('uses a callback that comes after there was no token, or after one that was given', async () => {
    const { clock, service } = world();
    const { props } = ownCrm(service, clock, { userId: 'u-1' });
    const shown = await render(h(PorchlightProvider, { ...props, token: undefined }, h(State)));
    await act(() => clock.advance(1_000));
    assert.equal(shown.text, 'needs-auth');
    const asked = [];
    const callback = (name) => () => {
      asked.push(name);
      return service.token({ seconds: 100 });
    };
    await shown.show(h(PorchlightProvider, { ...props, token: callback('first') }, h(State)));
    await act(() => clock.advance(1_000));
    assert.equal(shown.text, 'connected');
    await shown.show(h(PorchlightProvider, { ...props, token: service.token({ seconds: 100 }) }, h(State)));
    await act(() => clock.advance(1_000));
    await shown.show(h(PorchlightProvider, { ...props, token: callback('second') }, h(State)));
    await act(() => clock.advance(200_000));
    assert.deepEqual([shown.text, asked[0], asked.at(-1)], ['connected', 'first', 'second']);
    await shown.show(h(PorchlightProvider, { ...props, token: callback('third') }, h(State)));
    await act(() => clock.advance(100_000));
    assert.equal(asked.at(-1), 'third', 'and then the one of the last rendering');
  });

  test('connects again when it is shown after it was hidden', { skip: !Activity }, async () => {
    const { clock, service } = world();
    const { props } = ownCrm(service, clock);
    const at = (mode) => h(Activity, { mode }, h(PorchlightProvider, props, h(State)));
    const shown = await render(at('visible'));
    await act(() => clock.advance(100));
    assert.equal(service.streams.open.size, 1);
    await shown.show(at('hidden'));
    await act(() => clock.advance(100));
    assert.equal(service.streams.open.size, 0);
    await shown.show(at('visible'));
    await act(() => clock.advance(100));
    assert.deepEqual([service.streams.open.size, shown.text], [1, 'connected']);
  });
});

describe('useEvent', () => {
  test('calls the handler of the last rendering, and none after the end', async () => {
    const { service, inProvider, advance } = await crm(1);
    const heard = [];
    let setRound;
    function Listener() {
      const [round, set] = useState(1);
      setRound = set;
      useEvent(['escrow:updated', 'escrow:archived'], ({ type }, { position }) => heard.push([round, type, position]));
      return null;
    }
    const shown = await render(inProvider(h(Listener)));
    await patch(service, '/records/escrows/e-1', { city: 'Bend' });
    await advance(200);
    await act(async () => setRound(2));
    await patch(service, '/records/escrows/e-1', { city: 'Salem' });
    await advance(200);
    await shown.unmount();
    await patch(service, '/records/escrows/e-1', { city: 'Eugene' });
    await advance(200);
    assert.deepEqual(heard, [[1, 'escrow:updated', '2-fake01'], [2, 'escrow:updated', '3-fake01']]);
  });
});
