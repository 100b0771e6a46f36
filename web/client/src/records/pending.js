// Changes that the service has not confirmed yet. They are shown over the records as the service has them.

/** @typedef {'create' | 'update' | 'archive' | 'restore' | 'delete'} WriteKind */

/**
 * A change on its way. `queued`: it waits for its turn or for the connection. `sending`: its request is under way. `conflict`: someone else
 * has changed the same fields; `resolve` it.
 * @typedef {object} Write
 * @property {string} id also its idempotency key
 * @property {string} module
 * @property {string} recordId
 * @property {WriteKind} kind
 * @property {Record<string, any>} changes
 * @property {Record<string, any>} known the values that the user saw when they changed them
 * @property {number | null} base the version that the user saw
 * @property {number} at when it was made, in milliseconds since 1970
 * @property {number} sequence its place in the queue
 * @property {'queued' | 'sending' | 'conflict'} state
 * @property {boolean} isConfirmed the stream has brought it, its answer is still missing
 * @property {number} attempts
 * @property {string | null} reason why it still waits
 * @property {number | null} fence of the lock under which it is written
 * @property {import('../outbox/conflict.js').Conflict | null} conflict
 */

import { Store } from '../store.js';

export class PendingChanges {
  /** By record. @type {Map<string, Write[]>} */
  #byRecord = new Map();
  /** @type {(module: string, recordId: string) => void} */
  #observer = () => {};

  /** @param {(error: unknown) => void} report */
  constructor(report) {
    /** All of them, in order. @type {Store<readonly Write[]>} */
    this.store = new Store(/** @type {readonly Write[]} */ ([]), report);
  }

  /** @param {(module: string, recordId: string) => void} observer the only one */
  observe(observer) {
    this.#observer = observer;
  }

  /**
   * @param {string} module
   * @param {string} recordId
   * @returns {readonly Write[]}
   */
  of(module, recordId) {
    return this.#byRecord.get(`${module}/${recordId}`) ?? [];
  }

  /**
   * Adds a change, or replaces the one of the same id.
   * @param {Write} write
   */
  put(write) {
    const all = this.store.getSnapshot().filter(({ id }) => id !== write.id);
    all.push(write);
    this.#set(all.sort((a, b) => a.sequence - b.sequence), write);
  }

  /** @param {string} id */
  remove(id) {
    const write = this.store.getSnapshot().find((one) => one.id === id);
    if (write) this.#set(this.store.getSnapshot().filter((one) => one !== write), write);
  }

  /**
   * @param {Write[]} all
   * @param {Write} changed
   */
  #set(all, { module, recordId }) {
    const own = all.filter((one) => one.module === module && one.recordId === recordId);
    if (own.length) this.#byRecord.set(`${module}/${recordId}`, own);
    else this.#byRecord.delete(`${module}/${recordId}`);
    this.#observer(module, recordId);
    this.store.set(all);
  }
}

/**
 * A record with the changes on their way. Null where there is none, or none any more.
 * @param {import('./record.js').StoredRecord | null} base
 * @param {readonly Write[]} writes
 * @returns {import('./record.js').StoredRecord | null}
 */
export function overlay(base, writes) {
  let record = base;
  for (const { kind, changes, recordId, at, isConfirmed } of writes) {
    if (isConfirmed) continue;
    const time = new Date(at).toISOString();
    if (kind === 'create') record ??= { createdAt: time, archivedAt: null, ...changes, id: recordId, version: 0, updatedAt: time };
    else if (kind === 'delete') record = null;
    else if (record) record = { ...record, ...changes, ...(kind !== 'update' && { archivedAt: kind === 'archive' ? time : null }) };
  }
  return record;
}
