// What the service says of a write, and what follows from it.
import { hasAll } from './split.js';

/** @typedef {import('../error.js').PorchlightError} PorchlightError */
/** @typedef {import('../records/pending.js').Write} Write */
/** @typedef {(a: unknown, b: unknown) => boolean} Same */
/** @typedef {import('../records/record.js').StoredRecord} StoredRecord */

/**
 * Someone else has changed fields of this write since the user saw them.
 * @typedef {object} Conflict
 * @property {StoredRecord} record as it is now
 * @property {string[]} fields
 * @property {Record<string, any>} mine the user's values of these fields
 * @property {Record<string, any>} theirs the values that they have now
 */

/**
 * @typedef {{is: 'done', record: StoredRecord | null} | {is: 'refused', error: PorchlightError} | {is: 'conflict', conflict: Conflict}
 *   | {is: 'again', change: Partial<Write>} | {is: 'later', reason: string, waitMs: number | null, isForAll: boolean} | {is: 'look', taken: PorchlightError}} Outcome
 */

/** Answers that say nothing about the write itself. */
const FOR_ALL = [401, 429, 502, 503, 504];

/**
 * Whether the other writes need not be tried now, either. An answer to this one, be it of something in between, may be different for the next.
 * @param {PorchlightError} error
 */
const isForAll = ({ code, status }) => code !== 'busy' && code !== 'unreadable' && (status === 0 || FOR_ALL.includes(status));

/**
 * @template {Record<string, any>} T
 * @param {T} from
 * @param {string[]} fields
 */
const pick = (from, fields) => Object.fromEntries(fields.map((field) => [field, from[field] ?? null]));

/**
 * Whether an event is the change that a write has made, whose answer is still missing. Others may have written the same values, and so may this
 * user have before.
 * @param {Write} write
 * @param {any} event
 * @param {string | null} userId of the one who writes, if anybody says
 * @param {Same} same
 */
export function isChangeOf({ kind, base, changes, attempts }, event, userId, same) {
  if (!attempts || event.version <= (base ?? 0) || (userId && event.userId && event.userId !== userId)) return false;
  return kind === 'update' ? event.action === 'updated' && hasAll(event.changes ?? {}, changes, same) : event.action === `${kind}d`;
}

/**
 * @param {Write} write after its request; `attempts` counts it
 * @param {PorchlightError} error
 * @param {Same} same
 * @returns {Outcome}
 */
export function outcomeOf(write, error, same) {
  const { code, status, problem } = error;
  const isRepeated = write.attempts > 1;
  if (status === 401) return { is: 'later', reason: 'needs-auth', waitMs: null, isForAll: true };
  if (error.isTemporary) return { is: 'later', reason: code, waitMs: error.retryAfterMs, isForAll: isForAll(error) };
  // The lock has ended, and perhaps nobody has changed anything since: the version of the record tells. A write without one could undo what others did.
  if (code === 'fence_lost' && write.kind === 'update' && write.base !== null) return { is: 'again', change: { fence: null } };
  if (code === 'stale' && problem?.record) return staleOutcome(write, problem, same);
  if (write.kind === 'delete' && status === 404) return { is: 'done', record: null };
  // An earlier attempt, whose answer was lost, may have done it.
  if (write.kind === 'create' && code === 'id_taken' && isRepeated) return { is: 'look', taken: error };
  return { is: 'refused', error };
}

/**
 * A record that should be created exists: it is ours if it is as it should be, and somebody else's if not.
 * @param {Write} write
 * @param {StoredRecord} record
 * @param {PorchlightError} taken
 * @param {Same} same
 * @returns {Outcome}
 */
export function createdOutcome({ changes }, record, taken, same) {
  const isOurs = Object.entries(changes).every(([field, value]) => same(record[field] ?? null, value ?? null));
  return isOurs ? { is: 'done', record } : { is: 'refused', error: taken };
}

/**
 * @param {Write} write
 * @param {{record: StoredRecord, fields?: string[]}} problem
 * @param {Same} same
 * @returns {Outcome}
 */
function staleOutcome(write, { record, fields = [] }, same) {
  const { changes, known } = write;
  const all = Object.keys(changes);
  // An earlier attempt has written it, or someone else has the same idea.
  if (write.isConfirmed || all.every((field) => same(record[field] ?? null, changes[field]))) return { is: 'done', record };
  // A field conflicts only if it is neither as the user saw it nor as the user wants it.
  const colliding = fields.filter((field) => !same(record[field] ?? null, changes[field]) && !(field in known && same(record[field] ?? null, known[field])));
  if (!colliding.length) return { is: 'again', change: { base: record.version } };
  return { is: 'conflict', conflict: { record, fields: colliding, mine: pick(changes, colliding), theirs: pick(record, colliding) } };
}

/**
 * @param {Write} write
 * @param {Conflict} conflict its own
 * @param {'mine' | 'theirs' | Record<string, any>} how
 * @returns {Write} with what the user has chosen, which may be nothing
 */
export function resolvedWrite(write, { record, fields }, how) {
  const rest = Object.fromEntries(Object.entries(write.changes).filter(([field]) => !fields.includes(field)));
  const changes = how === 'mine' ? write.changes : how === 'theirs' ? rest : { ...rest, ...how };
  return { ...write, changes, base: record.version, known: record, state: 'queued', conflict: null, reason: null, attempts: 0, isConfirmed: false };
}
