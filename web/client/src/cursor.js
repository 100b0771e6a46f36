// The position up to which the application has received everything. It survives a reload of the page.
import { isPosition } from './position.js';

const SAVE_MS = 1_000;

export class SavedCursor {
  #env;
  #key;
  /** @type {string | null} */
  #position = null;
  /** @type {any} */
  #timer = null;
  /** @type {(() => void) | null} */
  #off = null;

  /**
   * @param {import('./environment.js').Environment} env
   * @param {string} key differs by service, user and stream
   */
  constructor(env, key) {
    this.#env = env;
    this.#key = `porchlight:cursor:${key}`;
  }

  /** @returns {string | null} */
  read() {
    try {
      const saved = this.#env.storage?.getItem(this.#key) ?? null;
      return isPosition(saved) ? saved : null;
    } catch {
      return null;
    }
  }

  /** @param {string} position */
  set(position) {
    this.#position = position;
    // Not before there is something to save: React makes clients that it never uses.
    this.#off ??= this.#env.listen('pagehide', () => this.save());
    this.#timer ??= this.#env.setTimeout(() => this.save(), SAVE_MS);
  }

  save() {
    this.#env.clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#position === null) return;
    try {
      this.#env.storage?.setItem(this.#key, this.#position);
    } catch {
      // Storage is full or blocked: then a reload begins with what is new.
    }
  }

  stop() {
    this.save();
    this.#off?.();
    this.#off = null;
  }
}
