// The rows of the writes that wait. Where the database is lost, or cannot store one, writes wait in memory.
import { memoryStorage, openStorage } from './storage.js';

/** @typedef {import('../records/pending.js').Write} Write */

/**
 * @typedef {object} RowsContext
 * @property {import('../environment.js').Environment} env
 * @property {import('../records/pending.js').PendingChanges} pending
 * @property {import('../writes.js').Writes} writes
 * @property {(level: 'warning', message: string) => void} tell
 */

export class Rows {
  #context;
  #name;
  #found;
  #storage = memoryStorage();
  /** The database that could not store a write: rows that were stored before are still removed from it. */
  #left = memoryStorage();
  #isClosed = false;
  /** One after the other, so that an older state never overwrites a newer one. @type {Promise<void>} */
  #storing = Promise.resolve();
  /** By this tab. @type {Set<string>} */
  #put = new Set();

  /**
   * @param {RowsContext} context
   * @param {string} name of the database
   * @param {(write: Write) => void} found called with each write that is stored already
   */
  constructor(context, name, found) {
    this.#context = context;
    this.#name = name;
    this.#found = found;
  }

  async open() {
    const { env, writes, tell } = this.#context;
    this.#storage = await openStorage(env, this.#name, () => this.#lost());
    const stored = await this.#storage.all().catch(() => []);
    for (const write of stored) this.#found(write);
    writes.showStorage(this.#storage.kind);
    if (this.#storage.kind === 'memory') tell('warning', 'writes wait in memory only: a reload loses them');
  }

  /** The database was closed under it. */
  async #lost() {
    if (this.#isClosed) return;
    this.#context.tell('warning', 'the database of the outbox was lost');
    this.#storage = memoryStorage();
    await this.open();
    for (const write of this.#context.pending.store.getSnapshot()) await this.put(write);
  }

  /** @param {Write} write */
  put(write) {
    this.#put.add(write.id);
    return this.#change(() => this.#storage.put(write));
  }

  /** Whether this tab has stored it. @param {string} id */
  hasPut(id) {
    return this.#put.has(id);
  }

  /** @param {string} id */
  remove(id) {
    this.#put.delete(id);
    return this.#change(async () => {
      await this.#left.remove(id).catch(() => {});
      await this.#storage.remove(id);
    });
  }

  /** @param {() => Promise<void>} run */
  #change(run) {
    this.#storing = this.#storing.then(run).catch(() => this.#onlyMemory());
    return this.#storing;
  }

  #onlyMemory() {
    const { writes, tell } = this.#context;
    if (this.#storage.kind === 'memory') return;
    this.#left = this.#storage;
    this.#storage = memoryStorage();
    writes.showStorage('memory');
    tell('warning', 'a write could not be stored: writes wait in memory only');
  }

  close() {
    this.#isClosed = true;
    this.#storing.finally(() => {
      this.#left.close();
      this.#storage.close();
    });
  }
}
