// A live list of records: pages from the service, kept right by the stream, with the user's own pending changes over it.
import { backoffMs } from '../backoff.js';
import { PorchlightError } from '../error.js';
import { Live } from './live.js';
import { overlay } from './pending.js';
import { advance, comparator, fits, mayEnter } from './record.js';
import { segment } from '../request.js';

/** @typedef {import('./record.js').StoredRecord} StoredRecord */

/**
 * @typedef {object} CollectionSnapshot
 * @property {'loading' | 'ready' | 'error'} status
 * @property {readonly StoredRecord[]} records a record that has not changed is the same object as before
 * @property {boolean} hasMore
 * @property {boolean} isLoadingMore
 * @property {import('../error.js').PorchlightError | null} error of the last request that failed
 */

/**
 * @typedef {object} CollectionQuery
 * @property {string} module
 * @property {import('./record.js').Filter} filter
 * @property {string} sort
 * @property {number} limit records of a page
 */

/** @extends {Live<CollectionSnapshot>} */
export class Collection extends Live {
  /** As the service has them. @type {Map<string, StoredRecord>} */
  #base = new Map();
  /** As they are shown, by id. @type {Map<string, StoredRecord>} */
  #view = new Map();
  /** Ids whose view is to be made again. @type {Set<string>} */
  #changed = new Set();
  /** @type {string | null} */
  #next = null;
  /** The last record of the last page, as it was then. @type {StoredRecord | null} */
  #edge = null;
  /** The events of records that are requested one by one. @type {Map<string, any[]>} */
  #wanted = new Map();
  /** @type {Promise<import('./missing.js').MissingRecords> | null} */
  #missing = null;
  #compare;
  /** Whether a record has the words of the filter. @type {((record: StoredRecord) => boolean) | null} */
  #hasWords = null;

  /**
   * @param {import('./live.js').RecordsContext} context
   * @param {CollectionQuery} query
   * @param {(isActive: boolean) => void} onActive
   */
  constructor(context, query, onActive) {
    super(context, { status: 'loading', records: [], hasMore: false, isLoadingMore: false, error: null }, onActive);
    this.query = query;
    this.#compare = comparator(query.sort);
  }

  /** The record as it is shown, if it is in the list. @param {string} id */
  get(id) {
    return this.#view.get(id);
  }

  /** Loads the next page, if there is one. */
  async loadMore() {
    if (this.#next === null || this.buffer || !this.isLoaded) return;
    const { generation } = this;
    this.hold();
    this.#put({ isLoadingMore: true });
    try {
      const { body, headers } = await this.#request(this.#next);
      if (generation !== this.generation) return;
      this.#keep(body);
      this.drain(headers.get('Stream-Position'));
      this.show({ isLoadingMore: false, error: null });
    } catch (error) {
      if (generation !== this.generation) return;
      this.drain(null);
      this.show({ isLoadingMore: false, error: /** @type {any} */ (error) });
    }
  }

  stop() {
    this.#forgetMissing();
    super.stop();
  }

  /** @override */
  empty() {
    this.#view.clear();
    super.empty();
  }

  // ---- loading

  /** @override @param {number} generation */
  async load(generation) {
    this.#forgetMissing();
    const { module, filter } = this.query;
    if (filter.q) this.#hasWords = await (await import('./catalogue.js')).searcher(this.context.request, module, filter.q);
    const { body, headers } = await this.#request(null);
    const pages = [body];
    // As many records as before, so that a list somebody has scrolled keeps its length.
    for (let missing = this.#base.size - body.records.length; missing > 0 && pages.at(-1).next !== null; missing -= pages.at(-1).records.length) {
      if (generation !== this.generation) return;
      pages.push((await this.#request(pages.at(-1).next)).body);
    }
    if (generation !== this.generation) return;
    for (const id of [...this.#base.keys(), ...this.#view.keys()]) this.#changed.add(id);
    this.#base = new Map();
    for (const page of pages) this.#keep(page);
    this.loaded(headers.get('Stream-Position'));
    for (const write of this.context.pending.store.getSnapshot()) if (write.module === module) this.#changed.add(write.recordId);
    this.show({ status: 'ready', error: null, isLoadingMore: false });
  }

  /** @override @param {import('../error.js').PorchlightError} error @param {boolean} isTemporary */
  failed(error, isTemporary) {
    this.#put({ status: isTemporary ? this.getSnapshot().status : 'error', error });
  }

  /** @param {string | null} cursor */
  #request(cursor) {
    const { module, filter, sort, limit } = this.query;
    return this.context.request('GET', `/records/${segment(module)}`, { query: { ...filter, sort, limit, cursor: cursor ?? undefined } });
  }

  /** @param {{records: StoredRecord[], next: string | null}} page */
  #keep({ records, next }) {
    this.#next = next;
    this.#edge = records.at(-1) ?? null;
    for (const record of records) this.#set(record.id, record);
  }

  // ---- single records

  /** An event was missed, or did not say enough. This is rare, and what it needs is loaded then. @param {string} id */
  #want(id) {
    const { context, query: { module } } = this;
    this.#wanted.set(id, []);
    const onAnswer = (/** @type {string} */ answered, /** @type {StoredRecord | null} */ record) => this.#answered(answered, record);
    this.#missing ??= import('./missing.js').then(({ MissingRecords }) => new MissingRecords({ context, module, onAnswer, Failure: PorchlightError, backoffMs }));
    this.#missing.then((missing) => missing.request(id), () => this.isActive && this.reload());
  }

  /** @param {string} id @param {StoredRecord | null} record */
  #answered(id, record) {
    const events = this.#wanted.get(id) ?? [];
    this.#wanted.delete(id);
    this.#set(id, record);
    for (const event of events) this.#applyEvent(event);
    this.show();
  }

  #forgetMissing() {
    this.#missing?.then((missing) => missing.stop(), () => {});
    this.#missing = null;
    this.#wanted.clear();
  }

