// Tasks, notifications and activity.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { activity, notifications, tasks } from '../src/index.js';
import { fill, patch, post, world } from './support.mjs';

const worker = { user: 'w-1', role: 'worker' };

async function opened() {
  const made = world();
  const { client } = await made.open({ user: 'ann' });
  const work = (path, body) => post(made.service, path, body, worker);
  return { ...made, client, work };
}

/** Notes the steps of a task until it has ended. */
function note(run) {
  const steps = [];
  const done = (async () => {
    for await (const step of run) steps.push(step.is === 'output' ? `+${step.text}` : step.is === 'restart' ? 'restart' : `${step.is} ${step.task.state} ${step.task.percent ?? ''}`.trim());
  })();
  return { steps, done };
}

describe('tasks', () => {
  test('are a list that follows the stream', async () => {
    const { client, clock, service, work } = await opened();
    await post(service, '/tasks', { type: 'old' }, { user: 'ann' });
    const list = tasks(client);
    const off = list.subscribe(() => {});
    await clock.advance(200);
    const created = await list.create({ type: 'letter', title: 'A letter', params: { to: 'Ms. Ünal' } });
    await work('/tasks/claim', { types: ['letter'] });
    await work(`/tasks/${created.id}/progress`, { fence: 1, percent: 40, message: 'writes' });
    await clock.advance(200);
    const shown = () => list.getSnapshot().tasks.map(({ type, state, percent, message }) => [type, state, percent, message]);
    assert.deepEqual([list.getSnapshot().status, shown()], ['ready', [['letter', 'running', 40, 'writes'], ['old', 'queued', undefined, undefined]]]);
    const before = list.getSnapshot().tasks[1];
    await work(`/tasks/${created.id}/progress`, { fence: 1, percent: 80 });
    await work(`/tasks/${created.id}/complete`, { fence: 1, result: { pages: 2 } });
    await clock.advance(200);
    const [first, second] = list.getSnapshot().tasks;
    assert.deepEqual([first.state, first.percent, first.message, first.result, first.params], ['completed', 100, 'writes', { pages: 2 }, { to: 'Ms. Ünal' }]);
    assert.equal(second, before, 'what has not changed is the same object');
    assert.equal(service.count('/tasks', 'GET'), 1);
    assert.equal(tasks(client), list);
    off();
  });

  test('are followed with progress and output, also after the line broke', async () => {
    const { client, clock, service, work } = await opened();
    const list = tasks(client);
    const { id } = await list.create({ type: 'letter' });
    service.faults.add({ kind: 'cut', path: `/tasks/${id}/output`, method: 'GET', bytes: 90 });
    const { steps, done } = note(list.follow(id));
    await clock.advance(200);
    await work('/tasks/claim', { types: ['letter'] });
    await work(`/tasks/${id}/output`, { fence: 1, offset: 0, text: 'Dear ' });
    await clock.advance(200);
    service.streams.cut();
    await work(`/tasks/${id}/output`, { fence: 1, offset: 5, text: 'Ms. Ünal' });
    await work(`/tasks/${id}/progress`, { fence: 1, percent: 90 });
    await clock.advance(5_000);
    await work(`/tasks/${id}/complete`, { fence: 1 });
    await clock.advance(500);
    await done;
    assert.equal(steps.filter((step) => step.startsWith('+')).map((step) => step.slice(1)).join(''), 'Dear Ms. Ünal');
    assert.deepEqual([steps[0], steps.at(-1)], ['progress queued', 'end completed 100']);
    assert.ok(steps.includes('progress running 90'), steps.join(', '));
    assert.equal(service.count(`/tasks/${id}/output`, 'GET'), 2);
    assert.equal(client.connection.getSnapshot().state, 'connected');
  });

  test('are followed to their end after the user has signed in again', async () => {
    const { open, clock, service, work } = await opened();
    const { client } = await open({ user: 'ann', token: service.token({ user: 'ann' }) });
    const { id } = await tasks(client).create({ type: 'letter' });
    const path = `/tasks/${id}/output`;
    service.faults.add({ kind: 'cut', path, method: 'GET', bytes: 90 }, { kind: 'expired', path, method: 'GET' });
    const { steps, done } = note(tasks(client).follow(id));
    await clock.advance(5_000);
    assert.equal(service.count(path, 'GET'), 2, 'it was refused');
    await work('/tasks/claim', { types: ['letter'] });
    await work(path, { fence: 1, offset: 0, text: 'Dear Ms. Ünal' });
    client.setToken(service.token({ user: 'ann', seconds: 7_200 }));
    await clock.advance(1_000);
    await work(`/tasks/${id}/complete`, { fence: 1 });
    await clock.advance(1_000);
    await done;
    assert.ok(steps.includes('+Dear Ms. Ünal'), steps.join());
    assert.equal(steps.at(-1), 'end completed 100');
  });

  test('are followed to their end without an output that the service refuses', async () => {
    for (const isLate of [false, true]) {
      const { client, clock, service, work } = await opened();
      const { id } = await tasks(client).create({ type: 'letter' });
      await work('/tasks/claim', { types: ['letter'] });
      service.faults.add({ kind: 'status', status: 403, path: `/tasks/${id}/output`, times: 100 });
      if (isLate) service.faults.add({ kind: 'delay', ms: 2_000, path: `/tasks/${id}/output` });
      const { steps, done } = note(tasks(client).follow(id));
      if (!isLate) await clock.advance(1_000);
      await work(`/tasks/${id}/complete`, { fence: 1 });
      await clock.advance(5_000);
      await done;
      assert.equal(steps.at(-1), 'end completed 100');
    }
  });

  test('are followed over answers that pass by themselves, at the beginning and at the end', async () => {
    const { client, clock, service, work } = await opened();
    const { id } = await tasks(client).create({ type: 'letter' });
    const away = (fault) => service.faults.add({ kind: 'status', status: 503, method: 'GET', path: new RegExp(`^/tasks/${id}$`), times: 2, ...fault });
    away();
    const { steps, done } = note(tasks(client).follow(id));
    await clock.advance(5_000);
    assert.deepEqual(steps, ['progress queued']);
    await work('/tasks/claim', { types: ['letter'] });
    await work(`/tasks/${id}/output`, { fence: 1, offset: 0, text: 'Dear ' });
    await clock.advance(200);
    away({ status: 429, headers: { 'Retry-After': '7' }, times: 1 });
    away({ kind: 'reset' });
    await work(`/tasks/${id}/complete`, { fence: 1 });
    await clock.advance(6_900);
    assert.equal(steps.at(-1), 'progress completed 100', 'the service says when');
    await clock.advance(5_000);
    await done;
    assert.ok(steps.includes('+Dear '), steps.join());
    assert.equal(steps.at(-1), 'end completed 100');
  });

  test('are not asked for any more by those who leave while the service is away', async () => {
    const { client, clock, service } = await opened();
    const { id } = await tasks(client).create({ type: 'letter' });
    service.faults.add({ kind: 'reset', method: 'GET', path: `/tasks/${id}`, times: 1_000 }, { kind: 'delay', ms: 10_000, path: '/tasks/other' });
    const abort = new AbortController();
    const runs = [id, 'other'].map((one) => note(tasks(client).follow(one, { signal: abort.signal })).done);
    await clock.advance(3_000);
    const { length } = service.requests;
    const before = clock.pending;
    abort.abort();
    await Promise.all(runs);
    await clock.advance(60_000);
    assert.equal(service.requests.length, length);
    assert.ok(clock.pending < before);
  });

  test('cost a stream from when the service knows them, and those that have ended one after the other', async () => {
    const { client, clock, service, work } = await opened();
    const list = tasks(client);
    const ids = [];
    for (let n = 1; n <= 3; n += 1) {
      const { id } = await list.create({ type: 'letter' });
      ids.push(id);
      await work('/tasks/claim', { types: ['letter'] });
      await work(`/tasks/${id}/output`, { fence: 1, offset: 0, text: `Letter ${n}` });
      await work(`/tasks/${id}/complete`, { fence: 1 });
    }
    const { id: running } = await list.create({ type: 'letter' });
    const opening = () => service.count(/^\/tasks\/.+\/output$/, 'GET');
    service.faults.add({ kind: 'delay', path: /^\/tasks\/[^/]+$/, method: 'GET', ms: 1_000, times: 5 }, { kind: 'delay', path: /output$/, method: 'GET', ms: 1_000, times: 4 });
    const runs = [...ids, running, 'nothing'].map((id) => note(list.follow(id)));
    const refused = assert.rejects(runs[4].done, { code: 'unknown_task' });
    await clock.advance(1_500);
    await refused;
    assert.equal(opening(), 0);
    await clock.advance(1_000);
    assert.equal(opening(), 2, 'the running one, and one that has ended');
    await clock.advance(1_000);
    assert.equal(opening(), 3);
    await clock.advance(3_000);
    await Promise.all(runs.slice(0, 3).map(({ done }) => done));
    assert.deepEqual(runs.slice(0, 3).map(({ steps }) => steps), ids.map((_, n) => ['progress completed 100', `+Letter ${n + 1}`, 'end completed 100']));
    assert.equal(opening(), 4);
  });

  test('that have ended do not wait for one whose output cannot be read', async () => {
    const { client, clock, service } = await opened();
    const list = tasks(client);
    const [first, second, third] = await Promise.all(['a', 'b', 'c'].map((type) => list.create({ type })));
    for (const { id } of [first, second, third]) await list.cancel(id);
    const output = ({ id }) => `/tasks/${id}/output`;
    service.faults.add({ kind: 'reset', path: output(first), times: 1_000 }, { kind: 'silence', path: output(second) });
    const abort = new AbortController();
    note(list.follow(first.id, { signal: abort.signal }));
    const { done: left } = note(list.follow(second.id, { signal: abort.signal }));
    const { steps, done } = note(list.follow(third.id));
    await clock.advance(500);
    assert.deepEqual([service.count(output(third)), steps], [0, ['progress cancelled']]);
    abort.abort();
    await left;
    await clock.advance(500);
    await done;
    assert.equal(steps.at(-1), 'end cancelled');
  });

  test('end when they have ended, also where the output had to wait for its turn', async () => {
    const { client, clock, service, work } = await opened();
    const { id } = await tasks(client).create({ type: 'letter' });
    service.faults.add({ kind: 'status', status: 503, path: `/tasks/${id}/output`, method: 'GET', headers: { 'Retry-After': '200' } });
    const { steps, done } = note(tasks(client).follow(id));
    await clock.advance(1_000);
    await work('/tasks/claim', { types: ['letter'] });
    await work(`/tasks/${id}/output`, { fence: 1, offset: 0, text: 'Dear Ms. Ünal' });
    await work(`/tasks/${id}/complete`, { fence: 1 });
    await clock.advance(1_000);
    assert.deepEqual(steps.slice(-2), ['+Dear Ms. Ünal', 'end completed 100'], steps.join());
    await done;
  });

  test('are not asked for their output in a hurry while the service is away', async () => {
    const { client, clock, service } = await opened();
    const { id } = await tasks(client).create({ type: 'letter' });
    const path = `/tasks/${id}/output`;
    service.faults.add({ kind: 'reset', isLate: true, path, times: 1_000 });
    const { done } = note(tasks(client).follow(id));
    await clock.advance(1_000);
    await tasks(client).cancel(id);
    await clock.advance(20_000);
    assert.ok(service.count(path) < 10, `${service.count(path)} attempts`);
    service.faults.clear();
    await clock.advance(60_000);
    await done;
  });

  test('cancel() cancels the task, and not the connection', async () => {
    const { client, clock, work } = await opened();
    const list = tasks(client);
    const { id } = await list.create({ type: 'letter' });
    await work('/tasks/claim', { types: ['letter'] });
    const run = list.follow(id);
    const { steps, done } = note(run);
    await clock.advance(200);
    assert.equal((await run.cancel()).state, 'cancelling');
    await clock.advance(200);
    assert.equal(steps.at(-1), 'progress cancelling');
    await work(`/tasks/${id}/cancelled`, { fence: 1 });
    await clock.advance(500);
    await done;
    assert.equal(steps.at(-1), 'end cancelled');
    assert.equal(client.connection.getSnapshot().state, 'connected');
  });

  test('that nobody follows any more leave no stream, and an unknown one is an error', async () => {
    const { client, clock, service } = await opened();
    const list = tasks(client);
    const { id } = await list.create({ type: 'letter' });
    const abort = new AbortController();
    const { done } = note(list.follow(id, { signal: abort.signal }));
    await clock.advance(200);
    abort.abort();
    await clock.advance(60_000);
    await done;
    assert.equal(service.count(`/tasks/${id}/output`), 1);
    const unknown = note(list.follow('nothing')).done;
    const refused = assert.rejects(unknown, { code: 'unknown_task' });
    await clock.advance(200);
    await refused;
  });
});

