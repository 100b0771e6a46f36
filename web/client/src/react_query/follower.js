// Follows the stream for a cache of TanStack Query.
import { segment } from '../request.js';
import { endOf } from './pages.js';
import { patch } from './patch.js';

const MODULES = ['escrows', 'listings', 'clients', 'appointments', 'leads'];
const CHANGES = new Set(['created', 'updated', 'archived', 'restored', 'deleted']);
/** More records at a time are not asked for one by one: the lists are loaded again. */
const MOST_ASKED = 20;
/** More events during one load of a query: then it is loaded again. */
const MOST_MISSED = 1_000;

/** @typedef {import('@tanstack/react-query').QueryClient} QueryClient */
/** @typedef {import('@tanstack/react-query').Query<any, any, any, any>} AnyQuery */
/** @typedef {import('@tanstack/react-query').QueryCacheNotifyEvent} CacheEvent */

/**
 * @typedef {object} FollowOptions
 * @property {string[]} [modules] the first parts of the keys that are followed
 * @property {(module: string, id: string) => Promise<any>} [fetchOne] a record as your queries have it, null if there is none; without it, Porchlight's own
 */

/**
 * `missed` are the events that arrived meanwhile. `isOutdated`: the stream began after the load, so that events between the two are missing.
 * @typedef {{missed: any[], isOutdated: boolean}} Load
 */

/** @returns {Load} */
const newLoad = () => ({ missed: [], isOutdated: false });

export class QueryFollower {
  #client;
  #cache;
  #queryClient;
  #modules;
  #fetchOne;
  /** What happened during a load, by query. @type {Map<AnyQuery, Load>} */
  #loads = new Map();
  /** The last record of a query when its last page was loaded, with the cursor of that page. @type {WeakMap<AnyQuery, {last: any, next: unknown}>} */
  #ends = new WeakMap();
  /** What has needed a record that was asked for, and its events until the answer. @type {Map<string, any[]>} */
  #asked = new Map();
  /** @type {(() => void)[]} */
  #offs = [];
  #hasStream = false;

