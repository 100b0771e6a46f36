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
 * The name of a feed among the parts of a client.
 * @param {string} path
 * @param {unknown} options
 */
export const partName = (path, options) => `${path.slice(1)}:${JSON.stringify(options)}`;

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
   * @param {string} path the list has the same name in answers and snapshots
   * @param {Record<string, string | number | undefined>} query
   * @param {Snapshot} initial
   */
  constructor(client, path, query, initial) {
    const { environment: env, request, events } = client;
    const context = /** @type {any} */ ({ env, request, streamStart: () => client.streamStart });
    super(context, initial, (isActive) => {
      this.#off();
      this.#off = isActive ? events.fold((deliveries) => this.#take(deliveries)) : () => {};
      // Those that nobody follows any more do not pile up, one for each record that was opened.
      const name = partName(path, query);
      const isPart = client.part(name, () => this) === this;
      if (!isActive && isPart) client.endPart(name);
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
      this.page(body);
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
    const continues = this.continues(body);
    const pages = continues ? [body] : await this.#asManyFrom(body, generation);
    if (generation !== this.generation) return;
    pages.forEach((page, n) => this.keep(page, n === 0));
    if (!continues) this.page(pages.at(-1));
    this.loaded(headers.get('Stream-Position'));
    // A page that was on its way is not used any more.
    this.change({ status: 'ready', error: null, isLoadingMore: false });
    this.show();
  }

  /** @override @param {import('../error.js').PorchlightError} error @param {boolean} isTemporary */
  failed(error, isTemporary) {
    const isShown = this.getSnapshot().status === 'ready' && isTemporary;
    this.change({ status: isShown ? 'ready' : 'error', error, isLoadingMore: false });
  }

  /** @override */
  empty() {
    this.#next = null;
    super.empty();
  }

  /** Where the next page begins. @param {{next: string | number | null}} body */
  page({ next }) {
    this.#next = next;
    this.change({ hasMore: next !== null });
  }

  /** @param {Record<string, unknown>} change */
  change(change) {
    this.store.set({ ...this.getSnapshot(), ...change });
  }

  /**
   * Pages with as many entries as before, so that a list somebody has scrolled keeps its length.
   * @param {any} first
   * @param {number} generation
   */
  async #asManyFrom(first, generation) {
    const name = this.#path.slice(1);
    const pages = [first];
    let missing = /** @type {any} */ (this.getSnapshot())[name].length - first[name].length;
    while (missing > 0 && pages.at(-1).next !== null && generation === this.generation) {
      const { body } = await this.#request(pages.at(-1).next);
      pages.push(body);
      missing -= body[name].length;
    }
    return pages;
  }

  /** @param {string | number} [cursor] */
  #request(cursor) {
    return this.context.request('GET', this.#path, { query: { ...this.#query, cursor } });
  }

  /** @param {import('../received.js').Delivery[]} deliveries */
  #take(deliveries) {
    let isTouched = false;
    for (const delivery of deliveries) {
      const { type } = delivery.data;
      if (type === 'stream:reset') this.reset(delivery.data);
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
   * Whether the pages that were loaded before stay behind this first one.
   * @abstract
   * @param {any} _body
   */
  continues(_body) {
    return false;
  }

  /**
   * Keeps a page.
   * @abstract
   * @param {any} _body
   * @param {boolean} _isFirst
   */
  keep(_body, _isFirst) {}
}