describe('tasks of several pages', () => {
  test('keep their length when they load again', async () => {
    const { client, clock, service } = await opened();
    for (let n = 1; n <= 5; n += 1) await post(service, '/tasks', { type: `${n}` }, { user: 'ann' });
    const list = tasks(client, { limit: 2 });
    list.subscribe(() => {});
    await clock.advance(200);
    await list.loadMore();
    const types = () => list.getSnapshot().tasks.map(({ type }) => type).join('');
    assert.equal(types(), '5432');
    service.log.epoch = 'fake02';
    service.streams.cut();
    await clock.advance(5_000);
    assert.deepEqual([types(), list.getSnapshot().hasMore], ['5432', true]);
    await list.loadMore();
    assert.deepEqual([types(), list.getSnapshot().hasMore], ['54321', false]);
  });
});

describe('notifications', () => {
  test('are counted, come by the stream, and are read on all devices', async () => {
    const { client, open, clock, service } = await opened();
    const tell = (title, audience = { user: 'ann' }) => post(service, '/notifications', { audience, level: 'warning', title });
    await tell('one');
    const { client: phone } = await open({ user: 'ann' });
    const [here, there] = [client, phone].map((one) => notifications(one));
    here.subscribe(() => {});
    there.subscribe(() => {});
    await clock.advance(200);
    await tell('two');
    await tell('three', { team: 'team-a' });
    await clock.advance(200);
    const seen = (list) => [list.getSnapshot().unread, list.getSnapshot().notifications.map(({ title, read }) => `${title}${read ? ' read' : ''}`)];
    assert.deepEqual(seen(here), [3, ['three', 'two', 'one']]);
    await here.markRead(2);
    await clock.advance(200);
    for (const list of [here, there]) assert.deepEqual(seen(list), [2, ['three', 'two read', 'one']]);
    await there.markAllRead();
    await clock.advance(200);
    for (const list of [here, there]) assert.deepEqual(seen(list), [0, ['three read', 'two read', 'one read']]);
    assert.equal(service.count('/notifications', 'GET'), 2);
  });

  test('load again after a reset, and page after page', async () => {
    const { client, clock, service } = await opened();
    for (let n = 1; n <= 5; n += 1) await post(service, '/notifications', { audience: { user: 'ann' }, title: `${n}` });
    const list = notifications(client, { limit: 2 });
    list.subscribe(() => {});
    await clock.advance(200);
    const titles = () => list.getSnapshot().notifications.map(({ title }) => title).join('');
    assert.deepEqual([titles(), list.getSnapshot().hasMore], ['54', true]);
    await list.loadMore();
    await list.loadMore();
    assert.deepEqual([titles(), list.getSnapshot().hasMore], ['54321', false]);
    service.log.epoch = 'fake02';
    service.streams.cut();
    await clock.advance(5_000);
    assert.deepEqual([titles(), list.getSnapshot().hasMore, list.getSnapshot().unread], ['54321', false, 5], 'it keeps its length');
    await post(service, '/notifications', { audience: { user: 'ann' }, title: '6' });
    await clock.advance(200);
    assert.equal(titles(), '654321');
  });
});

