// Tasks and notifications, built from lists and events. No browser is needed.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Inbox } from '../console/inbox.js';
import { Jobs, viewOf } from '../console/jobs.js';

const at = (n) => `${n}-k7q2mw`;
const task = (verb, version, data = {}) => ({ type: `ai:task:${verb}`, version, timestamp: 'T', data: { taskId: 't-1', attempt: 1, ...data } });
const queued = task('queued', 1, { taskType: 'import_csv', title: 'Import', state: 'queued' });
const started = task('started', 2, { taskType: 'import_csv', title: 'Import', state: 'running' });
const progress = (version, percent, more = {}) => task('progress', version, { state: 'running', percent, ...more });

function jobsAfter(...events) {
  const jobs = new Jobs();
  jobs.answer([], at(1));
  events.forEach((event, n) => jobs.take(event, at(n + 2)));
  return jobs;
}

describe('tasks', () => {
  test('are shown from their first event to their last', () => {
    const [view] = jobsAfter(queued, started, progress(3, 40, { message: 'Row 4 of 10' })).list().map(viewOf);
    assert.deepEqual(view, {
      id: 't-1', name: 'Import', state: 'running', percent: 40, words: 'Row 4 of 10', isCancellable: true, isRetryable: false,
    });
    const [over] = jobsAfter(queued, started, progress(3, 40), task('completed', 4, { state: 'completed' })).list().map(viewOf);
    assert.deepEqual([over.percent, over.isCancellable, over.isRetryable], [100, false, false]);
  });

  test('never go back, even when the same comes again', () => {
    const jobs = jobsAfter(queued, started, progress(3, 40));
    for (const old of [queued, progress(3, 10), started]) assert.equal(jobs.take(old, at(9)), false);
    assert.equal(jobs.list()[0].percent, 40);
  });

  test('that start again have no progress yet', () => {
    const again = task('started', 5, { attempt: 2, state: 'running' });
    const [view] = jobsAfter(queued, started, progress(3, 40, { message: 'Row 4' }), again).list().map(viewOf);
    assert.deepEqual([view.percent, view.words], [null, '']);
  });

  test('are not shown by a progress event alone', () => {
    assert.deepEqual(jobsAfter(progress(3, 40)).list(), []);
  });

  test('a late list undoes no change', () => {
    const jobs = new Jobs();
    jobs.take(queued, at(5));
    jobs.take(progress(3, 40), at(6));
    jobs.answer([{ id: 't-1', version: 2, state: 'running', percent: 1 }, { id: 't-0', version: 9, state: 'completed' }], at(4));
    assert.deepEqual(jobs.list().map(({ id, percent }) => [id, percent]), [['t-1', 40], ['t-0', undefined]]);
    jobs.answer([{ id: 't-0', version: 9, state: 'completed' }], at(7));
    assert.deepEqual(jobs.list().map(({ id }) => id), ['t-0']);
  });

  test('that failed show the reason, and can be retried', () => {
    const failed = task('failed', 3, { state: 'failed', error: { code: 'empty_csv', message: 'The file is empty' } });
    const [view] = jobsAfter(queued, started, failed).list().map(viewOf);
    assert.deepEqual([view.words, view.isRetryable, view.isCancellable], ['The file is empty', true, false]);
  });
});

const note = (id, more = {}) => ({ id, title: `n${id}`, level: 'info', count: 1, at: 'T', ...more });
const infoEvent = (id, more = {}) => ({ type: 'notification:info', data: note(id, more) });
const read = (data) => ({ type: 'notification:read', data });

function inboxAfter(...events) {
  const inbox = new Inbox();
  inbox.answer([{ ...note(1), read: true }], 0, at(1));
  events.forEach((event, n) => inbox.take(event, at(n + 2)));
  return inbox;
}

const unreadOf = (inbox) => inbox.list().filter((one) => !one.read).map(({ id }) => id);

describe('notifications', () => {
  test('come from new to old, with the number in the event', () => {
    const inbox = inboxAfter(infoEvent(2, { unread: 1 }), infoEvent(3, { unread: 2 }));
    assert.deepEqual(inbox.list().map(({ id }) => id), [3, 2, 1]);
    assert.equal(inbox.unread, 2);
  });

  test('to a team are counted here, once however often they come', () => {
    assert.equal(inboxAfter(infoEvent(2), infoEvent(2, { count: 2 }), infoEvent(3)).unread, 2);
  });

  test('are read on all devices', () => {
    const inbox = inboxAfter(infoEvent(2), infoEvent(3), infoEvent(4), read({ ids: [3], unread: 2 }));
    assert.deepEqual([unreadOf(inbox), inbox.unread], [[4, 2], 2]);
    inbox.take(read({ upTo: 4, unread: 0 }), at(9));
    assert.deepEqual([unreadOf(inbox), inbox.unread], [[], 0]);
  });

  test('a list that is answered late loses nothing that arrived meanwhile', () => {
    const inbox = new Inbox();
    inbox.take(infoEvent(2, { unread: 1 }), at(5));
    inbox.take(infoEvent(3, { unread: 2 }), at(7));
    inbox.answer([{ ...note(2), read: false }], 1, at(6));
    assert.deepEqual([unreadOf(inbox), inbox.unread], [[3, 2], 2]);
  });

  test('what is no notification changes nothing', () => {
    const inbox = inboxAfter();
    for (const type of ['notification:odd', 'listing:sold', 'system:odd']) {
      assert.equal(inbox.take({ type, data: note(5) }, at(9)), false);
    }
  });
});
