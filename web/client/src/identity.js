// Who a token is of, as the service reads its claims (src/identity/claims.rs).

/** Names of claims, in the order in which they are tried. A service may be configured with others, which it tries first. */
export const CLAIM_NAMES = {
  user: ['sub', 'id', 'user_id', 'userId'],
  broker: ['broker_id', 'brokerId'],
  teams: ['teams', 'team_ids', 'teamIds', 'team_id', 'teamId'],
};

/** @typedef {{userId: string | null, brokerId: string | null, teams: string[]}} Identity */

/**
 * @param {Record<string, any>} claims of a token
 * @returns {Identity} null is what they do not say under these names
 */
export function identityOf(claims) {
  const { user, broker, teams } = CLAIM_NAMES;
  return { userId: idOf(valuesOf(claims, user)[0]), brokerId: idOf(valuesOf(claims, broker)[0]), teams: teamsOf(valuesOf(claims, teams)) };
}

/** @param {Record<string, any>} claims @param {string[]} names */
const valuesOf = (claims, names) => names.map((name) => claims[name] ?? null).filter((value) => value !== null);

/** A number that is too large has lost digits, and could be somebody else's. @param {unknown} value */
const idOf = (value) => (typeof value === 'string' && value) || (Number.isSafeInteger(value) ? String(value) : null);

/** An array, one id, or ids with commas between them. @param {any[]} values */
const teamsOf = (values) => values.flatMap((value) => (typeof value === 'string' ? value.split(',').map((team) => team.trim()) : value))
  .flatMap((team) => idOf(team) ?? []);
