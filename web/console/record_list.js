// The records of a list: a pure fold of pages and of the events of a stream. It uses neither the document nor
// a clock nor the service, so that the same messages always give the same list.

const ACTIONS = new Set(['created', 'updated', 'archived', 'restored', 'deleted']);
const MOST_RECENT = 300;
/** Records of a list; the last ones beyond that are removed. */
export const MOST_RECORDS = 200;

const numberOf = (position) => BigInt(position.split('-')[0]);

/** Whether an event has a record's fields. */
export const isOfRecord = ({ action, recordId, version }) => ACTIONS.has(action) && Boolean(recordId) && version !== undefined;

/**
 * The record after an event; null if it was deleted, undefined if an event in between was missed.
 */
export function advance(record, event) {
  if (event.action === 'deleted') return null;
  if (event.version <= record.version) return record;
  if (event.data?.id === record.id) return event.data;
  if (event.version > record.version + 1 || !event.changes) return undefined;
  return { ...record, ...event.changes, version: event.version };
}

/** The records of one module that match, as far as their pages were requested. */
export class RecordList {
  #module;
  #wanted;
  #records = new Map();
  #at = -1n;
  /** Recent events: a page may arrive after events that are newer than the page. */
  #recent = [];

  /** `wanted`: `status`, `words` and `isArchived`, as in the request for the list. */
  constructor(module, wanted = {}) {
    this.#module = module;
    this.#wanted = wanted;
  }

  all() {
    return [...this.#records.values()];
  }

  get(id) {
    return this.#records.get(id);
  }

  /** Whether there is no room for another record at the end. */
  get isFull() {
    return this.#records.size >= MOST_RECORDS;
  }

  /** A page that is complete up to a position. The first page replaces the list. */
  answer(records, position, isFirst = true) {
    if (isFirst) {
      this.#records = new Map();
      this.#at = numberOf(position);
    }
    for (const record of records) this.#keep(record, false);
    this.#repeat(position);
  }

  /** One record as it was at a position; null if it no longer exists. */
  put(id, record, position) {
    if (record) this.#keep(record, true);
    else this.#records.delete(id);
    this.#repeat(position);
  }

  /**
   * Takes an event. Returns `{ isChange, missing }`: whether the list has changed, and which record to
   * request.
   */
  take(event, position) {
    if (event.module !== this.#module || !isOfRecord(event) || !position) return { isChange: false };
    this.#recent.push({ event, at: numberOf(position) });
    if (this.#recent.length > MOST_RECENT) this.#recent.shift();
    return numberOf(position) > this.#at ? this.#apply(event) : { isChange: false };
  }

  #repeat(position) {
    const at = numberOf(position);
    for (const recent of this.#recent) if (recent.at > at) this.#apply(recent.event);
  }

  #apply(event) {
    const { recordId: id, action, data, changes } = event;
    const known = this.#records.get(id);
    if (!known && action === 'created') return { isChange: this.#keep(data, true) };
    if (!known) return { isChange: false, missing: this.#mayComeBy(changes) ? id : undefined };
    const record = advance(known, event);
    if (record === undefined) return { isChange: false, missing: id };
    if (record === null) return { isChange: this.#records.delete(id) };
    return { isChange: this.#keep(record, false) };
  }

  /** Stores a record that matches, at its place or as the first one; removes one that does not match. */
  #keep(record, isNews) {
    const known = this.#records.get(record.id);
    if (known && known.version > record.version) return false;
    if (!this.#isWanted(record)) return this.#records.delete(record.id);
    if (known || (!isNews && !this.isFull)) this.#records.set(record.id, record);
    else if (isNews) this.#records = new Map([[record.id, record], ...this.#records].slice(0, MOST_RECORDS));
    return known?.version !== record.version;
  }

  /** Whether a change may have made a record match that did not match before. */
  #mayComeBy(changes = {}) {
    const { status, words } = this.#wanted;
    return 'archivedAt' in changes || (Boolean(status) && changes.status === status) || Boolean(words);
  }

  #isWanted(record) {
    const { status, words = '', isArchived = false } = this.#wanted;
    const texts = Object.values(record).flat().filter((value) => typeof value === 'string').join('\n').toLowerCase();
    return Boolean(record.archivedAt) === isArchived
      && (!status || record.status === status)
      && words.toLowerCase().split(/\s+/).every((word) => texts.includes(word));
  }
}
