// Which tabs may share a stream: those of the same user, service, stream and version of this package.
import { VERSION } from '../version.js';

/**
 * Null if nobody knows whose stream it is, and then it is not shared.
 * @param {{base: string, path: string, query: Record<string, string | undefined>, token: string | null, userId?: string}} wanted
 * @param {import('./tools.js').Tools} tools
 * @returns {string | null}
 */
export function shareKey({ base, path, query, token, userId }, { userClaimsOf }) {
  // The rights decide what a stream carries, too. Which claims say who the user is, only the service knows: all of them count.
  const claims = Object.entries(token ? userClaimsOf(token) : {});
  if ((!claims.length && !userId) || !areExact(claims)) return null;
  const sorted = claims.sort(([a], [b]) => (a < b ? -1 : 1));
  return `porchlight:stream:${JSON.stringify([VERSION, base, path, query, userId ?? null, sorted])}`;
}

/** Numbers that are too large have lost digits, and two of them may look the same. @param {unknown} claims */
function areExact(claims) {
  let exact = true;
  JSON.stringify(claims, (_, value) => {
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) exact = false;
    return value;
  });
  return exact;
}
