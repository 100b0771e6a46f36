// When a write may be tried, and tried again.

/** While the service refuses the token, a write is tried again this often. */
const AUTH_MS = 30_000;

/** @typedef {import('../records/pending.js').Write} Write */

export class Waits {
  #context;
  /** When a write may be tried again. @type {Map<string, number>} */
  #notBefore = new Map();
  /** Of writes in a row, for reasons that concern all of them. */
  #failures = 0;

  /** @param {import('./context.js').OutboxContext} context */
  constructor(context) {
    this.#context = context;
  }

  /** @param {Write} write @param {boolean} isImmediate nothing is merged into it */
  readyAt({ id, kind, at, attempts }, isImmediate) {
    const isHeld = kind === 'update' && attempts === 0 && !isImmediate;
    return Math.max(this.#notBefore.get(id) ?? 0, isHeld ? at + this.#context.mergeMs : 0);
  }

  /**
   * A write has failed, and is tried again.
   * @param {Write} write
   * @param {{reason: string, waitMs: number | null, isForAll: boolean}} outcome
   * @param {readonly Write[]} all
   */
  begin(write, { reason, waitMs, isForAll }, all) {
    const { env, backoffMs } = this.#context;
    if (isForAll) this.#failures += 1;
    const failures = isForAll ? this.#failures : write.attempts;
    const wait = reason === 'needs-auth' ? AUTH_MS : Math.max(waitMs ?? 0, backoffMs(Math.min(failures, 6)));
    for (const { id } of isForAll ? all : [write]) this.#notBefore.set(id, env.now() + wait);
  }

  /** The service has answered. */
  answered() {
    this.#failures = 0;
  }

  /** Nothing waits any longer. */
  clear() {
    this.#notBefore.clear();
    this.answered();
  }

  /** @param {string} id */
  end(id) {
    this.#notBefore.delete(id);
  }
}
