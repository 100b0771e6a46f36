// What a live list and a live record share: they load, follow the stream while somebody looks, and load again after a gap.
import { backoffMs } from '../backoff.js';
import { PorchlightError } from '../error.js';
import { isCovered } from '../position.js';
import { Store } from '../store.js';

/** After the last one has stopped looking, it is kept this long, because a page may mount it again. */
const KEEP_MS = 1_000;
/** More events during one request: then the list is loaded again. */
const MOST_BUFFERED = 10_000;

/**
 * What a live query needs of the client.
 * @typedef {object} RecordsContext
 * @property {import('../environment.js').Environment} env
 * @property {import('../request.js').SendRequest} request
 * @property {() => string | null} streamStart everything after this position arrives; null before the first connect
 * @property {import('./pending.js').PendingChanges} pending
 */

/**
 * @template Snapshot
 * @abstract
 */
export class Live {
  /** @type {any} */
  #keeping = null;
  /** @type {any} */
  #retrying = null;
  #initial;
  #onIdle;
  /** The start of the stream after which it was loaded again. @type {string | null} */
  #reloadedFor = null;
  /** Raised when it starts, stops or loads again, so that late answers are recognised. */
  generation = 0;
  isActive = false;
  isLoaded = false;
  /** The position of what was loaded. */
  at = /** @type {string | null} */ (null);
  /** Events that arrive while something is loaded. */
  buffer = /** @type {import('../connection.js').Delivery[] | null} */ (null);

  /**
   * @param {RecordsContext} context
   * @param {Snapshot} initial
   * @param {(isActive: boolean) => void} onActive told when it begins and ends to follow the stream
   */
  constructor(context, initial, onActive) {
    this.context = context;
    this.#initial = initial;
    this.#onIdle = onActive;
    /** @type {Store<Snapshot>} */
    this.store = new Store(initial, context.env.reportError);
  }

  /** @type {() => Snapshot} */
  getSnapshot = () => this.store.getSnapshot();

  /** @type {(listener: () => void) => () => void} */
  subscribe = (listener) => {
    const off = this.store.subscribe(listener);
    this.context.env.clearTimeout(this.#keeping);
    this.start();
    return () => {
      off();
      if (this.store.size > 0 || !this.isActive) return;
      this.context.env.clearTimeout(this.#keeping);
      this.#keeping = this.context.env.setTimeout(() => this.store.size === 0 && this.stop(), KEEP_MS);
    };
  };

  /** Begins without waiting for a subscriber. */
  start() {
    if (this.isActive) return;
    this.isActive = true;
    this.#onIdle(true);
    this.reload();
  }

  stop() {
    if (!this.isActive) return;
    this.isActive = false;
    this.isLoaded = false;
    this.generation += 1;
    this.buffer = null;
    this.context.env.clearTimeout(this.#keeping);
    this.context.env.clearTimeout(this.#retrying);
    this.#onIdle(false);
  }

  /** Loads again. What is shown stays until the answer arrives. */
  reload() {
    this.generation += 1;
    this.isLoaded = false;
    this.hold();
    this.#attempt(this.generation, 0);
  }

  /** @param {{reason: string}} reset */
  reset({ reason }) {
    if (reason === 'user') this.empty();
    this.reload();
  }

  /** Forgets what another user has loaded. */
  empty() {
    this.store.set(this.#initial);
  }

  /** After the stream began: what was loaded before may lack events before its start. A start of another log is followed by a reset. */
  streamStarted() {
    const start = this.context.streamStart();
    if (!this.isLoaded || !start || !this.at || start === this.#reloadedFor || isCovered(start, this.at)) return;
    this.#reloadedFor = start;
    this.reload();
  }

  /**
   * @param {number} generation
   * @param {number} failures
   */
  async #attempt(generation, failures) {
    try {
      await this.load(generation);
      if (generation === this.generation) this.streamStarted();
    } catch (error) {
      if (generation !== this.generation) return;
      const isTemporary = !(error instanceof PorchlightError) || error.isTemporary || error.status === 401;
      this.failed(/** @type {PorchlightError} */ (error), isTemporary);
      if (!isTemporary) return;
      const wait = Math.max(backoffMs(failures + 1, this.context.env.random), /** @type {any} */ (error).retryAfterMs ?? 0);
      this.#retrying = this.context.env.setTimeout(() => generation === this.generation && this.#attempt(generation, failures + 1), wait);
    }
  }

  /**
   * A change of a record, while this is active.
   * @param {import('../connection.js').Delivery} delivery
   * @returns {boolean} whether something that is shown may have changed
   */
  take(delivery) {
    if (this.buffer) {
      this.buffer.push(delivery);
      if (this.buffer.length > MOST_BUFFERED) this.reload();
    }
    return this.isLoaded && this.apply(delivery);
  }

  /** Keeps the events that arrive until `drain`. */
  hold() {
    this.buffer = [];
  }

  /**
   * What was loaded is true at this position.
   * @param {string | null} position
   */
  loaded(position) {
    this.at = position;
    this.isLoaded = true;
    this.drain(position);
  }

  /** Applies what arrived during a request whose answer is true at this position. @param {string | null} position */
  drain(position) {
    const waiting = this.buffer ?? [];
    this.buffer = null;
    for (const delivery of waiting) {
      if (!delivery.position || !position || !isCovered(delivery.position, position)) this.apply(delivery);
    }
  }

  /** @abstract @param {number} _generation @returns {Promise<void>} */
  async load(_generation) {}

  /** @abstract @param {import('../connection.js').Delivery} _delivery @returns {boolean} */
  apply(_delivery) {
    return false;
  }

  /** @abstract @param {PorchlightError} _error @param {boolean} _isTemporary */
  failed(_error, _isTemporary) {}

  /** @abstract Shows what has changed since. */
  show() {}
}
