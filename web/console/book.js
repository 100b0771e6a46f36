// The records of a list: a pure fold of pages and of what a stream tells. It knows no page, no
// clock and no service, so that the same messages always make the same list.

const ACTIONS = new Set(['created', 'updated', 'archived', 'restored', 'deleted']);
const MOST_RECENT = 300;
/** Records of a list: of more, the last ones go. */
export const MOST_KEPT = 200;

const numberOf = (position) => BigInt(position.split('-')[0]);

/** Whether an event tells of a record's fields. */
export const isOfRecord = ({ action, recordId, version }) => ACTIONS.has(action) && Boolean(recordId) && version !== undefined;

/**
 * What an event makes of a record: the record, null if it is gone, undefined if something between
 * the two was missed.
 */
export function advance(record, event) {
  if (event.action === 'deleted') return null;
  if (event.version <= record.version) return record;
  if (event.data?.id === record.id) return event.data;
  if (event.version > record.version + 1 || !event.changes) return undefined;
  return { ...record, ...event.changes, version: event.version };
}

/** The records of one module that are wanted, as far as they were asked for. */
export class Book {
  #module;
  #wanted;
  #records = new Map();
  #at = -1n;
  /** What was heard lately: a page may be answered later than what happened after it is heard. */
  #recent = [];

  /** `wanted`: `status`, `words` and `isArchived`, as the list was asked for. */
  constructor(module, wanted = {}) {
    this.#module = module;
    this.#wanted = wanted;
  }

  list() {
    return [...this.#records.values()];
  }

  get(id) {
    return this.#records.get(id);
  }

  /** Whether there is no room for what would come last. */
  get isFull() {
    return this.#records.size >= MOST_KEPT;
  }

  /** A page, true at a position. The first one replaces what was known. */
  answer(records, position, isFirst = true) {
    if (isFirst) {
      this.#records = new Map();
      this.#at = numberOf(position);
    }
    for (const record of records) this.#keep(record, false);
    this.#repeat(position);
  }

  /** One record, true at a position; null if there is none any more. */
  put(id, record, position) {
    if (record) this.#keep(record, true);
    else this.#records.delete(id);
    this.#repeat(position);
  }

  /**
   * Takes an event: `{ isChange, missing }`, whether the list has changed, and which record to
   * ask for.
   */
  take(event, position) {
    if (event.module !== this.#module || !isOfRecord(event) || !position) return { isChange: false };
    this.#recent.push({ event, at: numberOf(position) });
    if (this.#recent.length > MOST_RECENT) this.#recent.shift();
    return numberOf(position) > this.#at ? this.#apply(event) : { isChange: false };
  }

  #repeat(position) {
    const at = numberOf(position);
    for (const heard of this.#recent) if (heard.at > at) this.#apply(heard.event);
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

  /** Keeps a record that is wanted, where it was or first of all; one that is not goes. */
  #keep(record, isNews) {
    const known = this.#records.get(record.id);
    if (known && known.version > record.version) return false;
    if (!this.#isWanted(record)) return this.#records.delete(record.id);
    if (known || (!isNews && !this.isFull)) this.#records.set(record.id, record);
    else if (isNews) this.#records = new Map([[record.id, record], ...this.#records].slice(0, MOST_KEPT));
    return known?.version !== record.version;
  }

  /** Whether a change can have made a record one of these that was none. */
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
