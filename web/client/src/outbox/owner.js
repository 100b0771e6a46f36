// Whose writes wait here: those of one user are never sent by another one's tab, nor to another brokerage, nor with another one's token.
import { identityOf } from '../identity.js';

/** @typedef {import('../environment.js').Environment} Environment */
/** @typedef {import('../token.js').TokenSource} TokenSource */

/**
 * The user with the brokerage, as the token says it. Null if it does not.
 * @param {TokenSource} tokens
 * @param {string | null} token
 */
function userOf(tokens, token) {
  const { userId, brokerId } = identityOf(token ? tokens.claimsOf(token) : {});
  return userId && JSON.stringify([userId, brokerId]);
}

export class Owner {
  #tokens;
  #isNamed;
  #user;
  /** Names the database of the writes. Null if nobody knows whose they are. @type {string | null} */
  name;

  /**
   * @param {TokenSource} tokens
   * @param {string} userId as the application says it; empty, if only the token does
   * @param {string | null} user by the token; null until one has been seen
   */
  constructor(tokens, userId, user) {
    this.#tokens = tokens;
    this.#isNamed = Boolean(userId);
    this.#user = userId ? null : user;
    this.name = userId ? JSON.stringify([userId]) : user;
  }

  /** Whether this token is that of another user, who has an outbox of their own. @param {string | null} token */
  isOther(token) {
    const user = userOf(this.#tokens, token);
    return !this.#isNamed && user !== null && this.#user !== null && user !== this.#user;
  }

  /**
   * Whether writes may be sent with this token. The first one counts where nothing else says whose they are.
   * @param {string | null} token
   */
  mayUse(token) {
    if (!this.#tokens.isNeeded) return true;
    const user = userOf(this.#tokens, token);
    this.#user ??= user;
    return token !== null && user === this.#user;
  }
}

/**
 * Without a token, the writes are those of who had this tab last.
 * @param {{env: Environment, tokens: TokenSource, base: string, userId: string}} context
 * @returns {Promise<Owner>}
 */
export async function ownerOf({ env, tokens, base, userId }) {
  if (userId) return new Owner(tokens, userId, null);
  const key = `porchlight:user:${base}`;
  const token = await tokens.get().catch(() => null);
  const user = token ? userOf(tokens, token) : quietly(() => env.storage?.getItem(key) ?? null);
  if (token && user) quietly(() => env.storage?.setItem(key, user));
  return new Owner(tokens, '', user);
}

/**
 * Where nobody knows whose writes these are, no other tab and no later page may find them.
 * @param {Environment} env
 * @returns {Environment}
 */
export const alone = (env) => ({ ...env, indexedDB: null, locks: null, BroadcastChannel: null });

/**
 * Storage may be full or blocked.
 * @template T
 * @param {() => T} use
 */
function quietly(use) {
  try {
    return use();
  } catch {
    return null;
  }
}
