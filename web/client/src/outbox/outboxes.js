// The outbox of the user whose token is in use. When another user's token comes, theirs takes its place: what waits in the first one is sent once its user is back.
import { contextOf } from './context.js';
import { Outbox } from './outbox.js';
import { alone, ownerOf } from './owner.js';

/** @typedef {import('./context.js').OutboxParts} OutboxParts */

export class Outboxes {
  #parts;
  /** @type {import('./owner.js').Owner} */
  #owner;
  /** @type {Outbox} */
  #outbox;
  /** While another outbox is opened. @type {Promise<void> | null} */
  #opening = null;
  #isStopped = false;
  #offs;

  /** @param {OutboxParts} parts @param {{owner: import('./owner.js').Owner, outbox: Outbox}} first */
  constructor(parts, { owner, outbox }) {
    this.#parts = parts;
    this.#owner = owner;
    this.#outbox = outbox;
    this.#offs = [
      // Whoever has signed in sees what they have left behind, before they write.
      parts.connection.subscribe(() => this.#look()),
      // A write that was just added, or that may not be sent with the token of now. The outbox stores it first.
      parts.pending.store.subscribe(() => queueMicrotask(() => this.#look())),
    ];
    this.#look();
  }

  /**
   * @param {import('../client.js').Client} client
   * @param {Pick<OutboxParts, 'pending' | 'options' | 'records' | 'Failure' | 'backoffMs' | 'same'>} own what only the client has
   */
  static async open({ environment: env, request, outbox: writes, tokens, url: base, connection, events }, own) {
    const parts = { env, request, writes, tokens, base, connection, events, userId: own.options.userId ?? '', ...own };
    return new Outboxes(parts, await openOne(parts));
  }

  /**
   * @param {string} id of a pending change
   * @param {boolean} isImmediate
   */
  add(id, isImmediate) {
    const { tokens, writes, Failure } = this.#parts;
    const token = tokens.current;
    // Where the user changes twice, an outbox of somebody else may be the next one.
    return this.#with((outbox) => (this.#owner.isOther(token)
      ? writes.settle(id, null, new Failure('other_user', 'another user has signed in'))
      : outbox.add(id, isImmediate)));
  }

  /** @param {string} id */
  async discard(id) {
    return this.#with((outbox) => outbox.discard(id));
  }

  /** @param {string} id @param {'mine' | 'theirs' | Record<string, any>} how */
  async resolve(id, how) {
    return this.#with((outbox) => outbox.resolve(id, how));
  }

  /** Sends everything that waits for further writes to the same fields. */
  async flush() {
    return this.#with((outbox) => outbox.flush());
  }

  stop() {
    this.#isStopped = true;
    for (const off of this.#offs) off();
    this.#with((outbox) => outbox.stop());
  }

  /**
   * @template T
   * @param {(outbox: Outbox) => T} run
   * @returns {T | Promise<Awaited<T>>}
   */
  #with(run) {
    // By then, yet another one may be opened.
    return this.#opening ? this.#opening.then(() => /** @type {Promise<Awaited<T>>} */ (this.#with(run))) : run(this.#outbox);
  }

  get #isOther() {
    return !this.#isStopped && this.#owner.isOther(this.#parts.tokens.current);
  }

  #look() {
    if (this.#opening || !this.#isOther) return;
    // Not at once: the outbox that is left settles its writes, and who hears of that looks here again.
    this.#opening = Promise.resolve().then(() => this.#change());
  }

  async #change() {
    while (this.#isOther) {
      this.#outbox.leave();
      const { owner, outbox } = await openOne(this.#parts);
      this.#owner = owner;
      this.#outbox = outbox;
    }
    this.#opening = null;
  }
}

/** @param {OutboxParts} parts */
async function openOne(parts) {
  const owner = await ownerOf(parts);
  const context = contextOf(owner.name === null ? { ...parts, env: alone(parts.env) } : parts, owner);
  return { owner, outbox: await Outbox.open(context, `${context.base}|${owner.name}`, parts.connection) };
}
