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
  /** The events of the records that are wanted, since then. @type {Map<string, any[]>} */
  #wanted = new Map();
  /** Those that wait for their turn. @type {string[]} */
  #waiting = [];
  #asking = 0;
  #isOver = false;
  /** Of requests that have failed. @type {Set<any>} */
  #timers = new Set();

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

  /** @param {string} id of a record for which `hold` has returned false */
  request(id) {
    this.#wanted.set(id, []);
    this.#waiting.push(id);
    this.#next();
  }

  /**
   * Keeps an event of a record that is wanted. Returns whether it is.
   * @param {string} id
   * @param {any} event
   */
  hold(id, event) {
    this.#wanted.get(id)?.push(event);
    return this.#wanted.has(id);
  }

  stop() {
    this.#isOver = true;
    for (const timer of this.#timers) this.#context.env.clearTimeout(timer);
  }

  #next() {
    while (this.#waiting.length && this.#asking < AT_ONCE) {
      this.#asking += 1;
      this.#ask(/** @type {string} */ (this.#waiting.shift()), 0);
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
      const timer = env.setTimeout(() => {
        this.#timers.delete(timer);
        this.#ask(id, failures + 1);
      }, backoffMs(failures + 1, env.random));
      this.#timers.add(timer);
      return;
    }
    const events = this.#wanted.get(id) ?? [];
    this.#wanted.delete(id);
    this.#asking -= 1;
    this.#next();
    this.#onAnswer(id, record, events);
  }
}
