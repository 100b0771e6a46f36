// Writes: shown at once, sent by the outbox, which is loaded when it is first needed.
import { PorchlightError } from './error.js';
import { Store } from './store.js';

/** Writes to the same fields of a record within this time become one. */
const MERGE_MS = 1_000;
/** Writes that wait at a time. */
const MOST_WRITES = 1_000;

/** @typedef {import('./records/pending.js').Write} Write */
/** @typedef {import('./records/record.js').StoredRecord} StoredRecord */

/**
 * @typedef {object} WriteHandle
 * @property {string} id for `discard` and `resolve`
 * @property {Promise<StoredRecord | null>} done the record as the service has it, null after a delete. It rejects when the write is refused or
 * discarded; nobody has to catch that.
 */

/**
 * @typedef {object} WriteOptions
 * @property {boolean} [isImmediate] does not wait for further writes to the same fields
 * @property {number} [fence] of the lock under which it is written
 * @property {StoredRecord} [record] the record as the user saw it, where no live list has it
 */

/**
 * @typedef {object} OutboxState
 * @property {readonly Write[]} writes what waits, in order
 * @property {'none' | 'indexeddb' | 'memory'} storage `memory`: a reload loses what waits
 */

/**
 * As the service will have it: frameworks wrap values in proxies, which no database stores. What is no JSON is refused when it is sent.
 * @param {Record<string, any>} changes
 */
function copyOf(changes) {
  try {
    return JSON.parse(JSON.stringify(changes));
  } catch {
    return changes;
  }
}

export class Writes {
  #env;
  #pending;
  #find;
  #load;
  #mergeMs;
  /** @type {Promise<any> | null} */
  #outbox = null;
  /** @type {Map<string, {changes: Record<string, any>, resolve: (record: any) => void, reject: (error: any) => void}[]>} */
  #waiting = new Map();
  #sequence = 0;

  /**
   * @param {import('./environment.js').Environment} env
   * @param {import('./records/pending.js').PendingChanges} pending
   * @param {(module: string, id: string) => StoredRecord | null} find the record as it is shown somewhere
   * @param {() => Promise<any>} load makes the outbox
   * @param {number} [mergeMs]
   */
  constructor(env, pending, find, load, mergeMs = MERGE_MS) {
    this.#env = env;
    this.#pending = pending;
    this.#find = find;
    this.#load = load;
    this.#mergeMs = mergeMs;
    /** @type {Store<OutboxState>} */
    this.store = new Store({ writes: /** @type {readonly Write[]} */ ([]), storage: /** @type {OutboxState['storage']} */ ('none') }, env.reportError);
    pending.store.subscribe(() => this.store.set({ ...this.store.getSnapshot(), writes: pending.store.getSnapshot() }));
  }

  getSnapshot = () => this.store.getSnapshot();

  /** @type {(listener: () => void) => () => void} */
  subscribe = (listener) => this.store.subscribe(listener);

  /** What waits, and why. */
  pending() {
    return this.#pending.store.getSnapshot();
  }

  /**
   * @param {import('./records/pending.js').WriteKind} kind
   * @param {string} module
   * @param {string} recordId
   * @param {Record<string, any>} given
   * @param {WriteOptions} [options]
   * @returns {WriteHandle}
   */
  add(kind, module, recordId, given, { isImmediate = false, fence, record } = {}) {
    const changes = copyOf(given);
    const last = this.#pending.of(module, recordId).at(-1);
    if (this.pending().length >= MOST_WRITES) return this.#handle('', Promise.reject(new PorchlightError('outbox_full', `${MOST_WRITES} writes wait already`)));
    const shown = this.#find(module, recordId) ?? record ?? null;
    const write = kind === 'update' && last && this.#canMerge(last, changes)
      ? { ...last, changes: { ...last.changes, ...changes } }
      : this.#write(kind, module, recordId, changes, shown, fence ?? null);
    const done = new Promise((resolve, reject) => {
      this.#waiting.set(write.id, [...this.#waiting.get(write.id) ?? [], { changes, resolve, reject }]);
    });
    this.#pending.put(write);
    this.open().then((outbox) => outbox.add(write.id, isImmediate), (error) => this.settle(write.id, null, error));
    return this.#handle(write.id, done);
  }

