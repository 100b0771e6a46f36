// What was written last. A change of another tab may come late, after one that the user has made later.

/** @typedef {import('../records/pending.js').Write} Write */

/** Of so many records. */
const MOST = 1_000;

export class LastWrites {
  #same;
  /** @type {Map<string, Write>} */
  #byRecord = new Map();

  /** @param {import('./conflict.js').Same} same */
  constructor(same) {
    this.#same = same;
  }

  /** @param {Write} write */
  add(write) {
    const key = `${write.module}/${write.recordId}`;
    if ((this.#byRecord.get(key)?.sequence ?? 0) > write.sequence) return;
    this.#byRecord.delete(key);
    this.#byRecord.set(key, write);
    if (this.#byRecord.size > MOST) this.#byRecord.delete(/** @type {string} */ (this.#byRecord.keys().next().value));
  }

  /**
   * Whether the user has written, later than this change, what is in its way.
   * @param {Write} write
   * @param {import('./conflict.js').Conflict} conflict
   */
  hasOvertaken({ module, recordId, sequence }, { record, fields }) {
    const last = this.#byRecord.get(`${module}/${recordId}`);
    return last !== undefined && last.sequence > sequence && fields.every((field) => this.#same(last.changes[field], record[field] ?? null));
  }
}