describe('activity', () => {
  test('has sentences of the service, and asks again once after many changes', async () => {
    const made = await opened();
    const { client, clock, service } = made;
    await fill(made, 3);
    const feed = activity(client, { limit: 2 });
    const off = feed.subscribe(() => {});
    await clock.advance(200);
    const texts = () => feed.getSnapshot().activity.map(({ text }) => text);
    assert.deepEqual(texts(), ['u-2 created e-3', 'u-2 created e-2']);
    await feed.loadMore();
    assert.equal(texts().length, 3);
    for (const city of ['Bend', 'Reno', 'Napa']) await patch(service, '/records/escrows/e-1', { city });
    await clock.advance(3_000);
    assert.equal(service.count('/activity'), 4, 'two pages, and both again once for all changes');
    assert.equal(texts()[0], 'u-2 updated e-1');
    off();
    await clock.advance(5_000);
    await fill(made, 1, 9);
    await clock.advance(5_000);
    assert.equal(service.count('/activity'), 4, 'nobody looks any more');
  });

  test('keeps its length when more has happened than a page has', async () => {
    const made = await opened();
    const { client, clock, service } = made;
    await fill(made, 4);
    const feed = activity(client, { limit: 2 });
    feed.subscribe(() => {});
    await clock.advance(200);
    await feed.loadMore();
    await fill(made, 3, 5);
    await clock.advance(3_000);
    const texts = () => feed.getSnapshot().activity.map(({ text }) => text.split(' ').at(-1));
    assert.deepEqual(texts(), ['e-7', 'e-6', 'e-5', 'e-4']);
    await feed.loadMore();
    assert.deepEqual(texts(), ['e-7', 'e-6', 'e-5', 'e-4', 'e-3', 'e-2']);
    assert.equal(service.count('/activity'), 5);
  });

  test('gets the next page while more happens, and then what has happened', async () => {
    const made = await opened();
    const { client, clock, service } = made;
    await fill(made, 40);
    const feed = activity(client, { limit: 10 });
    feed.subscribe(() => {});
    await clock.advance(200);
    service.faults.add({ kind: 'delay', ms: 3_000, path: '/activity' });
    feed.loadMore();
    await clock.advance(100);
    await patch(service, '/records/escrows/e-1', { city: 'Bend' });
    await clock.advance(1_500);
    const shown = () => {
      const { activity: acts, isLoadingMore } = feed.getSnapshot();
      return [acts.length, acts[0].text, acts.at(-1).text, isLoadingMore];
    };
    assert.deepEqual(shown(), [10, 'u-2 created e-40', 'u-2 created e-31', true]);
    await clock.advance(5_000);
    assert.deepEqual(shown(), [20, 'u-2 updated e-1', 'u-2 created e-22', false]);
    service.faults.add({ kind: 'delay', ms: 3_000, path: '/activity' });
    feed.loadMore();
    await clock.advance(100);
    service.log.epoch = 'fake02';
    service.streams.cut();
    await clock.advance(10_000);
    assert.deepEqual(shown(), [20, 'u-2 updated e-1', 'u-2 created e-22', false], 'a reset ends it');
  });

  test('has as many acts all day as were loaded by pages, and none is missing after them', async () => {
    const made = await opened();
    const { client, clock, service } = made;
    await fill(made, 30);
    const feed = activity(client, { limit: 10 });
    feed.subscribe(() => {});
    await clock.advance(200);
    await feed.loadMore();
    for (let n = 1; n <= 25; n += 1) {
      await patch(service, '/records/escrows/e-1', { city: `Town ${n}` });
      await clock.advance(1_500);
    }
    const numbers = () => feed.getSnapshot().activity.map(({ position }) => Number.parseInt(position, 10));
    const down = (from, count) => Array.from({ length: count }, (_, n) => from - n);
    assert.deepEqual(numbers(), down(55, 20));
    const { length } = service.requests;
    await feed.loadMore();
    assert.equal(service.requests.length, length + 1);
    assert.deepEqual([numbers(), feed.getSnapshot().hasMore], [down(55, 30), true]);
  });

  test('of a record is forgotten when nobody looks at it any more', async () => {
    const made = await opened();
    const { client, clock, service } = made;
    await fill(made, 1);
    const options = { module: 'escrows', recordId: 'e-1' };
    const feed = activity(client, options);
    const off = feed.subscribe(() => {});
    await clock.advance(200);
    off();
    assert.equal(activity(client, options), feed, 'it may be looked at again at once');
    await clock.advance(2_000);
    assert.notEqual(activity(client, options), feed);
    client.endPart(`activity:${JSON.stringify(options)}`);
    const offAgain = feed.subscribe(() => {});
    assert.equal(activity(client, options), feed);
    await patch(service, '/records/escrows/e-1', { city: 'Bend' });
    await clock.advance(2_000);
    assert.equal(feed.getSnapshot().activity.length, 2);
    offAgain();
    await clock.advance(2_000);
    assert.equal(client.hasPart(`activity:${JSON.stringify(options)}`), false);
  });
});
