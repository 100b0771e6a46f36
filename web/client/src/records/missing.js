// Records that are requested one by one, because an event in between was missed.

/** Requests at a time. */
const AT_ONCE = 4;

/**
 * @typedef {object} MissingParts
 * @property {import('./live.js').RecordsContext} context
 * @property {string} module
 * @property {(id: string, record: import('./record.js').StoredRecord | null) => void} onAnswer null: it does not exist for this caller
 * @property {typeof import('../error.js').PorchlightError} Failure
 * @property {typeof import('../backoff.js').backoffMs} backoffMs
 */

export class MissingRecords {
  #parts;
  /** Those that wait for their turn. @type {string[]} */
  #waiting = [];
  #asking = 0;
  #isOver = false;
  /** Of requests that have failed. @type {Set<any>} */
  #timers = new Set();

  /** @param {MissingParts} parts */
  constructor(parts) {
    this.#parts = parts;
  }

  /** @param {string} id */
  request(id) {
    if (this.#isOver) return;
    this.#waiting.push(id);
    this.#next();
  }

  stop() {
    this.#isOver = true;
    for (const timer of this.#timers) this.#parts.context.env.clearTimeout(timer);
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
    const { context: { request, env }, module, onAnswer, Failure, backoffMs } = this.#parts;
    const path = `/records/${encodeURIComponent(module)}/${encodeURIComponent(id)}`;
    const record = await request('GET', path).then(({ body }) => body, (error) => {
      if (error instanceof Failure && !error.isTemporary && error.status !== 401) return null;
      return undefined;
    });
    if (this.#isOver) return;
    if (record === undefined) {
      const timer = env.setTimeout(() => {
        this.#timers.delete(timer);
        this.#ask(id, failures + 1);
      }, backoffMs(failures + 1, env.random));
      this.#timers.add(timer);
      return;
    }
    this.#asking -= 1;
    this.#next();
    onAnswer(id, record);
  }
}
