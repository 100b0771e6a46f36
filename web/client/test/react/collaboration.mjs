// Locks, presence and typing.
import assert from 'node:assert/strict';
import { useLock, usePresence, useTyping } from '../../src/react/index.js';
import { patch, post, send } from '../support.mjs';
import { act, crm, describe, h, render, test } from './support.mjs';

const record = { module: 'escrows', recordId: 'e-1' };
const theirs = { ...record, session: 'their-tab' };

describe('a lock', () => {
  test('is held while the form is mounted, and its fence goes with writes', async () => {
    const { service, client, page, inProvider, advance } = await crm(1);
    await patch(service, '/records/escrows/e-1', { city: 'Salem' });
    await advance(100);
    const { listeners } = page;
    const Form = () => {
      const { isHeld, heldBy } = useLock('escrows', 'e-1', { auto: true });
      return isHeld ? 'mine' : String(heldBy);
    };
    const shown = await render(inProvider(h(Form), h(Form)));
    await advance(100);
    assert.equal(shown.text, 'minemine');
    await act(async () => void client.update('escrows', 'e-1', { city: 'Bend' }));
    await advance(100);
    assert.equal(service.requests.findLast(({ method }) => method === 'PATCH').headers['lock-fence'], '1');
    await advance(120_000);
    assert.equal(shown.text, 'minemine');
    await shown.unmount();
    await advance(100);
    assert.equal((await send(service, 'GET', '/locks')).body.locks.length, 0);
    assert.equal(page.listeners, listeners);
    assert.equal(client.hasPart('lock:escrows/e-1'), false);
  });

  test('is released after what was written under it was sent', async () => {
    const { service, client, inProvider, advance } = await crm(1, { mergeMs: 1_000 });
    const Form = () => useLock('escrows', 'e-1', { auto: true }).status;
    const shown = await render(inProvider(h(Form)));
    await advance(100);
    service.faults.add({ kind: 'delay', method: 'PATCH', ms: 500 });
    const { done } = client.update('escrows', 'e-1', { city: 'Bend' });
    await shown.unmount();
    await advance(100);
    assert.equal((await send(service, 'GET', '/locks')).body.locks.length, 1);
    await advance(1_000);
    assert.equal((await done).city, 'Bend');
    assert.equal((await send(service, 'GET', '/locks')).body.locks.length, 0);
    assert.equal(client.hasPart('lock:escrows/e-1'), false);
  });

  test('is held by a form that is opened again while it is released', async () => {
    const { service, client, inProvider, advance } = await crm(1, { mergeMs: 1_000 });
    const Form = () => useLock('escrows', 'e-1', { auto: true }).status;
    const shown = await render(inProvider(h(Form)));
    const reopen = async () => {
      await shown.show(inProvider());
      await advance(100);
      await shown.show(inProvider(h(Form)));
    };
    const sessions = async () => (await send(service, 'GET', '/locks')).body.locks.map(({ holder }) => holder.session);
    await advance(100);
    service.faults.add({ kind: 'delay', method: 'DELETE', ms: 300 });
    await reopen();
    await advance(500);
    assert.deepEqual([shown.text, await sessions()], ['held', [client.session]], 'while the service is told');
    await advance(90_000);
    assert.deepEqual([shown.text, await sessions()], ['held', [client.session]]);
    service.faults.add({ kind: 'delay', method: 'PATCH', ms: 300 });
    await act(async () => void client.update('escrows', 'e-1', { city: 'Bend' }));
    await reopen();
    await advance(90_000);
    assert.deepEqual([shown.text, await sessions()], ['held', [client.session]], 'while what was written is sent');
    service.faults.add({ kind: 'delay', path: '/locks', method: 'POST', ms: 300 });
    await shown.show(inProvider());
    await advance(500);
    await shown.show(inProvider(h(Form)));
    await reopen();
    await advance(90_000);
    assert.deepEqual([shown.text, await sessions()], ['held', [client.session]], 'while it is taken');
  });

  test('ends while the user does nothing, and is taken again when the form says so', async () => {
    const { page, inProvider, advance } = await crm(1);
    let own;
    const Form = () => {
      own = useLock('escrows', 'e-1', { auto: true, idleMs: 60_000 });
      return `${own.status} ${own.reason}`;
    };
    const shown = await render(inProvider(h(Form)));
    await advance(50_000);
    await act(async () => page.emit('keydown'));
    await advance(50_000);
    assert.equal(shown.text, 'held null');
    await advance(20_000);
    assert.equal(shown.text, 'lost idle');
    await act(() => own.acquire());
    assert.equal(shown.text, 'held null');
  });

  test('that was given away stays so, also after a cut', async () => {
    const { service, inProvider, advance } = await crm(1);
    let own;
    const Form = () => {
      own = useLock('escrows', 'e-1', { auto: true });
      return own.status;
    };
    const shown = await render(inProvider(h(Form)));
    await advance(100);
    await act(() => own.release());
    await act(async () => service.streams.cut());
    await advance(5_000);
    assert.equal(shown.text, 'released');
  });

  test('of somebody else is shown, can be requested, and is taken when it is free', async () => {
    const { service, inProvider, advance } = await crm(1);
    let own;
    const Form = () => {
      own = useLock('escrows', 'e-1');
      return `${own.status} ${own.heldBy}`;
    };
    const shown = await render(inProvider(h(Form)));
    assert.equal(shown.text, 'idle null');
    await act(() => post(service, '/locks', theirs));
    await advance(100);
    assert.equal(shown.text, 'other u-2');
    await act(async () => assert.equal(await own.acquire(), false));
    await act(() => own.request());
    await act(() => send(service, 'DELETE', '/locks/escrows/e-1?session=their-tab'));
    await advance(300);
    assert.equal(shown.text, 'held null');
    await act(() => own.release());
    await advance(100);
    assert.equal(own.isHeld, false);
  });

  test('that cannot be taken without a connection is taken with it', async () => {
    const { service, inProvider, advance } = await crm(1);
    service.faults.add({ kind: 'reset', path: '/locks', method: 'POST', times: 2 });
    const Form = () => useLock('escrows', 'e-1', { auto: true }).status;
    const shown = await render(inProvider(h(Form)), { strict: false });
    await advance(100);
    assert.equal(shown.text, 'idle');
    service.faults.clear();
    await act(async () => service.streams.cut());
    await advance(3_000);
    assert.equal(shown.text, 'held');
  });
});

