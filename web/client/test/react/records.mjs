// Lists, records and writes.
import assert from 'node:assert/strict';
import { Activity, memo, Profiler, useEffect } from 'react';
import { useMutation, usePendingWrites, useRecord, useRecords } from '../../src/react/index.js';
import { patch, send } from '../support.mjs';
import { act, crm, describe, h, render, test } from './support.mjs';

/** A list whose rows count how often they were rendered. */
function counted() {
  const rendered = [];
  const Row = memo(({ record, update }) => h(
    Profiler, { id: record.id, onRender: (id) => rendered.push(id) },
    h('p', { id: record.id, onClick: () => update(record.id, { city: 'Bend' }) }, `${record.id} ${record.city ?? '-'} v${record.version}`),
  ));
  function List({ options }) {
    const { records, status } = useRecords('escrows', options);
    const { update, error } = useMutation('escrows');
    return [status, error?.code ?? '', ...records.map((record) => h(Row, { key: record.id, record, update }))];
  }
  return { rendered, List };
}

describe('a list', () => {
  test('of 50 records renders one row and asks for nothing when one record changes', async () => {
    const { service, inProvider, advance } = await crm(50);
    const { rendered, List } = counted();
    const shown = await render(inProvider(h(List, { options: { filter: { status: 'open' } } })));
    await advance(100);
    assert.equal(shown.container.querySelectorAll('p').length, 50);
    assert.equal(service.count('/records/escrows', 'GET'), 1);
    for (let n = 1; n <= 50; n += 1) {
      rendered.length = 0;
      await patch(service, `/records/escrows/e-${n}`, { city: `Town ${n}` });
      const requests = service.requests.length;
      await advance(150);
      assert.deepEqual([...new Set(rendered)], [`e-${n}`]);
      assert.equal(rendered.length, 1);
      assert.equal(service.requests.length, requests);
      assert.equal(shown.find(`#e-${n}`).textContent, `e-${n} Town ${n} v2`);
    }
  });

  test('is loaded once for all components that show it, and again for other options', async () => {
    const { service, inProvider, advance } = await crm();
    const { List } = counted();
    const twice = (limit) => inProvider(h(List, { options: { limit } }), h(List, { options: { limit } }));
    const shown = await render(twice(2));
    await advance(100);
    await shown.show(twice(2));
    await advance(100);
    assert.deepEqual([service.count('/records/escrows', 'GET'), shown.container.querySelectorAll('p').length], [1, 4]);
    await shown.show(twice(3));
    await advance(100);
    assert.deepEqual([service.count('/records/escrows', 'GET'), shown.container.querySelectorAll('p').length], [2, 6]);
  });

  test('loads more pages, and keeps its functions until something changes', async () => {
    const { inProvider, advance } = await crm(3);
    const seen = new Set();
    let list;
    function Paged() {
      list = useRecords('escrows', { limit: 2 });
      seen.add(list);
      return `${list.records.length} ${list.hasMore}`;
    }
    const shown = await render(inProvider(h(Paged)));
    await advance(100);
    assert.equal(shown.text, '2 true');
    const { size } = seen;
    await shown.show(inProvider(h(Paged)));
    assert.equal(seen.size, size);
    await act(() => list.loadMore());
    await advance(100);
    assert.equal(shown.text, '3 false');
  });

  test('leaves nothing behind, however often it is mounted', async () => {
    const { clock, page, inProvider, advance } = await crm();
    const { List } = counted();
    await advance(2_000);
    const before = [clock.pending, page.listeners];
    for (let n = 0; n < 20; n += 1) {
      const shown = await render(inProvider(h(List)));
      await advance(20);
      await shown.unmount();
    }
    await advance(2_000);
    assert.deepEqual([clock.pending, page.listeners], before);
  });
});

