// Of all tabs with the same stream, the one that holds a lock has it. A frozen tab keeps its lock, so it can be stolen.
import { Hub } from './hub.js';

/** @typedef {import('./hub.js').Asked} Asked */
/** @typedef {import('./hub.js').Told} Told */

/**
 * What a tab hears. `leader`: a hub has begun. `gone`: it has ended.
 * @typedef {{from: string, to: string | null} & (Told | {is: 'leader' | 'gone'})} Heard
 */

/**
 * The way from a tab to the hub.
 * @typedef {object} Link
 * @property {(asked: Asked) => void} post
 * @property {() => void} replace the hub does not answer
 * @property {number} patience how often it may fail to answer
 * @property {() => void} close
 */

export class ChannelLink {
  #env;
  #key;
  #hear;
  #tools;
  #failed;
  #channel;
  /** @type {{hub: Hub, id: string} | null} */
  #own = null;
  /** Raised by each request for the lock. */
  #claims = 0;
  /** @type {AbortController | null} */
  #waiting = null;
  /** @type {() => void} */
  #release = () => {};
  #isClosed = false;
  patience = 3;

  /**
   * @param {import('../environment.js').Environment} env
   * @param {string} key
   * @param {(heard: Heard) => void} hear
   * @param {import('./tools.js').Tools} tools
   * @param {() => void} failed there are no locks here: a page may ask for them, and a browser that stores nothing for it refuses them
   */
  constructor(env, key, hear, tools, failed) {
    this.#tools = tools;
    this.#failed = failed;
    this.#env = env;
    this.#key = key;
    this.#hear = hear;
    const Channel = /** @type {typeof BroadcastChannel} */ (env.BroadcastChannel);
    this.#channel = new Channel(key);
    this.#channel.onmessage = ({ data }) => this.#receive(data);
    this.#claim(false);
  }

  /** @param {Asked} asked */
  post(asked) {
    if (!this.#own) return this.#channel.postMessage(asked);
    const { hub } = this.#own;
    queueMicrotask(() => hub === this.#own?.hub && hub.receive(asked));
  }

  replace() {
    this.#claim(true);
  }

  close() {
    this.#isClosed = true;
    this.#resign();
    this.#waiting?.abort();
    this.#release();
    this.#channel.close();
  }

  /** @param {boolean} isStolen */
  #claim(isStolen) {
    this.#claims += 1;
    const claim = this.#claims;
    this.#waiting?.abort();
    this.#waiting = isStolen ? null : new AbortController();
    const options = this.#waiting ? { signal: this.#waiting.signal } : { steal: true };
    const isCurrent = () => claim === this.#claims && !this.#isClosed;
    let isHeld = false;
    this.#env.locks?.request(this.#key, options, () => {
      if (!isCurrent()) return undefined;
      isHeld = true;
      this.#lead();
      return /** @type {Promise<void>} */ (new Promise((release) => {
        this.#release = release;
      }));
    }).catch(() => {
      if (!isCurrent()) return;
      if (!isHeld) return this.#failed();
      // Stolen: this tab was frozen. It waits in line again.
      this.#resign();
      this.#claim(false);
    });
  }

  #lead() {
    const id = this.#env.uuid();
    const hub = new Hub(this.#env, this.#tools, (to, told) => this.#say({ from: id, to, ...told }));
    this.#own = { hub, id };
    this.#say({ from: id, to: null, is: 'leader' });
  }

  #resign() {
    if (!this.#own) return;
    const { hub, id } = this.#own;
    this.#own = null;
    hub.stop();
    this.#say({ from: id, to: null, is: 'gone' });
  }

  /** @param {Heard} said */
  #say(said) {
    this.#channel.postMessage(said);
    if (!this.#isClosed) this.#hear(said);
  }

  /** @param {Asked | Heard} message */
  #receive(message) {
    if (!('from' in message)) return this.#own?.hub.receive(message);
    // Who has the lock is decided by its loss, because this may have been said before this tab got it.
    if (message.is !== 'leader' || !this.#own) this.#hear(message);
  }
}
