// Keeps an open stream beyond the end of its token. Of the tabs with the same stream, one renews it.

const BEFORE_MS = 60_000;
const AGAIN_MS = 10_000;
const ANSWER_MS = 10_000;

/**
 * @typedef {object} RenewalHandlers
 * @property {() => string | null} stream the id of the open stream
 * @property {(run: (token: string | null) => void) => void} turn calls `run` with the token that the stream has, when it is the turn of this tab, or never
 * @property {(how: 'extended' | 'failed', token: string) => void} renewed `failed`: the service cannot extend streams, so a new one is needed
 */

export class Renewal {
  /** @type {import('./environment.js').Environment} */
  #env;
  /** @type {string} */
  #base;
  /** @type {import('./token.js').TokenSource} */
  #tokens;
  /** @type {import('./timers.js').Timers} */
  #timers;
  /** @type {RenewalHandlers} */
  #on;
  /** Whether the stream has said how long its last token lasts. */
  #isTold = false;

  /**
   * @param {import('./environment.js').Environment} env
   * @param {string} base
   * @param {import('./token.js').TokenSource} tokens
   * @param {import('./timers.js').Timers} timers
   * @param {RenewalHandlers} on
   */
  constructor(env, base, tokens, timers, on) {
    this.#env = env;
    this.#base = base;
    this.#tokens = tokens;
    this.#timers = timers;
    this.#on = on;
  }

  /**
   * A minute before the end, or after two thirds of a short life.
   * @param {string} token of a stream that has begun
   */
  plan(token) {
    const { exp } = this.#tokens.claimsOf(token);
    if (typeof exp !== 'number') return;
    const leftMs = exp * 1_000 - this.#env.now();
    const lifeMs = this.#lifeOf(token);
    // The service has accepted the token: where it has ended already, or lasts longer than it can, this computer's clock is wrong.
    this.#later((leftMs > 0 && leftMs <= lifeMs ? leftMs : lifeMs) - Math.min(BEFORE_MS, lifeMs / 3));
  }

  /** Infinity if it does not say: `stream:expiring` comes in time. @param {string} token */
  #lifeOf(token) {
    const { iat, exp } = this.#tokens.claimsOf(token);
    return typeof iat === 'number' && typeof exp === 'number' ? (exp - iat) * 1_000 : Infinity;
  }

  /**
   * The stream was renewed, by whichever tab, and its token ends then.
   * @param {number} leftMs
   */
  extended(leftMs) {
    this.#isTold = true;
    this.#later(leftMs - Math.min(BEFORE_MS, leftMs / 3));
  }

  begin() {
    this.#isTold = false;
    // If this tab does not do it, and no other one either, it tries again.
    this.#later(0);
    this.#on.turn((old) => this.#renew(old));
  }

  /** Not at once: the stream says `stream:expiring` when it is urgent. @param {number} ms */
  #later(ms) {
    this.#timers.set('renew', Math.max(AGAIN_MS, ms), () => this.begin());
  }

  /** @param {string | null} old */
  async #renew(old) {
    const stream = this.#on.stream();
    const token = await this.#tokens.get({ isFresh: true }).catch(() => null);
    if (!stream || this.#on.stream() !== stream) return;
    if (!token || token === old) return;
    const isExtended = await this.#extend(stream, token);
    if (this.#on.stream() !== stream) return;
    // The token was made for this just now, so its life needs no clock. The stream tells how much of it is left, and may have done so already.
    if (isExtended && !this.#isTold) this.extended(this.#lifeOf(token));
    this.#on.renewed(isExtended ? 'extended' : 'failed', token);
  }

  /**
   * @param {string} stream
   * @param {string} token
   */
  async #extend(stream, token) {
    const abort = new AbortController();
    const timer = this.#env.setTimeout(() => abort.abort(), ANSWER_MS);
    try {
      const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
      const body = JSON.stringify({ stream });
      const response = await this.#env.fetch(`${this.#base}/sessions/renew`, { method: 'POST', headers, body, signal: abort.signal });
      await response.body?.cancel?.();
      return response.ok;
    } catch {
      return false;
    } finally {
      this.#env.clearTimeout(timer);
    }
  }
}