  /**
   * @param {string} id
   * @param {Promise<any>} done
   * @returns {WriteHandle}
   */
  #handle(id, done) {
    done.catch(() => {});
    return { id, done };
  }

  /**
   * @param {Write} last
   * @param {Record<string, any>} changes
   */
  #canMerge(last, changes) {
    return last.kind === 'update' && last.state === 'queued' && last.attempts === 0
      && this.#env.now() - last.at < this.#mergeMs
      && Object.keys(changes).every((field) => field in last.changes);
  }

  /**
   * @param {import('./records/pending.js').WriteKind} kind
   * @param {string} module
   * @param {string} recordId
   * @param {Record<string, any>} changes
   * @param {StoredRecord | null} shown
   * @param {number | null} fence
   * @returns {Write}
   */
  #write(kind, module, recordId, changes, shown, fence) {
    const at = this.#env.now();
    // Later than what other tabs have added before, and in the order of this one.
    this.#sequence = Math.max(this.#sequence + 1, at * 1_000);
    // What waits counts as seen, also where it is not shown yet.
    const seen = Object.assign({ ...shown }, ...this.#pending.of(module, recordId).map((one) => !one.isConfirmed && one.changes));
    const fields = Object.keys(changes).filter((field) => shown || field in seen);
    return {
      id: this.#env.uuid(), module, recordId, kind, changes, known: Object.fromEntries(fields.map((field) => [field, seen[field] ?? null])), base: shown?.version || null, at,
      sequence: this.#sequence, state: 'queued', isConfirmed: false, attempts: 0, reason: null, fence, conflict: null,
    };
  }

  /** The outbox, which also sends what an earlier page has left. */
  open() {
    this.#outbox ??= this.#load().catch((error) => {
      this.#outbox = null;
      throw error;
    });
    return this.#outbox;
  }

  /** @param {OutboxState['storage']} storage */
  showStorage(storage) {
    this.store.set({ ...this.store.getSnapshot(), storage });
  }

  /**
   * A write has ended.
   * @param {string} id
   * @param {StoredRecord | null} record
   * @param {unknown} [error]
   */
  settle(id, record, error) {
    this.#pending.remove(id);
    for (const { resolve, reject } of this.#waiting.get(id) ?? []) error ? reject(error) : resolve(record);
    this.#waiting.delete(id);
  }

  /**
   * A part of a write has become another one: those who have made these changes wait for that.
   * @param {string} from
   * @param {string} to
   * @param {(changes: Record<string, any>) => boolean} isMoved
   * @returns {boolean} whether this tab has made any
   */
  move(from, to, isMoved) {
    const all = this.#waiting.get(from) ?? [];
    const moved = all.filter(({ changes }) => isMoved(changes));
    if (!moved.length) return false;
    this.#waiting.set(from, all.filter((one) => !moved.includes(one)));
    this.#waiting.set(to, moved);
    return true;
  }

  /** Gives up a write that waits. What it changed is shown as before. @param {string} id */
  async discard(id) {
    return (await this.open()).discard(id);
  }

  /**
   * Ends a conflict. `mine` writes the user's values again; `theirs` drops them; values write exactly those.
   * @param {string} id
   * @param {'mine' | 'theirs' | Record<string, any>} how
   */
  async resolve(id, how) {
    return (await this.open()).resolve(id, how);
  }

  /** Sends what waits without waiting for further writes to the same fields. */
  async flush() {
    return (await this.open()).flush();
  }

  async stop() {
    const opened = this.#outbox;
    // A write that comes after the end is refused, because the client opens no other outbox.
    this.#outbox = null;
    (await opened?.catch(() => null))?.stop();
    for (const { reject } of [...this.#waiting.values()].flat()) reject(new PorchlightError('closed', 'the client was closed; the write is sent later'));
    this.#waiting.clear();
  }
}
