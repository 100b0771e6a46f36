// A task while it is done: progress from the stream, output from a stream of its own.
import { backoffMs } from '../backoff.js';
import { Connection } from '../connection.js';
import { segment } from '../request.js';
import { Turns } from '../turns.js';
import { foldTask, hasEnded, isTaskEvent } from './task.js';

/** @typedef {import('../events.d.ts').Task} Task */

/**
 * `restart`: a new attempt begins, and its output begins again. `end` is the last step.
 * @typedef {{is: 'progress' | 'end', task: Task} | {is: 'output', text: string, offset: number} | {is: 'restart', attempt: number}} TaskStep
 */

/** @implements {AsyncIterable<TaskStep>} */
export class TaskRun {
  #client;
  #id;
  #cancel;
  #signal;

  /**
   * @param {import('../client.js').Client} client
   * @param {string} id
   * @param {() => Promise<Task>} cancel
   * @param {{signal?: AbortSignal}} [options] ends the following, and not the task
   */
  constructor(client, id, cancel, { signal } = {}) {
    this.#client = client;
    this.#id = id;
    this.#cancel = cancel;
    this.#signal = signal;
  }

  /** Cancels the task. The steps go on until it has ended. */
  cancel() {
    return this.#cancel();
  }

  /** @returns {AsyncGenerator<TaskStep, void, void>} */
  async* [Symbol.asyncIterator]() {
    const steps = new Steps();
    const signal = this.#signal;
    const stop = () => steps.end();
    signal?.addEventListener('abort', stop);
    if (signal?.aborted) stop();
    const offs = [() => signal?.removeEventListener('abort', stop), ...this.#begin(steps)];
    try {
      yield* steps.read();
    } finally {
      for (const off of offs) off();
    }
  }

  /** @param {Steps} steps @returns {(() => void)[]} */
  #begin(steps) {
    const path = `/tasks/${segment(this.#id)}`;
    const over = new AbortController();
    const load = () => loadTask(this.#client, path, over.signal);
    /** @type {Task | null} */
    let known = null;
    /** @param {Task} task */
    const see = (task) => {
      if (known && task.version <= known.version) return;
      known = task;
      steps.add({ is: 'progress', task });
      if (hasEnded(task)) output.hurry();
      look();
    };
    let isEnding = false;
    const end = () => {
      if (isEnding) return;
      isEnding = true;
      output.close();
      load().then((task) => {
        steps.add({ is: 'end', task });
        steps.end();
      }, (error) => steps.fail(error));
    };
    // Text that is still on its way comes before the end. None is when the service has refused the output.
    const look = () => {
      if (known && hasEnded(known) && output.hasEnded) end();
    };
    const off = this.#client.events.fold((deliveries) => {
      for (const { data } of deliveries) if (isTaskEvent(data) && data.data.taskId === this.#id) see(foldTask(known, data));
    });
    const output = new Output(this.#client, `${path}/output`, look, (type, data) => {
      if (type === 'output') steps.add({ is: 'output', text: data.text, offset: data.offset });
      if (type === 'restart') steps.add({ is: 'restart', attempt: data.attempt });
      if (type === 'end' && hasEnded(data)) end();
    });
    load().then((task) => {
      see(task);
      if (hasEnded(task)) output.openInTurn();
      else output.open();
    }, (error) => steps.fail(error));
    return [off, () => output.close(), () => over.abort()];
  }
}

/**
 * Asks for a task until the service answers: what passes by itself, like a restart of the service, ends nothing.
 * @param {import('../client.js').Client} client
 * @param {string} path
 * @param {AbortSignal} signal
 * @returns {Promise<Task>}
 */
async function loadTask({ request, environment }, path, signal) {
  for (let failures = 1; ; failures += 1) {
    try {
      return (await request('GET', path, { signal })).body;
    } catch (error) {
      const { isTemporary, status, retryAfterMs } = /** @type {import('../error.js').PorchlightError} */ (error);
      if (signal.aborted || !(isTemporary || status === 401)) throw error;
      await pause(environment, Math.max(backoffMs(failures, environment.random), retryAfterMs ?? 0), signal);
    }
  }
}

