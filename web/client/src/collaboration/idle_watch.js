// Whether the user does something on this page.

/** Without activity for so long, the user does nothing. */
export const IDLE_MS = 300_000;
const ACTIVITY = ['pointerdown', 'pointermove', 'keydown', 'wheel', 'touchstart'];
/** Activity within this time counts once. */
const ACTIVITY_SEEN_MS = 1_000;
/** Timers cannot be longer. */
const TIMER_MOST_MS = 2 ** 31 - 1;

export class IdleWatch {
  #env;
  #idleMs;
  #onChange;
  /** @type {(() => void)[]} */
  #offs = [];
  /** @type {any} */
  #timer = null;
  #activeAt = 0;
  isIdle = false;

  /**
   * @param {import('../environment.js').Environment} env
   * @param {number} idleMs 0 or Infinity: never
   * @param {() => void} onChange told when the user becomes idle, and when the user is back
   */
  constructor(env, idleMs, onChange) {
    this.#env = env;
    this.#idleMs = idleMs || Infinity;
    this.#onChange = onChange;
  }

  /** The time counts from now. */
  start() {
    const env = this.#env;
    this.isIdle = false;
    this.#activeAt = env.now();
    this.#wait();
    if (this.#offs.length) return;
    for (const type of ACTIVITY) this.#offs.push(env.listen(type, () => this.#active()));
    this.#offs.push(env.listen('visibilitychange', () => env.isVisible() && this.#active()));
  }

  stop() {
    this.#env.clearTimeout(this.#timer);
    for (const off of this.#offs.splice(0)) off();
  }

  #active() {
    const now = this.#env.now();
    if (now - this.#activeAt < ACTIVITY_SEEN_MS) return;
    this.#activeAt = now;
    if (!this.isIdle) return;
    this.isIdle = false;
    this.#wait();
    this.#onChange();
  }

  #wait() {
    const left = this.#activeAt + this.#idleMs - this.#env.now();
    this.#env.clearTimeout(this.#timer);
    if (left > 0) {
      this.#timer = this.#env.setTimeout(() => this.#wait(), Math.min(left, TIMER_MOST_MS));
      return;
    }
    this.isIdle = true;
    this.#onChange();
  }
}
