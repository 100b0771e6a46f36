// All live lists and records of a client.
import { Collection } from './collection.js';
import { LiveRecord } from './live_record.js';
import { isChange } from './record.js';

/** @typedef {Collection | LiveRecord} Query */

const PAGE = 50;
const MOST_KNOWN = 500;
const DEFAULT_SORT = '-createdAt';

export class Records {
  #context;
  /** Queries by their text, so that the same list is loaded once. @type {Map<string, Query>} */
  #known = new Map();
  /** Those that follow the stream, by module. @type {Map<string, Set<Query>>} */
  #active = new Map();
  /** Whose stream it is, as the service says. @type {string | null} */
  userId = null;

  /**
   * @param {import('./live.js').RecordsContext} context
   */
  constructor(context) {
    this.#context = context;
    context.pending.observe((module, id) => {
      for (const query of this.#of(module)) query.pendingChanged(id);
    });
  }

  /**
   * @param {string} module
   * @param {{filter?: import('./record.js').Filter, sort?: string, limit?: number}} [options]
   * @returns {Collection}
   */
  list(module, { filter = {}, sort = DEFAULT_SORT, limit = PAGE } = {}) {
    const query = { module, filter, sort, limit };
    const sorted = Object.entries(filter).filter(([, value]) => value !== undefined).sort();
    const key = JSON.stringify(['list', module, sorted, sort, limit]);
    return /** @type {Collection} */ (this.#query(key, module, (context, onActive) => new Collection(context, query, onActive)));
  }

  /**
   * @param {string} module
   * @param {string} id
   * @returns {LiveRecord}
   */
  one(module, id) {
    const key = JSON.stringify(['one', module, id]);
    return /** @type {LiveRecord} */ (this.#query(key, module, (context, onActive) => new LiveRecord(context, { module, id }, onActive)));
  }

  /**
   * A record as it is shown somewhere.
   * @param {string} module
   * @param {string} id
   * @returns {import('./record.js').StoredRecord | null}
   */
  find(module, id) {
    for (const query of this.#of(module)) {
      const found = query.get(id);
      if (found) return found;
    }
    return null;
  }

  /** @param {import('../connection.js').Delivery[]} deliveries */
  take(deliveries) {
    /** @type {Set<Query>} */
    const touched = new Set();
    for (const delivery of deliveries) {
      const { data } = delivery;
      if (data.type === 'stream:reset') this.#all((query) => query.reset(data));
      else if (data.type === 'stream:ready') {
        this.userId = data.scopes?.user ?? this.userId;
        this.#all((query) => query.streamStarted());
      } else if (isChange(data)) {
        for (const query of this.#of(data.module)) if (query.take(delivery)) touched.add(query);
      }
    }
    for (const query of touched) query.show();
  }

  /**
   * The service's answer to a write: the whole record, or null after a delete.
   * @param {string} module
   * @param {string} id
   * @param {import('./record.js').StoredRecord | null} record
   */
  acknowledge(module, id, record) {
    for (const query of this.#of(module)) query.acknowledge(id, record);
  }

  stop() {
    this.#all((query) => query.stop());
  }

  /** @param {string} module */
  #of(module) {
    return this.#active.get(module) ?? [];
  }

  /** @param {(query: Query) => void} run */
  #all(run) {
    for (const queries of [...this.#active.values()]) for (const query of [...queries]) run(query);
  }

  /**
   * @param {string} key
   * @param {string} module
   * @param {(context: import('./live.js').RecordsContext, onActive: (isActive: boolean) => void) => Query} make
   */
  #query(key, module, make) {
    const known = this.#known.get(key);
    if (known) return known;
    const made = make(this.#context, (isActive) => {
      const active = this.#active.get(module) ?? new Set();
      this.#active.set(module, active);
      if (isActive) {
        active.add(made);
        this.#known.set(key, made);
      } else {
        active.delete(made);
        this.#known.delete(key);
      }
    });
    // Queries that were made and never used do not pile up.
    if (this.#known.size >= MOST_KNOWN) for (const [old, query] of this.#known) if (!query.isActive) this.#known.delete(old);
    this.#known.set(key, made);
    return made;
  }
}
