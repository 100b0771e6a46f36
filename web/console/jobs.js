// A user's tasks: a pure fold of a list and of the events of a stream.

const TASK_EVENT = /^ai:task:(queued|started|progress|completed|failed|cancelling|cancelled)$/;
const OVER = new Set(['completed', 'failed', 'cancelled']);
const MOST = 30;

const numberOf = (position) => BigInt(position.split('-')[0]);

export class Jobs {
  /** By id, from new to old. */
  #tasks = new Map();
  #at = -1n;

  list() {
    return [...this.#tasks.values()];
  }

  /** The list as it was at a position. Newer tasks stay. */
  answer(tasks, position) {
    const known = this.#tasks;
    const listed = tasks.map((task) => [task.id, known.get(task.id)?.version > task.version ? known.get(task.id) : task]);
    const since = [...known].filter(([id, task]) => task.changedAt > numberOf(position) && !listed.some(([one]) => one === id));
    this.#tasks = new Map([...since, ...listed]);
    this.#at = numberOf(position);
  }

  /** Takes an event; returns whether the list has changed. */
  take({ type, data, version, timestamp }, position) {
    if (!TASK_EVENT.test(type) || !data?.taskId || !position || numberOf(position) <= this.#at) return false;
    const known = this.#tasks.get(data.taskId);
    if (known ? known.version >= version : type.endsWith(':progress')) return false;
    const { taskId: id, taskType, ...fields } = data;
    // A new attempt has nothing of the one before.
    const before = known && { ...known, ...(known.attempt === fields.attempt ? {} : NO_PROGRESS) };
    const task = { createdAt: timestamp, type: taskType, ...before, ...fields, id, version, changedAt: numberOf(position) };
    if (known) this.#tasks.set(id, task);
    else this.#tasks = new Map([[id, task], ...this.#tasks].slice(0, MOST));
    return true;
  }
}

const NO_PROGRESS = { percent: undefined, step: undefined, steps: undefined, message: undefined, partial: undefined, error: undefined };

/** How a task is shown: its progress, and the possible actions. */
export function viewOf({ id, type, title, state, percent, step, steps, message, error }) {
  const isOver = OVER.has(state);
  return {
    id,
    name: title ?? type,
    state,
    percent: state === 'completed' ? 100 : percent ?? null,
    words: error?.message ?? message ?? (steps ? `step ${step} of ${steps}` : ''),
    isCancellable: !isOver && state !== 'cancelling',
    isRetryable: state === 'failed' || state === 'cancelled',
  };
}
