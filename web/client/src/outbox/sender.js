// Of all tabs with the same outbox, one sends. A frozen tab keeps its lock, so the others listen for signs of life and steal it.

const ALIVE_MS = 2_000;
const DEAD_MS = 6_000;

/**
 * @typedef {object} SenderHandlers
 * @property {() => void} began this tab sends from now on
 * @property {(write: any, isImmediate: boolean) => void} changed another tab has added or changed a write
 * @property {() => void} flush another tab wants everything sent that waits for further writes
 * @property {(write: any, record: any, problem: any) => void} settled another tab has sent a write
 * @property {() => boolean} isBusy whether something waits
 */

export class Sender {
  #env;
  #name;
  #on;
  /** @type {BroadcastChannel | null} */
  #channel = null;
  /** @type {(() => void) | null} */
  #release = null;
  /** @type {any} */
  #timer = null;
  #heardAt = 0;
  #isStopped = false;
  isSender = false;

  /**
   * @param {import('../environment.js').Environment} env
   * @param {string} name
   * @param {SenderHandlers} on
   */
  constructor(env, name, on) {
    this.#env = env;
    this.#name = `porchlight:outbox:${name}`;
    this.#on = on;
  }

  /** Hears the other tabs from now on, before `start`. */
  listen() {
    const { locks, BroadcastChannel } = this.#env;
    if (!locks || !BroadcastChannel) return;
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => this.#hear(data);
  }

  /** Sends from now on, or once no other tab does. */
  start() {
    if (!this.#channel) return this.#sendAlone();
    this.#heardAt = this.#env.now();
    this.#claim(false);
    this.#tick();
  }

  /**
   * @param {'added' | 'changed' | 'flush' | 'settled' | 'alive'} what
   * @param {any} [content]
   * @param {boolean} [isImmediate]
   */
  tell(what, content, isImmediate) {
    this.#channel?.postMessage({ what, content, isImmediate });
  }

  stop() {
    this.#isStopped = true;
    this.isSender = false;
    this.#env.clearTimeout(this.#timer);
    this.#channel?.close();
    this.#channel = null;
    this.#release?.();
  }

  /** @param {boolean} steal */
  async #claim(steal) {
    let isHeld = false;
    try {
      await this.#env.locks?.request(this.#name, steal ? { steal } : {}, () => {
        isHeld = true;
        return this.#hold();
      });
    } catch {
      this.isSender = false;
      if (this.#isStopped) return;
      // Stolen: this tab was frozen. It waits in line again.
      if (isHeld) this.#claim(false);
      else this.#sendAlone();
    }
  }

  #hold() {
    if (this.#isStopped) return undefined;
    this.isSender = true;
    this.#on.began();
    return /** @type {Promise<void>} */ (new Promise((release) => {
      this.#release = release;
    }));
  }

  /** Without locks, nobody knows which tab sends. A write that several tabs send has the same key, and counts once. */
  #sendAlone() {
    this.#env.clearTimeout(this.#timer);
    this.#channel?.close();
    this.#channel = null;
    this.isSender = true;
    this.#on.began();
  }

  /** @param {{what: string, content: any, isImmediate?: boolean}} message */
  #hear({ what, content, isImmediate = false }) {
    this.#heardAt = this.#env.now();
    if (what === 'added' || what === 'changed') this.#on.changed(content, isImmediate);
    if (what === 'flush') this.#on.flush();
    if (what === 'settled') this.#on.settled(content, content.record, content.problem);
  }

  #tick() {
    this.#timer = this.#env.setTimeout(() => this.#tick(), ALIVE_MS);
    if (!this.#on.isBusy()) this.#heardAt = this.#env.now();
    else if (this.isSender) this.tell('alive');
    else if (this.#env.now() - this.#heardAt > DEAD_MS) {
      this.#heardAt = this.#env.now();
      this.#claim(true);
    }
  }
}