describe('presence', () => {
  test('is reported while a component has a record open, and only listened to otherwise', async () => {
    const { service, client, page, inProvider, advance } = await crm(1);
    const { listeners } = page;
    const beats = () => service.requests.filter(({ path }) => path === '/presence/heartbeat');
    const Listener = () => usePresence().people.map(({ userId }) => userId).join();
    const Form = ({ edits }) => usePresence({ viewing: record, editing: edits ? record : null }).viewers.map(({ userId }) => userId).join();
    const shown = await render(inProvider(h(Listener)));
    await act(() => post(service, '/presence/heartbeat', { session: 'their-tab', status: 'online', viewing: record, editing: null }));
    await advance(200);
    assert.match(shown.text, /u-2/);
    assert.equal(beats().length, 1);
    await shown.show(inProvider(h(Form, { edits: false })));
    await advance(200);
    assert.equal(shown.text, 'u-1,u-2');
    await shown.show(inProvider(h(Form, { edits: true })));
    await advance(200);
    assert.deepEqual(beats().slice(1).map(({ body }) => [body.viewing?.recordId, body.editing?.recordId]), [['e-1', undefined], ['e-1', 'e-1']]);
    await shown.unmount();
    await advance(200);
    assert.equal(service.count('/presence/leave'), 1);
    assert.equal(page.listeners, listeners);
    assert.equal(client.hasPart('presence'), false);
  });
});

describe('typing', () => {
  test('tells who else types, and tells the others', async () => {
    const { service, client, inProvider, advance } = await crm(1);
    let own;
    const Field = () => {
      own = useTyping(record);
      return own.typing.join();
    };
    const shown = await render(inProvider(h(Field)));
    await act(() => post(service, '/signals', { name: 'typing', ...theirs }));
    await advance(200);
    assert.equal(shown.text, 'u-2');
    await act(async () => own.type());
    await act(async () => own.type());
    await advance(200);
    assert.equal(shown.text, 'u-2');
    const told = service.requests.filter(({ path, body }) => path === '/signals' && body.session === client.session);
    assert.equal(told.length, 1);
    await advance(10_000);
    assert.equal(shown.text, '');
  });
});

