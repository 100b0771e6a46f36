// What tasks, notifications and activity share: a list from the service, from new to old, that follows the stream while somebody subscribes.
import { isCovered } from '../position.js';
import { Live } from '../records/live.js';

/**
 * @typedef {object} FeedSnapshot
 * @property {'loading' | 'ready' | 'error'} status
 * @property {boolean} hasMore
 * @property {boolean} isLoadingMore
 * @property {import('../error.js').PorchlightError | null} error of the last request that failed
 */

/** @type {FeedSnapshot} */
export const LOADING = { status: 'loading', hasMore: false, isLoadingMore: false, error: null };

/**
 * @template {FeedSnapshot} Snapshot
 * @extends {Live<Snapshot>}
 * @abstract
 */
export class Feed extends Live {
  /** @type {() => void} */
  #off = () => {};
  /** @type {string | number | null} */
  #next = null;
  #path;
  #query;

  /**
   * @param {import('../client.js').Client} client
   * @param {string} path
   * @param {Record<string, string | number | undefined>} query
   * @param {Snapshot} initial
   */
  constructor(client, path, query, initial) {
    const { environment: env, request, events } = client;
    const context = /** @type {any} */ ({ env, request, streamStart: () => client.streamStart });
    super(context, initial, (isActive) => {
      this.#off();
      this.#off = isActive ? events.fold((deliveries) => this.#take(deliveries)) : () => {};
    });
    this.#path = path;
    this.#query = query;
  }

  /** Stops following the stream. */
  close() {
    this.stop();
  }

  /** Loads the next page, if there is one. */
  async loadMore() {
    if (this.#next === null || this.buffer || !this.isLoaded) return;
    const { generation } = this;
    this.hold();
    this.change({ isLoadingMore: true });
    try {
      const { body, headers } = await this.#request(this.#next);
      if (generation !== this.generation) return;
      this.keep(body, false);
      this.#page(body);
      this.drain(headers.get('Stream-Position'));
      this.change({ isLoadingMore: false, error: null });
    } catch (error) {
      if (generation !== this.generation) return;
      this.drain(null);
      this.change({ isLoadingMore: false, error: /** @type {any} */ (error) });
    }
    this.show();
  }

  /** @override @param {number} generation */
  async load(generation) {
    const { body, headers } = await this.#request();
    if (generation !== this.generation) return;
    if (!this.keep(body, true)) this.#page(body);
    this.loaded(headers.get('Stream-Position'));
    this.change({ status: 'ready', error: null });
    this.show();
  }

  /** @override @param {import('../error.js').PorchlightError} error @param {boolean} isTemporary */
  failed(error, isTemporary) {
    const isShown = this.getSnapshot().status === 'ready' && isTemporary;
    this.change({ status: isShown ? 'ready' : 'error', error });
  }

  /** @param {Record<string, unknown>} change */
  change(change) {
    this.store.set({ ...this.getSnapshot(), ...change });
  }

  /** @param {string | number} [cursor] */
  #request(cursor) {
    return this.context.request('GET', this.#path, { query: { ...this.#query, cursor } });
  }

  /** @param {{next: string | number | null}} body */
  #page({ next }) {
    this.#next = next;
    this.change({ hasMore: next !== null });
  }

  /** @param {import('../received.js').Delivery[]} deliveries */
  #take(deliveries) {
    let isTouched = false;
    for (const delivery of deliveries) {
      const { type } = delivery.data;
      if (type === 'stream:reset') this.reload();
      else if (type === 'stream:ready') this.streamStarted();
      else if (!this.#has(delivery) && this.concerns(delivery.data)) isTouched = this.take(delivery) || isTouched;
    }
    if (isTouched) this.show();
  }

  /** Events that were on their way while the list was loaded are in it already. @param {import('../received.js').Delivery} delivery */
  #has({ position }) {
    return Boolean(this.isLoaded && position && this.at && isCovered(position, this.at));
  }

  /** @abstract @param {any} _event */
  concerns(_event) {
    return false;
  }

  /**
   * Keeps a page.
   * @abstract
   * @param {any} _body
   * @param {boolean} _isFirst
   * @returns {boolean} whether pages after the first one have stayed
   */
  keep(_body, _isFirst) {
    return false;
  }
}
