// Records that are requested one by one, because an event in between was missed.
import { backoffMs } from '../backoff.js';
import { PorchlightError } from '../error.js';
import { segment } from '../request.js';

/** Requests at a time. */
const AT_ONCE = 4;

export class MissingRecords {
  #context;
  #module;
  #onAnswer;
  /** @type {Set<string>} */
  #wanted = new Set();
  /** The events of a record while it is requested. @type {Map<string, any[]>} */
  #requested = new Map();
  #isOver = false;

  /**
   * @param {import('./live.js').RecordsContext} context
   * @param {string} module
   * @param {(id: string, record: import('./record.js').StoredRecord | null, events: any[]) => void} onAnswer null: it does not exist for this caller;
   * the events arrived meanwhile
   */
  constructor(context, module, onAnswer) {
    this.#context = context;
    this.#module = module;
    this.#onAnswer = onAnswer;
  }

  /**
   * @param {string} id
   * @param {any} event
   */
  request(id, event) {
    if (this.#requested.has(id) || this.#wanted.has(id)) return void this.#requested.get(id)?.push(event);
    this.#wanted.add(id);
    this.#next();
  }

  /**
   * Keeps an event of a record that is being requested. Returns whether it is.
   * @param {string} id
   * @param {any} event
   */
  hold(id, event) {
    this.#requested.get(id)?.push(event);
    return this.#requested.has(id) || this.#wanted.has(id);
  }

  stop() {
    this.#isOver = true;
  }

  #next() {
    for (const id of this.#wanted) {
      if (this.#requested.size >= AT_ONCE) return;
      this.#wanted.delete(id);
      this.#requested.set(id, []);
      this.#ask(id, 0);
    }
  }

  /**
   * @param {string} id
   * @param {number} failures
   */
  async #ask(id, failures) {
    const record = await this.#context.request('GET', `/records/${segment(this.#module)}/${segment(id)}`).then(({ body }) => body, (error) => {
      if (error instanceof PorchlightError && !error.isTemporary && error.status !== 401) return null;
      return undefined;
    });
    if (this.#isOver) return;
    if (record === undefined) {
      const { env } = this.#context;
      env.setTimeout(() => this.#isOver || this.#ask(id, failures + 1), backoffMs(failures + 1, env.random));
      return;
    }
    const events = this.#requested.get(id) ?? [];
    this.#requested.delete(id);
    this.#next();
    this.#onAnswer(id, record, events);
  }
}
