// The caller's token: asked for before each connect and before it expires.
import { PorchlightError } from './error.js';

const ASK_MS = 10_000;
/** While the last token is still good, nobody waits longer for another one. */
const ASK_AGAIN_MS = 3_000;
/** A token that ends sooner than this is not used for a new request. */
const MARGIN_MS = 5_000;

/**
 * Returns a token, or null when nobody is signed in. `isRejected` is set after the service has refused the last one.
 * @typedef {(why: {isRejected: boolean}) => string | null | undefined | Promise<string | null | undefined>} TokenCallback
 */

/**
 * @param {string} token
 * @returns {Record<string, any>} the claims, unverified; empty if it is no JWT
 */
export function claimsOf(token) {
  try {
    const part = token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/');
    const bytes = Uint8Array.from(atob(part), (character) => character.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)) ?? {};
  } catch {
    return {};
  }
}

/**
 * What a token says of its user: all claims but those that differ from token to token.
 * @param {string} token
 */
export function userClaimsOf(token) {
  const { exp, iat, nbf, jti, ...claims } = claimsOf(token);
  return claims;
}

/**
 * When a token ends, in milliseconds since 1970; Infinity if it does not say.
 * @param {string} token
 */
export function endOf(token) {
  const { exp } = claimsOf(token);
  return typeof exp === 'number' ? exp * 1_000 : Infinity;
}

export class TokenSource {
  /** @type {import('./environment.js').Environment} */
  #env;
  /** @type {string | TokenCallback | undefined} */
  #given;
  /** @type {string | null} */
  #token = null;
  #isRejected = false;
  /** @type {Promise<string | null> | null} */
  #asking = null;

  /**
   * @param {import('./environment.js').Environment} env
   * @param {string | TokenCallback | undefined} given
   */
  constructor(env, given) {
    this.#env = env;
    this.#given = given;
  }

  /** Whether requests need a token: without one given, a cookie may identify the caller. */
  get isNeeded() {
    return this.#given !== undefined;
  }

  /** Whether it can be asked for another token. */
  get isCallback() {
    return typeof this.#given === 'function';
  }

  claimsOf = claimsOf;

  /** The last token that was given out. */
  get current() {
    return this.#token;
  }

  /** @param {string | TokenCallback} given */
  replace(given) {
    this.#given = given;
    this.#token = null;
    this.#isRejected = false;
    this.#asking = null;
  }

  /** The service has refused this token: the next `get` asks for another one. */
  reject() {
    this.#isRejected = true;
    this.#token = null;
  }

  /**
   * @param {{isFresh?: boolean}} [how] `isFresh` asks for a token although the last one is still good; that one is the answer if there is no other
   * @returns {Promise<string | null>}
   */
  async get({ isFresh = false } = {}) {
    if (typeof this.#given !== 'function') return (this.#token = this.#given ?? null);
    const isGood = this.#token && endOf(this.#token) - this.#env.now() > MARGIN_MS;
    if (isGood && !isFresh) return this.#token;
    this.#asking ??= this.#ask(this.#given, isGood ? this.#token : null).finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  /**
   * @param {TokenCallback} callback
   * @param {string | null} good the last token, if it is
   * @returns {Promise<string | null>}
   */
  async #ask(callback, good) {
    /** @type {any} */
    let timer;
    const late = new Promise((_, refuse) => {
      timer = this.#env.setTimeout(() => refuse(new PorchlightError('timeout', 'the token callback did not answer in time')), good ? ASK_AGAIN_MS : ASK_MS);
    });
    try {
      const token = await Promise.race([this.#answer(callback), late]);
      this.#isRejected = false;
      return (this.#token = /** @type {string | null} */ (token || null));
    } catch (error) {
      if (good && good === this.#token) return good;
      throw error;
    } finally {
      this.#env.clearTimeout(timer);
    }
  }

  /**
   * What the callback throws, be it a refusal of its own server, says nothing about the request that needs the token: that may succeed later.
   * @param {TokenCallback} callback
   */
  async #answer(callback) {
    try {
      return await callback({ isRejected: this.#isRejected });
    } catch (error) {
      throw new PorchlightError('token', `the token callback failed: ${error}`, { cause: error });
    }
  }
}