/**
 * It never ends after the signal.
 * @param {import('../environment.js').Environment} env
 * @param {number} ms
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
const pause = (env, ms, signal) => new Promise((wake) => {
  const timer = env.setTimeout(wake, ms);
  signal.addEventListener('abort', () => env.clearTimeout(timer));
});

/** What the worker writes: a stream of its own, which is not shared with other tabs and counts against the streams of its user. */
class Output {
  #client;
  #connection;
  #off;
  #isClosed = false;
  /** Ends its turn. @type {() => void} */
  #leave = () => {};

  /**
   * @param {import('../client.js').Client} client
   * @param {string} path
   * @param {() => void} changed
   * @param {(type: string, data: any) => void} take
   */
  constructor(client, path, changed, take) {
    const { environment, url, tokens } = client;
    const env = { ...environment, fetch: continuing(environment.fetch) };
    this.#client = client;
    this.#connection = new Connection(env, {
      base: url, path, query: {}, cursor: null, transports: ['fetch'], hasPositions: false,
      deliver: (deliveries) => deliveries.forEach(({ data, message }) => take(message?.type ?? '', data)),
    }, tokens);
    this.#off = this.#connection.state.subscribe(() => {
      // What cannot be read now does not hold up the others.
      if (this.#connection.state.getSnapshot().failures) this.#leave();
      changed();
    });
  }

  /** Nothing comes any more, because the service refuses it. */
  get hasEnded() {
    return this.#connection.hasEnded;
  }

  open() {
    if (this.#isClosed) return;
    this.#client.streams.add(this.#connection);
    this.#connection.open();
  }

  /** For a task that has ended, whose stream ends at once: a page with many of them has one such stream at a time. */
  openInTurn() {
    const turns = this.#client.part('task-outputs', () => new Turns());
    turns.take('ended', () => /** @type {Promise<void>} */ (new Promise((leave) => {
      if (this.#isClosed) return leave();
      this.#leave = leave;
      this.open();
    })));
  }

  /** A stream that the service ended because the user had too many waits for minutes. By now it is a short one. */
  hurry() {
    if (this.#connection.state.getSnapshot().nextRetryAt !== null) this.#connection.retry();
  }

  close() {
    this.#isClosed = true;
    this.#off();
    this.#client.streams.delete(this.#connection);
    this.#connection.stop();
    this.#leave();
  }
}

/**
 * Output continues after `Last-Event-ID`, which is its attempt and byte; it knows no `since`.
 * @param {import('../environment.js').Environment['fetch']} fetch
 * @returns {import('../environment.js').Environment['fetch']}
 */
const continuing = (fetch) => (address, init = {}) => {
  const url = new URL(address);
  const last = url.searchParams.get('since');
  url.searchParams.delete('since');
  return fetch(String(url), last ? { ...init, headers: { ...init.headers, 'Last-Event-ID': last } } : init);
};

/** Steps that wait to be read. */
class Steps {
  /** @type {TaskStep[]} */
  #waiting = [];
  #isOver = false;
  /** @type {unknown} */
  #error = null;
  /** @type {() => void} */
  #wake = () => {};

  /** @param {TaskStep} step */
  add(step) {
    const last = this.#waiting.at(-1);
    // Progress that nobody has read is replaced, and output is joined, so that few wait.
    if (step.is === 'progress' && last?.is === 'progress') this.#waiting.pop();
    if (step.is === 'output' && last?.is === 'output') last.text += step.text;
    else this.#waiting.push(step);
    this.#wake();
  }

  end() {
    this.#isOver = true;
    this.#wake();
  }

  /** What fails after the end concerns nobody. @param {unknown} error */
  fail(error) {
    if (this.#isOver) return;
    this.#error = error;
    this.end();
  }

  /** @returns {AsyncGenerator<TaskStep, void, void>} */
  async* read() {
    for (;;) {
      const step = this.#waiting.shift();
      if (step) yield step;
      else if (this.#error) throw this.#error;
      else if (this.#isOver) return;
      else await /** @type {Promise<void>} */ (new Promise((wake) => { this.#wake = wake; }));
    }
  }
}
