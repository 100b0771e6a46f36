// Timers with names: setting one replaces the one of the same name.

const MOST_MS = 2 ** 31 - 1;

export class Timers {
  /** @type {import('./environment.js').Environment} */
  #env;
  /** @type {Map<string, any>} */
  #running = new Map();

  /** @param {import('./environment.js').Environment} env */
  constructor(env) {
    this.#env = env;
  }

  /** @param {string} name */
  has(name) {
    return this.#running.has(name);
  }

  /**
   * @param {string} name
   * @param {number} ms
   * @param {() => void} run
   */
  set(name, ms, run) {
    this.clear(name);
    const id = this.#env.setTimeout(() => {
      this.#running.delete(name);
      run();
    }, Math.min(Math.max(0, ms), MOST_MS));
    this.#running.set(name, id);
  }

  /** @param {string[]} names */
  clear(...names) {
    for (const name of names) {
      this.#env.clearTimeout(this.#running.get(name));
      this.#running.delete(name);
    }
  }

  clearAll() {
    this.clear(...this.#running.keys());
  }
}
