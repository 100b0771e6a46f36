// Tasks, notifications and activity.
import { useEffect, useMemo, useState } from 'react';
import { activity, notifications, tasks } from '../feeds.js';
import { LOADING } from '../feeds/feed.js';
import { useClient } from './provider.js';
import { useStore } from './store.js';

/** @typedef {import('../events.d.ts').Task} Task */
/** @typedef {import('../feeds/tasks.js').NewTask} NewTask */
/** @typedef {import('../error.js').PorchlightError} PorchlightError */

/** @type {import('../feeds/tasks.js').TasksSnapshot} */
const NO_TASKS = Object.freeze({ ...LOADING, tasks: [] });
/** @type {import('../feeds/notifications.js').NotificationsSnapshot} */
const NO_NOTIFICATIONS = Object.freeze({ ...LOADING, notifications: [], unread: 0 });
/** @type {import('../feeds/activity.js').ActivitySnapshot} */
const NO_ACTIVITY = Object.freeze({ ...LOADING, activity: [] });
/** @type {{task: Task | null, output: string, hasEnded: boolean, error: PorchlightError | null}} */
const NO_TASK = Object.freeze({ task: null, output: '', hasEnded: false, error: null });

/**
 * The tasks of the user and the user's teams, with their progress.
 * @param {import('../feeds/tasks.js').TasksOptions} [options]
 */
export function useTasks(options = {}) {
  const client = useClient();
  const key = JSON.stringify(options);
  const store = useMemo(() => tasks(client, JSON.parse(key)), [client, key]);
  const snapshot = useStore(store, NO_TASKS);
  return useMemo(() => ({
    ...snapshot,
    create: (/** @type {NewTask} */ task) => store.create(task),
    cancel: (/** @type {string} */ id) => store.cancel(id),
    retry: (/** @type {string} */ id) => store.retry(id),
    loadMore: () => store.loadMore(),
  }), [snapshot, store]);
}

/**
 * One task with the text that its worker writes. Until it has ended, this costs a stream of the user, which tabs do not share. Unmounting stops following, not the task.
 * @param {string | null | undefined} id
 */
export function useTask(id) {
  const client = useClient();
  const [state, setState] = useState(NO_TASK);
  useEffect(() => {
    setState(NO_TASK);
    if (!id) return undefined;
    const leaving = new AbortController();
    const change = (/** @type {(before: typeof NO_TASK) => Partial<typeof NO_TASK>} */ make) => !leaving.signal.aborted && setState((before) => ({ ...before, ...make(before) }));
    (async () => {
      for await (const step of tasks(client).follow(id, { signal: leaving.signal })) {
        if (step.is === 'output') change(({ output }) => ({ output: output + step.text }));
        else if (step.is === 'restart') change(() => ({ output: '' }));
        else change(() => ({ task: step.task, hasEnded: step.is === 'end' }));
      }
    })().catch((error) => change(() => ({ error })));
    return () => leaving.abort();
  }, [client, id]);
  return useMemo(() => ({ ...state, cancel: async () => (id ? tasks(client).cancel(id) : null) }), [state, client, id]);
}

/** The user's notifications. */
export function useNotifications() {
  const client = useClient();
  const store = useMemo(() => notifications(client), [client]);
  const snapshot = useStore(store, NO_NOTIFICATIONS);
  return useMemo(() => ({
    ...snapshot,
    markRead: (/** @type {number} */ id) => store.markRead(id),
    markAllRead: () => store.markAllRead(),
    loadMore: () => store.loadMore(),
  }), [snapshot, store]);
}

/**
 * What people did, in sentences.
 * @param {import('../feeds/activity.js').ActivityOptions} [options]
 */
export function useActivity(options = {}) {
  const client = useClient();
  const key = JSON.stringify(options);
  const store = useMemo(() => activity(client, JSON.parse(key)), [client, key]);
  const snapshot = useStore(store, NO_ACTIVITY);
  return useMemo(() => ({ ...snapshot, loadMore: () => store.loadMore() }), [snapshot, store]);
}
