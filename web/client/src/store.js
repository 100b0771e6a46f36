// A value that can be watched: what `useSyncExternalStore` expects.

/**
 * The value changes only as a whole, so that two equal snapshots are the same object.
 * @template T
 */
export class Store {
  /** @type {T} */
  #value;
  /** @type {Set<() => void>} */
  #listeners = new Set();
  /** @type {(error: unknown) => void} */
  #report;

  /**
   * @param {T} value
   * @param {(error: unknown) => void} [report] receives what listeners throw
   */
  constructor(value, report = console.error) {
    this.#value = value;
    this.#report = report;
  }

  /** @type {() => T} */
  getSnapshot = () => this.#value;

  /**
   * @param {() => void} listener called after each change
   * @returns {() => void} ends the subscription
   */
  subscribe = (listener) => {
    const own = () => listener();
    this.#listeners.add(own);
    return () => {
      this.#listeners.delete(own);
    };
  };

  /** How many listeners there are. */
  get size() {
    return this.#listeners.size;
  }

  /** @param {T} value */
  set(value) {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const listener of [...this.#listeners]) {
      try {
        listener();
      } catch (error) {
        this.#report(error);
      }
    }
  }
}
