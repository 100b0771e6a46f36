// Whose writes wait here: those of one user are never sent by another one's tab, nor to another brokerage.
import { identityOf } from '../identity.js';

/** @typedef {import('../environment.js').Environment} Environment */

/**
 * @param {{env: Environment, tokens: import('../token.js').TokenSource, base: string, userId: string}} context
 * @returns {Promise<string | null>} the user with the brokerage; without a token, that of who had this tab last. Null if nobody knows.
 */
export async function ownerOf({ env, tokens, base, userId }) {
  if (userId) return JSON.stringify([userId]);
  const key = `porchlight:user:${base}`;
  const token = await tokens.get().catch(() => null);
  if (!token) return quietly(() => env.storage?.getItem(key) ?? null);
  const { userId: user, brokerId } = identityOf(tokens.claimsOf(token));
  if (!user) return null;
  const owner = JSON.stringify([user, brokerId]);
  quietly(() => env.storage?.setItem(key, owner));
  return owner;
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
