// Two browsers that end each other's streams must not do so forever at full speed.

/** A stream that a newer one of the same user ended counts as a failure, unless it lived so long. */
const CALM_MS = 60_000;

export class Evictions {
  #count = 0;
  #begunAt = -Infinity;

  /** A stream has begun. Returns with how many failures it begins. @param {number} now */
  begin(now) {
    this.#begunAt = now;
    return this.#count;
  }

  /** @param {string} reason @param {number} now */
  end(reason, now) {
    if (now - this.#begunAt > CALM_MS) this.#count = 0;
    if (reason === 'evicted') this.#count += 1;
  }
}
