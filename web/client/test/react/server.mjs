// Rendering on a server, and taking over in the browser.
import assert from 'node:assert/strict';
import { act, StrictMode } from 'react';
import { hydrateRoot } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { ConnectionBadge, PorchlightProvider, useMutation, usePendingWrites, useRecord, useRecords } from '../../src/react/index.js';
import { crm, describe, h, ownCrm, takeComplaints, test } from './support.mjs';
import { world } from '../support.mjs';

function App() {
  const { status, records } = useRecords('escrows', { filter: { status: 'open' } });
  const { record } = useRecord('escrows', 'e-1');
  const none = useRecord('escrows', undefined);
  const { isPending } = useMutation('escrows');
  const { writes } = usePendingWrites();
  return h('div', null, h(ConnectionBadge), h('p', null, `${status} ${records.length} ${record?.id ?? '-'} ${none.status} ${isPending} ${writes.length}`));
}

describe('a server', () => {
  test('renders what is known there, and starts nothing', async () => {
    const { clock, service } = world();
    const { page, props } = ownCrm(service, clock);
    const element = h(PorchlightProvider, props, h(App));
    const html = renderToString(element);
    assert.equal(renderToString(element), html);
    assert.match(html, /Connecting/);
    assert.match(html, /loading 0 - missing false 0/);
    assert.deepEqual([clock.pending, page.listeners, service.requests.length], [0, 0, 0]);
  });

  test('and the browser agree, even if the client there is live already', async () => {
    const { inProvider, client, advance } = await crm(3);
    const off = client.records('escrows', { filter: { status: 'open' } }).subscribe(() => {});
    await advance(100);
    const container = document.createElement('div');
    container.innerHTML = renderToString(inProvider(h(App)));
    assert.match(container.textContent, /loading 0/);
    let root;
    await act(async () => {
      root = hydrateRoot(container, h(StrictMode, null, inProvider(h(App))));
    });
    await advance(100);
    assert.match(container.textContent, /^Liveready 3 e-1 missing false 0$/);
    await act(async () => root.unmount());
    off();
    assert.deepEqual(takeComplaints(), []);
  });
});
