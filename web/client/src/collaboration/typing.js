// "Ann is typing": told at most every few seconds, and ended by itself.

const EVERY_MS = 3_000;
/** Without another key for so long, the user has stopped. */
const STOPPED_MS = 5_000;

export class TypingSignal {
  #env;
  #request;
  #target;
  #name;
  #toldAt = -Infinity;
  /** @type {any} */
  #timer = null;

  /**
   * @param {import('../environment.js').Environment} env
   * @param {import('../request.js').SendRequest} request
   * @param {{module?: string, recordId?: string, team?: string, session: string}} target
   * @param {string} [name]
   */
  constructor(env, request, target, name = 'typing') {
    this.#env = env;
    this.#request = request;
    this.#target = target;
    this.#name = name;
  }

  /** To be called at every key. */
  type() {
    const now = this.#env.now();
    this.#env.clearTimeout(this.#timer);
    this.#timer = this.#env.setTimeout(() => this.stop(), STOPPED_MS);
    // Also where the clock was set back, it is told again soon.
    if (Math.abs(now - this.#toldAt) < EVERY_MS) return;
    this.#toldAt = now;
    this.#tell(this.#name);
  }

  /** The text was sent, or the field was left. */
  stop() {
    this.#env.clearTimeout(this.#timer);
    if (this.#toldAt === -Infinity) return;
    this.#toldAt = -Infinity;
    this.#tell(`stopped_${this.#name}`);
  }

  /** @param {string} name */
  #tell(name) {
    // It is true for a moment only, so it is not repeated when it fails.
    this.#request('POST', '/signals', { body: { name, ...this.#target } }).catch(() => {});
  }
}
