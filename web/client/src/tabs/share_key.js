// Which tabs may share a stream: those of the same user, service, stream and version of this package.
import { VERSION } from '../version.js';

/**
 * Null if nobody knows whose stream it is, and then it is not shared.
 * @param {{base: string, path: string, query: Record<string, string | undefined>, token: string | null, userId?: string}} wanted
 * @param {import('./tools.js').Tools} tools
 * @returns {string | null}
 */
export function shareKey({ base, path, query, token, userId }, { claimsOf }) {
  // The rights decide what a stream carries, too.
  const { sub, broker_id: broker, teams, role } = token ? claimsOf(token) : /** @type {Record<string, any>} */ ({});
  if (!sub && !userId) return null;
  return `porchlight:stream:${JSON.stringify([VERSION, base, path, query, userId ?? null, sub ?? null, broker ?? null, teams ?? null, role ?? null])}`;
}
