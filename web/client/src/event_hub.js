// Who wants which events, and when they get them.
import { PorchlightError } from './error.js';

/** Deliveries that arrive within this time after many others are delivered together. */
const BATCH_MS = 100;
/** After few, the next one waits no longer than a frame. */
const FRAME_MS = 16;
/** After more, so long for each: from 250 events a second on, batches grow to their limit. */
const PER_EVENT_MS = 4;
/** An async iterator that is not read holds so many events. */
const MOST_WAITING = 10_000;

/** Most pages have handlers only. */
const reader = () => import('./event_reading.js');

/** @typedef {import('./connection.js').Delivery} Delivery */
/** @typedef {{position: string | null}} EventMeta the position is null for what is not in the log */
/** @typedef {(event: any, meta: EventMeta) => void} Handler */
/** @typedef {import('./events.d.ts').EventOf<'*'>} AnyEvent */
/**
 * @template {string} Type
 * @typedef {import('./events.d.ts').EventOf<Type>} EventOf
 */

/**
 * Whether a pattern like `escrow:*`, `*` or `listing:sold` has this type.
 * @param {string} pattern
 * @param {string} type
 */
export function matches(pattern, type) {
  return pattern.endsWith('*') ? type.startsWith(pattern.slice(0, -1)) : pattern === type;
}

export class EventHub {
  #env;
  #batchMs;
  /** @type {Set<{pattern: string, handler: Handler}>} */
  #subscriptions = new Set();
  /** Handlers by type, made when a type is first seen. @type {Map<string, Handler[]>} */
  #byType = new Map();
  /** @type {Set<(deliveries: Delivery[]) => void>} */
  #folds = new Set();
  /** @type {Delivery[]} */
  #waiting = [];
  /** @type {any} */
  #timer = null;
  #deliveredAt = -Infinity;
  #gapMs = 0;

  /**
   * @param {import('./environment.js').Environment} env
   * @param {number} [batchMs]
   */
  constructor(env, batchMs = BATCH_MS) {
    this.#env = env;
    this.#batchMs = batchMs;
  }

  /**
   * The first delivery after a pause is passed on at once, the following ones together.
   * @param {Delivery[]} deliveries
   */
  take(deliveries) {
    for (const delivery of deliveries) this.#waiting.push(delivery);
    if (this.#timer !== null) return;
    // Also where the clock was set back: nothing waits for longer than the gap.
    const since = Math.abs(this.#env.now() - this.#deliveredAt);
    this.#timer = this.#env.setTimeout(() => this.flush(), since >= this.#gapMs ? 0 : this.#gapMs - since);
  }

  /** Passes on what waits. */
  flush() {
    this.#env.clearTimeout(this.#timer);
    this.#timer = null;
    this.#deliveredAt = this.#env.now();
    const batch = this.#waiting;
    if (!batch.length) return;
    this.#gapMs = Math.min(this.#batchMs, Math.max(FRAME_MS, batch.length * PER_EVENT_MS));
    this.#waiting = [];
    for (const fold of [...this.#folds]) this.#call(() => fold(batch));
    if (!this.#subscriptions.size) return;
    for (const { data, position } of batch) {
      for (const handler of this.#handlersOf(data.type)) this.#call(() => handler(data, { position }));
    }
  }

  /** Forgets what waits. */
  stop() {
    this.#env.clearTimeout(this.#timer);
    this.#timer = null;
    this.#waiting = [];
  }

  /**
   * Receives each batch as a whole, before the handlers.
   * @param {(deliveries: Delivery[]) => void} fold
   * @returns {() => void}
   */
  fold(fold) {
    this.#folds.add(fold);
    return () => this.#folds.delete(fold);
  }

  /**
   * @template {string} Type
   * @param {Type | Type[]} patterns
   * @param {(event: EventOf<Type>, meta: EventMeta) => void} handler
   * @returns {() => void}
   */
  on(patterns, handler) {
    const added = [patterns].flat().map((pattern) => ({ pattern, handler }));
    for (const one of added) this.#subscriptions.add(one);
    this.#byType.clear();
    return () => {
      for (const one of added) this.#subscriptions.delete(one);
      this.#byType.clear();
    };
  }

  /**
   * The next event of these types.
   * @template {string} Type
   * @param {Type | Type[]} patterns
   * @param {{signal?: AbortSignal, timeoutMs?: number}} [options]
   * @returns {Promise<EventOf<Type>>}
   */
  async once(patterns, options = {}) {
    const inbox = this.#collect(patterns, options.signal);
    try {
      return await (await reader()).first(inbox, options, this.#env, PorchlightError);
    } finally {
      inbox.close();
    }
  }

  /**
   * Events as they come, until the loop is left or the signal aborts.
   * @template {string} Type
   * @param {Type | Type[]} patterns
   * @param {{signal?: AbortSignal}} [options]
   * @returns {AsyncGenerator<EventOf<Type>, void, void>}
   */
  iterate(patterns, { signal } = {}) {
    // It listens from now on, not from the first `next`.
    const inbox = this.#collect(patterns, signal);
    async function* events() {
      try {
        yield* (await reader()).read(inbox, MOST_WAITING, PorchlightError);
      } finally {
        inbox.close();
      }
    }
    const iterator = events();
    // A generator that never ran does not reach its `finally`.
    const end = iterator.return.bind(iterator);
    iterator.return = (value) => {
      inbox.close();
      return end(value);
    };
    return iterator;
  }

  /**
   * @param {string | string[]} patterns
   * @param {AbortSignal} [signal]
   */
  #collect(patterns, signal) {
    /** @type {import('./event_reading.js').Inbox} */
    const inbox = {
      events: [],
      isOver: false,
      wake() {},
      close() {
        off();
        signal?.removeEventListener('abort', inbox.close);
        inbox.isOver = true;
        inbox.wake();
      },
    };
    const off = this.on(patterns, (event) => {
      if (inbox.events.push(event) > MOST_WAITING) off();
      inbox.wake();
    });
    signal?.addEventListener('abort', inbox.close);
    if (signal?.aborted) inbox.close();
    return inbox;
  }

  /** @param {string} type */
  #handlersOf(type) {
    let handlers = this.#byType.get(type);
    if (!handlers) {
      handlers = [...this.#subscriptions].filter(({ pattern }) => matches(pattern, type)).map(({ handler }) => handler);
      this.#byType.set(type, handlers);
    }
    return handlers;
  }

  /** @param {() => void} run */
  #call(run) {
    try {
      run();
    } catch (error) {
      this.#env.reportError(error);
    }
  }
}
