// Which transport is used: the first one that something in between does not hold back.
import { openFetchStream } from './fetch_stream.js';

/** With another transport than the first, the first is tried again after this time. */
export const UPGRADE_MS = 300_000;

/** Most pages never need the others, so they are loaded when they are needed. */
const LOADERS = {
  fetch: () => openFetchStream,
  eventsource: async () => (await import('./event_source.js')).openEventSource,
  poll: async () => (await import('./long_poll.js')).openLongPoll,
};

/** @typedef {import('../connection_status.js').TransportName} TransportName */

/** @param {TransportName} name */
export const loadTransport = (name) => LOADERS[name]();

export class TransportChoice {
  #names;
  #tell;
  #index = 0;

  /**
   * @param {TransportName[]} names in the order in which they are tried
   * @param {(name: TransportName) => void} tell that another one is used from now on
   */
  constructor(names, tell) {
    this.#names = names;
    this.#tell = tell;
  }

  get name() {
    return this.#names[this.#index];
  }

  get isBest() {
    return this.#index === 0;
  }

  /** Whether there is another transport to change to. */
  get hasOthers() {
    return this.#names.length > 1;
  }

  load() {
    return loadTransport(this.name);
  }

  next() {
    this.#index = (this.#index + 1) % this.#names.length;
    this.#tell(this.name);
  }

  /** Tries the first one again. */
  begin() {
    this.#index = 0;
  }
}
