// The tasks of this user and the user's teams.
import { segment } from '../request.js';
import { Feed, LOADING } from './feed.js';
import { foldTask, isTaskEvent } from './task.js';
import { TaskRun } from './task_run.js';

/** @typedef {import('../events.d.ts').Task} Task */
/** @typedef {import('./feed.js').FeedSnapshot & {tasks: readonly Task[]}} TasksSnapshot */
/** @typedef {{type?: string, parent?: string, limit?: number}} TasksOptions */
/** @typedef {{type: string, title?: string, params?: any, team?: string, parent?: string, children?: any[], maxAttempts?: number}} NewTask */

/** @extends {Feed<TasksSnapshot>} */
export class Tasks extends Feed {
  #client;
  #options;
  /** From new to old. @type {Map<string, Task>} */
  #known = new Map();

  /**
   * @param {import('../client.js').Client} client
   * @param {TasksOptions} options
   */
  constructor(client, options) {
    super(client, '/tasks', options, { ...LOADING, tasks: [] });
    this.#client = client;
    this.#options = options;
  }

  /**
   * Creates a task. A repeated request creates no second one.
   * @param {NewTask} task
   * @returns {Promise<Task>}
   */
  create(task) {
    return this.#send('/tasks', task, { 'Idempotency-Key': this.context.env.uuid() });
  }

  /**
   * Cancels a task. Whoever follows it hears how it ends.
   * @param {string} id
   */
  cancel(id) {
    return this.#send(`/tasks/${segment(id)}/cancel`, {});
  }

  /**
   * Does a failed or cancelled task again, as a new task.
   * @param {string} id
   */
  retry(id) {
    return this.#send(`/tasks/${segment(id)}/retry`, {});
  }

  /**
   * What happens in a task, until it has ended: `for await (const step of tasks.follow(id))`. Until then it costs a stream of this user, which tabs do not share.
   * @param {string} id
   * @param {{signal?: AbortSignal}} [options]
   */
  follow(id, options) {
    return new TaskRun(this.#client, id, () => this.cancel(id), options);
  }

  /**
   * @param {string} path
   * @param {unknown} body
   * @param {Record<string, string>} [headers]
   * @returns {Promise<Task>}
   */
  async #send(path, body, headers) {
    const answer = await this.context.request('POST', path, { body, headers });
    if (this.isLoaded && this.#put(answer.body)) this.show();
    return answer.body;
  }

  /** @override @param {any} event */
  concerns(event) {
    return isTaskEvent(event);
  }

  /** @override */
  empty() {
    this.#known.clear();
    super.empty();
  }

  /** @override @param {{tasks: Task[]}} body @param {boolean} isFirst */
  keep({ tasks }, isFirst) {
    if (isFirst) this.#known.clear();
    for (const task of tasks) this.#known.set(task.id, task);
  }

  /** @override @param {import('../received.js').Delivery} delivery */
  apply({ data }) {
    return this.#put(foldTask(this.#known.get(data.data.taskId) ?? null, data));
  }

  /** @param {Task} task */
  #put(task) {
    const { type, parent } = this.#options;
    const known = this.#known.get(task.id);
    if (known && known.version >= task.version) return false;
    if ((type && task.type !== type) || (parent && task.parentId !== parent)) return false;
    if (known) this.#known.set(task.id, task);
    else this.#known = new Map([[task.id, task], ...this.#known]);
    return true;
  }

  /** @override */
  show() {
    this.change({ tasks: [...this.#known.values()] });
  }
}
