// What was sent under an id never changes: the service knows the id, and its answer ends the write. A change that comes too late for it is a write of its own.

/** @typedef {import('../records/pending.js').Write} Write */
/** @typedef {import('./conflict.js').Same} Same */

/**
 * Whether the change has all of these values.
 * @param {Record<string, any>} changes
 * @param {Record<string, any>} values
 * @param {Same} same
 */
export const hasAll = (changes, values, same) => Object.entries(values).every(([field, value]) => same(changes[field], value));

/**
 * What a tab has of a write beyond what another one has sent of it. It goes right after that, and before what was written later.
 * @param {Write} own not sent, as far as this tab knows
 * @param {Write} sent the same one
 * @param {string} id of the new write
 * @param {Same} same
 * @returns {Write}
 */
export function restOf(own, sent, id, same) {
  const changes = Object.fromEntries(Object.entries(own.changes).filter(([field, value]) => !same(sent.changes[field], value)));
  const known = Object.fromEntries(Object.keys(changes).map((field) => [field, sent.changes[field] ?? null]));
  return { ...own, id, changes, known, sequence: own.sequence + 0.5 };
}
