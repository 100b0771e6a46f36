// The state of the connection, and its badge.
import assert from 'node:assert/strict';
import { ConnectionBadge, useConnection } from '../../src/react/index.js';
import { act, crm, describe, h, render, test } from './support.mjs';
import { post, escrow } from '../support.mjs';

describe('the badge', () => {
  test('says Live, Connecting, Offline, and Error with a way to retry', async () => {
    const { service, page, inProvider, advance } = await crm(0);
    const shown = await render(inProvider(h(ConnectionBadge, { labels: { live: 'Online' } }), h(ConnectionBadge)));
    const state = () => shown.container.children[1].dataset.state;
    await advance(10);
    assert.equal(shown.text, 'OnlineLive');
    assert.equal(shown.find('[role=status]').textContent, 'Online');
    assert.equal(state(), 'live');
    service.faults.add({ kind: 'status', path: '/stream', times: 6 });
    await act(async () => service.streams.cut());
    await advance(10);
    assert.deepEqual([shown.container.children[1].textContent, state()], ['Connecting', 'connecting']);
    await advance(40_000);
    assert.deepEqual([shown.container.children[1].textContent, state()], ['ErrorRetry', 'error']);
    service.faults.clear();
    await shown.click('button');
    await advance(10);
    assert.equal(shown.text, 'OnlineLive');
    await act(async () => page.emit('offline'));
    await act(async () => service.streams.cut());
    await advance(10);
    assert.deepEqual([shown.container.children[1].textContent, state()], ['OfflineRetry', 'offline']);
  });
});

describe('useConnection', () => {
  test('renders again only when the part changes', async () => {
    const { service, inProvider, advance } = await crm(0);
    let rendered = 0;
    function Lost() {
      rendered += 1;
      return String(useConnection(({ isLost, failures }) => ({ isLost, hasFailed: failures > 0 })).isLost);
    }
    const shown = await render(inProvider(h(Lost)), { strict: false });
    await advance(100);
    const before = rendered;
    for (let n = 0; n < 5; n += 1) {
      await post(service, '/records/escrows', escrow(n));
      await advance(1_500);
    }
    assert.equal(rendered, before);
    service.faults.add({ kind: 'status', path: '/stream', times: 3 });
    await act(async () => service.streams.cut());
    await advance(6_000);
    assert.equal(shown.text, 'true');
  });

  test('has everything without a function', async () => {
    const { inProvider, advance } = await crm(0);
    let connection;
    const All = () => {
      connection = useConnection();
      return connection.state;
    };
    const shown = await render(inProvider(h(All)));
    await advance(100);
    assert.equal(shown.text, 'connected');
    assert.equal(typeof connection.retry, 'function');
    assert.equal(connection.pendingWrites, 0);
  });
});
