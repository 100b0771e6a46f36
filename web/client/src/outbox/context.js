// What the outbox takes from the client.
import { identityOf } from '../identity.js';

/** Writes to the same fields of a record within this time become one. */
const MERGE_MS = 1_000;

/** @typedef {import('../records/record.js').StoredRecord} StoredRecord */

/**
 * What the client passes on. Bundlers cut a page's code where it and what is loaded later import the same files.
 * @typedef {object} OutboxParts
 * @property {import('../environment.js').Environment} env
 * @property {import('../request.js').SendRequest} request
 * @property {import('../records/pending.js').PendingChanges} pending
 * @property {import('../writes.js').Writes} writes
 * @property {import('../token.js').TokenSource} tokens
 * @property {string} base of the service
 * @property {string} userId as the application says it; empty, if only the token does
 * @property {import('../client.js').ClientOptions} options
 * @property {import('../store.js').Store<import('../connection_status.js').ConnectionState>} connection
 * @property {import('../records/records.js').Records} records
 * @property {import('../event_hub.js').EventHub} events
 * @property {typeof import('../error.js').PorchlightError} Failure
 * @property {typeof import('../backoff.js').backoffMs} backoffMs
 * @property {(a: unknown, b: unknown) => boolean} same
 */

/** @param {OutboxParts} parts @param {import('./owner.js').Owner} owner */
export const contextOf = ({ options, connection, records, Failure, backoffMs, ...parts }, owner) => ({
  ...parts,
  /** With a token of the owner, or not at all. @type {OutboxParts['request']} */
  request: (method, path, more) => parts.request(method, path, {
    ...more,
    check(token) {
      if (!owner.mayUse(token)) throw new Failure('needs-auth', 'there is no token of the user who has written this');
    },
  }),
  /** The id that this user's events have. Null if nobody says. */
  get userId() {
    return records.userId ?? identityOf(parts.tokens.claimsOf(parts.tokens.current ?? '')).userId;
  },
  mergeMs: options.mergeMs ?? MERGE_MS,
  warnsBeforeUnload: options.warnsBeforeUnload ?? true,
  /** @param {string} code @param {string} message */
  fail: (code, message) => new Failure(code, message),
  /** @param {number} failures */
  backoffMs: (failures) => backoffMs(failures, parts.env.random),
  /** @param {string} module @param {string} id @param {StoredRecord | null} record */
  acknowledge: (module, id, record) => records.acknowledge(module, id, record),
  /** @param {'info' | 'warning'} level @param {string} message @param {Record<string, unknown>} [data] */
  tell: (level, message, data = {}) => options.onDiagnostic?.({ at: parts.env.now(), level, message, data }),
});

/** @typedef {ReturnType<typeof contextOf>} OutboxContext */