describe('a write', () => {
  test('is shown at once, and undone with its reason if it is refused', async () => {
    const { service, inProvider, advance } = await crm(2);
    const { List } = counted();
    const shown = await render(inProvider(h(List)));
    await advance(100);
    service.faults.add({ kind: 'delay', method: 'PATCH', ms: 100, times: 2 });
    await shown.click('#e-1');
    assert.equal(shown.find('#e-1').textContent, 'e-1 Bend v1');
    await advance(200);
    assert.equal(shown.find('#e-1').textContent, 'e-1 Bend v2');
    await send(service, 'DELETE', '/records/escrows/e-2');
    await shown.click('#e-2');
    assert.equal(shown.find('#e-2').textContent, 'e-2 Bend v1');
    await advance(200);
    assert.equal(shown.find('#e-2'), null);
    assert.match(shown.text, /^readyunknown_record/);
  });

  test('tells of its end, also of the component that is gone', async () => {
    const { service, inProvider, advance } = await crm(1);
    const told = [];
    let actions;
    function Form() {
      actions = useMutation('escrows', { onSuccess: (record, id) => told.push([id, record.version]), onError: ({ code }, id) => told.push([id, code]) });
      return actions.isPending ? 'saving' : 'saved';
    }
    const shown = await render(inProvider(h(Form)));
    const { update } = actions;
    service.faults.add({ kind: 'delay', method: 'PATCH', ms: 100 });
    await act(async () => void update('e-1', { city: 'Bend' }));
    assert.deepEqual([shown.text, actions.update], ['saving', update]);
    await advance(200);
    assert.equal(shown.text, 'saved');
    await act(async () => void actions.create({ address: '9 Elm St', status: 'open' }));
    await advance(200);
    await shown.unmount();
    update('e-7', { city: 'Bend' });
    await advance(200);
    assert.deepEqual(told.map(([, what]) => what), [2, 1, 'unknown_record']);
    assert.equal(service.count('/records/escrows', 'POST'), 2);
  });

  test('counts what a child writes when it is mounted', async () => {
    const { service, inProvider, advance } = await crm(1);
    let actions;
    function Child({ update }) {
      useEffect(() => void update('e-1', { city: 'Bend' }), [update]);
      return null;
    }
    function Form() {
      actions = useMutation('escrows');
      return [actions.isPending ? 'saving' : 'saved', h(Child, { key: 1, update: actions.update })];
    }
    service.faults.add({ kind: 'delay', method: 'PATCH', ms: 100 });
    const shown = await render(inProvider(h(Form)), { strict: false });
    assert.equal(shown.text, 'saving');
    await advance(200);
    assert.equal(shown.text, 'saved');
    service.faults.add({ kind: 'delay', method: 'PATCH', ms: 100 });
    await act(async () => void actions.update('e-1', { city: 'Salem' }));
    assert.equal(shown.text, 'saving');
    await advance(200);
    assert.equal(shown.text, 'saved');
  });

  test('ends while the component is hidden', { skip: !Activity }, async () => {
    const { service, inProvider, advance } = await crm(1);
    let actions;
    function Form() {
      actions = useMutation('escrows');
      return actions.isPending ? 'saving' : 'saved';
    }
    const at = (mode) => inProvider(h(Activity, { mode }, h(Form)));
    const shown = await render(at('visible'));
    service.faults.add({ kind: 'delay', method: 'PATCH', ms: 500 });
    await act(async () => void actions.update('e-1', { city: 'Bend' }));
    assert.equal(shown.text, 'saving');
    await shown.show(at('hidden'));
    await advance(1_000);
    await shown.show(at('visible'));
    assert.equal(shown.text, 'saved');
  });

  test('that conflicts waits until the user has decided', async () => {
    const { service, inProvider, advance } = await crm(1, { environment: { indexedDB: null } });
    let waiting;
    function Form() {
      const { record, update } = useRecord('escrows', 'e-1');
      waiting = usePendingWrites({ module: 'escrows', recordId: 'e-1' });
      const [conflict] = waiting.conflicts;
      return h('p', { onClick: () => update({ city: 'Bend' }) }, `${record?.city ?? '-'} ${conflict ? `${conflict.conflict.mine.city}|${conflict.conflict.theirs.city}` : ''}`);
    }
    const shown = await render(inProvider(h(Form)));
    await advance(100);
    service.streams.mute();
    await patch(service, '/records/escrows/e-1', { city: 'Salem' });
    await shown.click('p');
    await advance(200);
    assert.equal(shown.text, 'Bend Bend|Salem');
    assert.equal(waiting.storage, 'memory');
    await act(() => waiting.resolve(waiting.conflicts[0].id, 'mine'));
    await advance(200);
    assert.equal(shown.text, 'Bend ');
    assert.equal(waiting.writes.length, 0);
  });
});

describe('a record', () => {
  test('is shown, changes, and goes', async () => {
    const { service, inProvider, advance } = await crm(2);
    const One = ({ id }) => {
      const { status, record } = useRecord('escrows', id);
      return `${status} ${record?.address ?? ''}`;
    };
    const shown = await render(inProvider(h(One, { id: null })));
    assert.equal(shown.text, 'missing ');
    service.faults.add({ kind: 'delay', method: 'GET', ms: 100 });
    await shown.show(inProvider(h(One, { id: 'e-1' })));
    assert.equal(shown.text, 'loading ');
    await advance(200);
    assert.equal(shown.text, 'ready 1 Oak St');
    await patch(service, '/records/escrows/e-1', { address: '5 Elm St' });
    await advance(200);
    assert.equal(shown.text, 'ready 5 Elm St');
    await send(service, 'DELETE', '/records/escrows/e-1');
    await advance(200);
    assert.equal(shown.text, 'missing ');
  });
});

