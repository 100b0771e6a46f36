// Tasks, notifications and activity.
import assert from 'node:assert/strict';
import { useActivity, useNotifications, useTask, useTasks } from '../../src/react/index.js';
import { patch, post } from '../support.mjs';
import { act, crm, describe, h, render, test } from './support.mjs';

/** What the worker of a task does. */
function workerOf(service) {
  const as = { user: 'w-1', role: 'worker' };
  return {
    claim: () => post(service, '/tasks/claim', { types: ['summarize'] }, as),
    report: (id, what, body) => post(service, `/tasks/${id}/${what}`, { fence: 1, ...body }, as),
  };
}

describe('tasks', () => {
  test('are created once, show their progress, and are cancelled', async () => {
    const { service, inProvider, advance } = await crm(0);
    let own;
    const List = () => {
      own = useTasks();
      return own.tasks.map(({ title, state, percent }) => `${title} ${state} ${percent ?? '-'}`).join('; ');
    };
    const shown = await render(inProvider(h(List)));
    await advance(100);
    await act(() => own.create({ type: 'summarize', title: 'One' }));
    await advance(100);
    assert.equal(shown.text, 'One queued -');
    const [{ id }] = own.tasks;
    const worker = workerOf(service);
    await act(() => worker.claim());
    await act(() => worker.report(id, 'progress', { percent: 40, message: 'Reading' }));
    await advance(200);
    assert.equal(shown.text, 'One running 40');
    await act(() => own.cancel(id));
    assert.match(shown.text, /^One cancelling/);
    await act(() => worker.report(id, 'cancelled', {}));
    await advance(200);
    await act(() => own.retry(id));
    await advance(200);
    assert.match(shown.text, /^One cancelled \S+; One queued -$|^One queued -; One cancelled \S+$/);
    assert.equal(service.count('/tasks', 'GET'), 1);
  });

  test('are followed with their output, over a cut', async () => {
    const { service, page, inProvider, advance } = await crm(0);
    const worker = workerOf(service);
    const { body: { id } } = await post(service, '/tasks', { type: 'summarize' }, { user: 'u-1' });
    let own;
    const One = () => {
      own = useTask(id);
      return `${own.task?.state} ${own.output} ${own.hasEnded && own.task.result.words}`;
    };
    await advance(100);
    const { listeners } = page;
    service.faults.add({ kind: 'cut', path: `/tasks/${id}/output`, method: 'GET', bytes: 60 });
    const shown = await render(inProvider(h(One)));
    await act(() => worker.claim());
    await act(() => worker.report(id, 'output', { offset: 0, text: 'Dear ' }));
    await advance(3_000);
    assert.equal(shown.text, 'running Dear  false');
    await act(() => worker.report(id, 'output', { offset: 5, text: 'Ms. Ünal' }));
    await advance(200);
    await act(() => worker.report(id, 'complete', { result: { words: 3 } }));
    await advance(500);
    assert.equal(shown.text, 'completed Dear Ms. Ünal 3');
    assert.ok(service.count(`/tasks/${id}/output`, 'GET') > 1);
    await shown.unmount();
    await advance(100);
    assert.equal(page.listeners, listeners);
  });
});

describe('notifications', () => {
  test('arrive, are counted, and are read', async () => {
    const { service, inProvider, advance } = await crm(0);
    const say = (title) => post(service, '/notifications', { audience: { team: 'team-a' }, level: 'info', title });
    await say('One');
    let own;
    const Inbox = () => {
      own = useNotifications();
      return `${own.unread}: ${own.notifications.map(({ title, read }) => `${title}${read ? '' : '*'}`).join(' ')}`;
    };
    const shown = await render(inProvider(h(Inbox)));
    await advance(100);
    assert.equal(shown.text, '1: One*');
    await say('Two');
    await advance(200);
    assert.equal(shown.text, '2: Two* One*');
    await act(() => own.markRead(1));
    assert.equal(shown.text, '1: Two* One');
    await act(() => own.markAllRead());
    await advance(200);
    assert.equal(shown.text, '0: Two One');
    assert.equal(service.count('/notifications', 'GET'), 1);
  });
});

describe('activity', () => {
  test('is asked for once for many changes, and never after the end', async () => {
    const { service, clock, inProvider, advance } = await crm(2);
    const List = () => useActivity({ module: 'escrows' }).activity.map(({ text }) => text).join('; ');
    const shown = await render(inProvider(h(List)));
    await advance(100);
    assert.equal(shown.text, 'u-2 created e-2; u-2 created e-1');
    for (let n = 0; n < 5; n += 1) await patch(service, '/records/escrows/e-1', { city: `Town ${n}` });
    await advance(1_500);
    assert.match(shown.text, /^(u-2 updated e-1; ){5}u-2 created e-2/);
    assert.equal(service.count('/activity'), 2);
    await patch(service, '/records/escrows/e-1', { city: 'Bend' });
    await advance(100);
    await shown.unmount();
    await clock.advance(2_000);
    const { length } = service.requests;
    await patch(service, '/records/escrows/e-1', { city: 'Salem' });
    await clock.advance(5_000);
    assert.equal(service.requests.length, length + 1);
  });
});
