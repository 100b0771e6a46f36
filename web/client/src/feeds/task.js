// A task as its events tell it.

/** @typedef {import('../events.d.ts').Task} Task */

/** What the next event replaces: progress always, and what only an end has. */
const PROGRESS = ['percent', 'step', 'steps', 'message', 'partial'];
const STATE = [...PROGRESS, 'result', 'error'];
const ENDED = new Set(['completed', 'failed', 'cancelled']);

/** @param {{state: string}} task */
export const hasEnded = ({ state }) => ENDED.has(state);

/** Those for workers have no state. @param {any} event */
export const isTaskEvent = ({ type, data }) => type.startsWith('ai:task:') && Boolean(data?.taskId && data.state);

/**
 * The task after an event; the same object, if it is known already.
 * @param {Task | null} known
 * @param {any} event
 * @returns {Task}
 */
export function foldTask(known, { type, userId, timestamp, version, data: { taskId, taskType, ...data } }) {
  if (known && known.version >= version) return known;
  const action = type.slice(type.lastIndexOf(':') + 1);
  const kept = /** @type {Record<string, any>} */ ({ userId, maxAttempts: 1, createdAt: timestamp, ...known });
  for (const field of action === 'progress' ? PROGRESS : STATE) delete kept[field];
  const task = /** @type {Task} */ ({ ...kept, ...data, id: taskId, type: taskType ?? known?.type ?? '', version });
  if (action === 'started') task.startedAt = timestamp;
  if (action === 'cancelling') task.cancelRequestedAt ??= timestamp;
  if (hasEnded(task)) task.endedAt = timestamp;
  return task;
}
