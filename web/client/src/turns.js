// Requests that must reach the service in the order in which they were made, also when several objects of this client make them.

export class Turns {
  /** Until the last request of each name has ended. @type {Map<string, Promise<void>>} */
  #ends = new Map();

  /**
   * @template T
   * @param {string} name of what they are about
   * @param {() => Promise<T>} run
   * @returns {Promise<T>}
   */
  take(name, run) {
    const done = this.ended(name).then(run);
    const end = done.then(() => {}, () => {}).then(() => {
      if (this.#ends.get(name) === end) this.#ends.delete(name);
    });
    this.#ends.set(name, end);
    return done;
  }

  /** Waits for the last one. @param {string} name */
  ended(name) {
    return this.#ends.get(name) ?? Promise.resolve();
  }
}