  /**
   * @param {import('../client.js').Client} client
   * @param {QueryClient} queryClient
   * @param {FollowOptions} [options]
   */
  constructor(client, queryClient, { modules = MODULES, fetchOne } = {}) {
    this.#client = client;
    this.#queryClient = queryClient;
    this.#cache = queryClient.getQueryCache();
    this.#modules = new Set(modules);
    this.#fetchOne = fetchOne ?? (async (/** @type {string} */ module, /** @type {string} */ id) =>
      (await client.request('GET', `/records/${segment(module)}/${segment(id)}`)).body);
  }

  start() {
    for (const query of this.#queries()) if (query.state.fetchStatus !== 'idle') this.#loads.set(query, newLoad());
    this.#offs = [
      this.#cache.subscribe((event) => this.#cacheChanged(event)),
      this.#client.events.fold((deliveries) => this.#take(deliveries.map(({ data }) => data))),
    ];
    if (this.#client.connection.getSnapshot().state === 'connected') this.#began();
  }

  stop() {
    for (const off of this.#offs.splice(0)) off();
    this.#loads.clear();
    this.#asked.clear();
  }

  /** @param {string} [module] */
  #queries(module) {
    return this.#cache.findAll({ predicate: ({ queryKey: [first] }) => (module ? first === module : this.#modules.has(/** @type {any} */ (first))) });
  }

  /** From now on no event is missed. What was loaded before may lack some. */
  #began() {
    if (this.#hasStream) return;
    this.#hasStream = true;
    this.#outdate(this.#queries().filter(({ state }) => state.data !== undefined));
  }

  /** Events may be missing in these queries, and in what is being loaded. @param {AnyQuery[]} queries */
  #outdate(queries) {
    for (const load of this.#loads.values()) load.isOutdated = true;
    // This ends loads of queries that have data and are shown, and begins new ones. The others end, and are right after a second one.
    this.#refetch(queries);
  }

  /** @param {AnyQuery[]} queries */
  #refetch(queries) {
    const hashes = new Set(queries.map(({ queryHash }) => queryHash));
    if (hashes.size) this.#queryClient.invalidateQueries({ predicate: ({ queryHash }) => hashes.has(queryHash) });
  }

  // ---- events

  /** @param {any[]} events */
  #take(events) {
    /** @type {Map<string, any[]>} */
    const byModule = new Map();
    for (const event of events) {
      // What another user has loaded is not shown until it is loaded again.
      if (event.type === 'stream:reset' && event.reason === 'user') for (const query of this.#queries()) query.reset();
      if (event.type === 'stream:ready') this.#began();
      else if (event.type === 'stream:reset') this.#outdate(this.#queries());
      else if (event.recordId && CHANGES.has(event.action) && this.#modules.has(event.module)) {
        byModule.set(event.module, [...byModule.get(event.module) ?? [], event]);
      }
    }
    for (const [module, own] of byModule) for (const query of this.#queries(module)) this.#apply(query, own);
  }

  /**
   * @param {AnyQuery} query
   * @param {any[]} events
   */
  #apply(query, events) {
    this.#loads.get(query)?.missed.push(...events);
    const { data: before, dataUpdatedAt, isInvalidated } = query.state;
    let data = before;
    let mustRefetch = false;
    const { last } = this.#endOf(query);
    for (const event of events) {
      const patched = patch(query.queryKey, data, event, last);
      data = patched.data;
      if (patched.needs === 'refetch' || (patched.needs === 'ask' && !this.#ask(event))) mustRefetch = true;
    }
    if (data !== before) {
      // Neither fresher nor staler than before.
      this.#queryClient.setQueryData(query.queryKey, data, { updatedAt: dataUpdatedAt });
      if (isInvalidated) query.invalidate();
    }
    if (mustRefetch) this.#refetch([query]);
  }

  /** The end of a query as it was loaded: its last record may have changed or left since. @param {AnyQuery} query */
  #endOf(query) {
    const end = endOf(query.state.data);
    const known = this.#ends.get(query);
    if (known && known.next === end.next) return known;
    this.#ends.set(query, end);
    return end;
  }

  /**
   * Asks for one record.
   * @param {any} event what needs it
   * @returns {boolean} false if too many are asked for already
   */
  #ask(event) {
    const { module, recordId } = event;
    const key = `${module}/${recordId}`;
    const waiting = this.#asked.get(key);
    // Several queries have the record: what each of them needs it for is in the answer.
    if (waiting) return waiting.includes(event) || waiting.push(event) <= MOST_MISSED;
    if (this.#asked.size >= MOST_ASKED) return false;
    this.#asked.set(key, [event]);
    this.#fetchOne(module, recordId).catch((error) => {
      if (error?.status === 404) return null;
      throw error;
    }).then((record) => this.#answered(key, { module, recordId, action: record ? 'fetched' : 'deleted', data: record, version: record?.version ?? Infinity }), () => {
      if (this.#asked.delete(key)) this.#refetch(this.#queries(module));
    });
    return true;
  }

  /**
   * @param {string} key
   * @param {any} answer
   */
  #answered(key, answer) {
    const [, ...later] = this.#asked.get(key) ?? [];
    if (this.#asked.delete(key)) for (const query of this.#queries(answer.module)) this.#apply(query, [answer, ...later]);
  }

  // ---- loads

  /** @param {CacheEvent} event */
  #cacheChanged(event) {
    if (event.type === 'removed') this.#loads.delete(event.query);
    if (event.type !== 'updated' || !this.#modules.has(event.query.queryKey[0])) return;
    const { query, action } = event;
    if (action.type === 'fetch') this.#loads.set(query, newLoad());
    const isLoaded = action.type === 'success' && !action.manual;
    if (isLoaded) this.#ends.delete(query);
    // A load that is cancelled sets the state that was before it.
    const isCancelled = action.type === 'setState' && query.state.fetchStatus === 'idle';
    if (isLoaded || isCancelled || action.type === 'error') this.#loadEnded(query, isLoaded);
  }

  /**
   * @param {AnyQuery} query
   * @param {boolean} isLoaded
   */
  #loadEnded(query, isLoaded) {
    const { missed, isOutdated } = this.#loads.get(query) ?? newLoad();
    this.#loads.delete(query);
    const isWrong = isOutdated || missed.length > MOST_MISSED;
    // The answer may be older than what has arrived meanwhile.
    if (!isWrong && missed.length) this.#apply(query, missed);
    if (isWrong && isLoaded) this.#refetch([query]);
    // Whoever has cancelled a load does not want another one now.
    if (isWrong && !isLoaded) query.invalidate();
  }
}