  // ---- events

  /** @override @param {import('../connection.js').Delivery} delivery */
  apply({ data }) {
    return this.#applyEvent(data);
  }

  /** @param {any} event */
  #applyEvent(event) {
    const { recordId: id, action, data } = event;
    const waiting = this.#wanted.get(id);
    if (waiting) {
      waiting.push(event);
      return false;
    }
    const known = this.#base.get(id);
    if (!known) {
      if (action === 'deleted') return false;
      if (action === 'created' && data?.id === id) return this.#set(id, data);
      if (this.#mayEnter(event)) this.#want(id);
      return false;
    }
    // A record that changes its team may have left what this user may see.
    const next = event.changes && 'teamId' in event.changes ? undefined : advance(known, event);
    if (next !== undefined) return next !== known && this.#set(id, next);
    this.#want(id);
    return false;
  }

  /** @param {any} event of a record that is not in the list */
  #mayEnter(event) {
    const field = this.query.sort.replace('-', '');
    const moves = this.#next !== null && event.changes && field in event.changes;
    if (moves) return this.#isLoadedUpTo({ id: event.recordId, version: 0, [field]: event.changes[field] });
    return mayEnter(event, this.query.filter);
  }

  /**
   * The service's answer to a write.
   * @param {string} id
   * @param {StoredRecord | null} record null after a delete
   */
  acknowledge(id, record) {
    if (this.isLoaded && this.#set(id, record)) this.show();
  }

  /**
   * @param {string} id
   * @param {StoredRecord | null} record
   */
  #set(id, record) {
    const known = this.#base.get(id);
    if (record && known && known.version > record.version) return false;
    if (record && this.#isWanted(record)) this.#base.set(id, record);
    else if (!this.#base.delete(id)) return false;
    this.#changed.add(id);
    return true;
  }

  /** @param {StoredRecord} record */
  #isWanted(record) {
    return fits(record, this.query.filter, this.#hasWords) && this.#isLoadedUpTo(record);
  }

  /**
   * What comes after the last record of the last page belongs to a page that is not loaded yet.
   * @param {StoredRecord} record
   */
  #isLoadedUpTo(record) {
    return this.#next === null || !this.#edge || this.#compare(record, this.#edge) <= 0;
  }

  // ---- what is shown

  /** A pending change of this record has come, changed or gone. @param {string} id */
  pendingChanged(id) {
    if (!this.isLoaded) return;
    this.#changed.add(id);
    this.show();
  }

  /** @override @param {Partial<CollectionSnapshot>} [more] */
  show(more = {}) {
    const changed = [...this.#changed].filter((id) => this.#renew(id));
    this.#changed.clear();
    const before = this.getSnapshot();
    const records = changed.length ? this.#arranged(before.records, new Set(changed)) : before.records;
    this.#put({ ...more, records, hasMore: this.#next !== null });
  }

  /** Makes the view of a record again; returns whether it has changed. @param {string} id */
  #renew(id) {
    const { pending } = this.context;
    const shown = overlay(this.#base.get(id) ?? null, pending.of(this.query.module, id));
    const before = this.#view.get(id);
    if (shown && this.#isWanted(shown)) this.#view.set(id, shown);
    else return this.#view.delete(id);
    return shown !== before;
  }

  /**
   * @param {readonly StoredRecord[]} before
   * @param {Set<string>} changed
   */
  #arranged(before, changed) {
    const records = before.flatMap(({ id }) => this.#view.get(id) ?? []);
    const shown = new Set(before.map(({ id }) => id));
    for (const id of changed) {
      const record = this.#view.get(id);
      if (record && !shown.has(id)) records.push(record);
    }
    return records.sort(this.#compare);
  }

  /** @param {Partial<CollectionSnapshot>} change */
  #put(change) {
    const before = this.getSnapshot();
    const after = { ...before, ...change };
    const keys = /** @type {(keyof CollectionSnapshot)[]} */ (Object.keys(after));
    if (keys.some((key) => after[key] !== before[key])) this.store.set(after);
  }
}
