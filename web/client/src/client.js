// The client: one stream, what follows it, and what the user writes.
import { backoffMs } from './backoff.js';
import { Connection } from './connection.js';
import { SavedCursor } from './cursor.js';
import { EventHub } from './event_hub.js';
import { PorchlightError } from './error.js';
import { PendingChanges } from './records/pending.js';
import { Records } from './records/records.js';
import { createRequest } from './request.js';
import { same } from './same.js';
import { Store } from './store.js';
import { TokenSource, userClaimsOf } from './token.js';
import { Writes } from './writes.js';

/** @typedef {import('./records/record.js').StoredRecord} StoredRecord */
/** @typedef {import('./connection_status.js').ConnectionState} ConnectionState */
/** @typedef {import('./writes.js').WriteHandle} WriteHandle */
/** @typedef {import('./writes.js').WriteOptions} WriteOptions */

/**
 * @template {string} Type
 * @typedef {import('./events.d.ts').EventOf<Type>} EventOf
 */

/**
 * @typedef {object} ClientOptions
 * @property {string} [url] of the service; without it, where the page comes from
 * @property {string | import('./token.js').TokenCallback} [token] a token, or better a function that returns a fresh one. Without it, a cookie
 * identifies the user.
 * @property {boolean} [isShared] whether all tabs of the user have one stream; in pages they do
 * @property {string} [userId] tells the users of one browser apart, where the token cannot be read or has a configured claim for the user
 * @property {string} [stream] the path of the stream; `/stream` is everything that the user may see
 * @property {string[]} [types] only events of these types
 * @property {string[]} [records] only events of these records, like `escrows/e-1`
 * @property {string | null} [since] where to begin; without it, where the page before has ended, or now
 * @property {import('./connection_status.js').TransportName[]} [transports] in the order in which they are tried
 * @property {number} [batchMs] events within this time are delivered together
 * @property {number} [mergeMs] writes to the same fields within this time become one
 * @property {boolean} [warnsBeforeUnload] whether leaving the page asks first while writes wait
 * @property {(entry: import('./connection_status.js').Diagnostic) => void} [onDiagnostic] breadcrumbs
 * @property {import('./environment.js').Environment} [environment]
 */

export class Client {
  #options;
  #link;
  #cursor;
  #pending;
  #records;
  /** @type {Map<string, any>} */
  #parts = new Map();
  /** @type {Map<string, number>} */
  #fences = new Map();
  #isClosed = false;
  /** The streams of this user: another token is for all of them. @type {Set<{retry(): void, renew(): void}>} */
  streams = new Set();

  /**
   * @param {import('./environment.js').Environment} env
   * @param {ClientOptions} options
   */
  constructor(env, options) {
    const { url = globalThis.location?.origin ?? '', token, stream = '/stream', transports = ['fetch', 'eventsource', 'poll'] } = options;
    const base = url.replace(/\/$/, '');
    /** What the client takes from the world around it. */
    this.environment = env;
    /** The name of this tab, for locks and presence. */
    this.session = `tab-${env.uuid()}`;
    this.#options = options;
    /** Of the service, without a slash at its end. */
    this.url = base;
    /** For other streams of this user. */
    this.tokens = new TokenSource(env, token);
    /** @type {import('./request.js').SendRequest} Sends a request with the user's token. */
    this.request = createRequest(env, base, this.tokens);
    const user = [options.userId, typeof token === 'string' && userClaimsOf(token)];
    this.#cursor = new SavedCursor(env, JSON.stringify([base, user, stream, options.types, options.records]));
    this.events = new EventHub(env, options.batchMs);
    this.#link = new Connection(env, {
      base,
      path: stream,
      query: { types: options.types?.join(','), records: options.records?.join(',') },
      cursor: options.since === undefined ? this.#cursor.read() : options.since,
      transports,
      isShared: options.isShared ?? 'document' in globalThis,
      userId: options.userId,
      deliver: (deliveries) => this.events.take(deliveries),
      onDiagnostic: options.onDiagnostic,
    }, this.tokens);
    this.streams.add(this.#link);
    /** What a badge shows. @type {Store<ConnectionState>} */
    this.connection = this.#link.state;
    this.#pending = new PendingChanges(env.reportError);
    this.#records = new Records({ env, request: this.request, streamStart: () => this.#link.start, pending: this.#pending });
    /** The writes on their way. */
    this.outbox = new Writes(env, this.#pending, (module, id) => this.#records.find(module, id), () => this.#openOutbox(), options.mergeMs);
    this.events.fold((deliveries) => this.#fold(deliveries));
    this.#pending.store.subscribe(() => this.#link.countWrites(this.#pending.store.getSnapshot().length));
  }

  // ---- the connection

  /** Connects; `connect` has done so already. */
  open() {
    this.#link.open();
    // What an earlier page has left waiting is sent, even if this one never writes.
    if (this.environment.indexedDB) this.outbox.open().catch(() => {});
  }

  /** Tries to connect now, also after the service has refused the user. */
  retry() {
    for (const stream of this.streams) stream.retry();
  }

  /**
   * Uses another token of the same user from now on.
   * @param {string | import('./token.js').TokenCallback} token
   */
  setToken(token) {
    this.tokens.replace(token);
    for (const stream of this.streams) stream.renew();
  }

  /** Ends everything. Writes that wait are sent by the next page. */
  async close() {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const part of this.#parts.values()) part.close?.();
    this.#link.stop();
    this.events.stop();
    this.#cursor.stop();
    this.#records.stop();
    await this.outbox.stop();
  }

  // ---- parts

  /**
   * A part of this client, made when it is first used and closed with the client.
   * @template T
   * @param {string} name
   * @param {() => T} make
   * @returns {T}
   */
  part(name, make) {
    if (!this.#parts.has(name)) this.#parts.set(name, make());
    return this.#parts.get(name);
  }

  /** Whether this part is in use. @param {string} name */
  hasPart(name) {
    return this.#parts.has(name);
  }

  /** Closes a part; the next one who needs it makes another. @param {string} name */
  endPart(name) {
    this.#parts.get(name)?.close?.();
    this.#parts.delete(name);
  }

  /**
   * Writes of this record carry the fence from now on; null ends that.
   * @param {string} module
   * @param {string} id
   * @param {number | null} fence
   */
  setFence(module, id, fence) {
    if (fence === null) this.#fences.delete(`${module}/${id}`);
    else this.#fences.set(`${module}/${id}`, fence);
  }

  /** Everything after this position arrives; null before the first connect. */
  get streamStart() {
    return this.#link.start;
  }

  // ---- events

  /**
   * Calls the handler with each event of a type, like `escrow:updated`, `escrow:*` or `*`.
   * @template {string} Type
   * @param {Type | Type[]} types
   * @param {(event: EventOf<Type>, meta: import('./event_hub.js').EventMeta) => void} handler
   * @returns {() => void} ends it
   */
  on(types, handler) {
    return this.events.on(types, handler);
  }

  /**
   * @template {string} Type
   * @param {Type | Type[]} types
   * @param {{signal?: AbortSignal, timeoutMs?: number}} [options]
   * @returns {Promise<EventOf<Type>>}
   */
  once(types, options) {
    return this.events.once(types, options);
  }

  /**
   * `for await (const event of client.stream('escrow:*'))`
   * @template {string} [Type='*']
   * @param {Type | Type[]} [types]
   * @param {{signal?: AbortSignal}} [options]
   * @returns {AsyncGenerator<EventOf<Type>, void, void>}
   */
  stream(types = /** @type {Type} */ ('*'), options) {
    return this.events.iterate(types, options);
  }

  /**
   * Events may be missing, or the user's rights have changed (`rights`), or another user has signed in (`user`): what was loaded must be fetched again.
   * Live lists do so themselves.
   * @param {(reset: EventOf<'stream:reset'>) => void} handler
   */
  onReset(handler) {
    return this.events.on('stream:reset', handler);
  }

  // ---- records

  /**
   * A live list: `subscribe` and `getSnapshot`.
   * @param {string} module
   * @param {{filter?: import('./records/record.js').Filter, sort?: string, limit?: number}} [options]
   */
  records(module, options) {
    return this.#records.list(module, options);
  }

  /**
   * A live record.
   * @param {string} module
   * @param {string} id
   */
  record(module, id) {
    return this.#records.one(module, id);
  }

  /** The modules and their fields. */
  async catalogue() {
    return (await import('./records/catalogue.js')).catalogueOf(this.request);
  }

  /**
   * Creates a record with an id of its own, which is shown at once.
   * @param {string} module
   * @param {Record<string, any>} fields
   * @param {WriteOptions} [options]
   * @returns {WriteHandle & {recordId: string}}
   */
  create(module, { id = this.environment.uuid(), ...fields }, options) {
    return { ...this.#write('create', module, id, fields, options), recordId: id };
  }

  /**
   * @param {string} module
   * @param {string} id
   * @param {Record<string, any>} changes
   * @param {WriteOptions} [options]
   */
  update(module, id, changes, options) {
    return this.#write('update', module, id, changes, options);
  }

  /**
   * @param {string} module
   * @param {string} id
   * @param {WriteOptions} [options]
   */
  archive(module, id, options) {
    return this.#write('archive', module, id, {}, options);
  }

  /**
   * @param {string} module
   * @param {string} id
   * @param {WriteOptions} [options]
   */
  restore(module, id, options) {
    return this.#write('restore', module, id, {}, options);
  }

  /**
   * @param {string} module
   * @param {string} id
   * @param {WriteOptions} [options]
   */
  delete(module, id, options) {
    return this.#write('delete', module, id, {}, options);
  }

  // ---- inside

  /**
   * @param {import('./records/pending.js').WriteKind} kind
   * @param {string} module
   * @param {string} id
   * @param {Record<string, any>} changes
   * @param {WriteOptions} [options]
   */
  #write(kind, module, id, changes, options) {
    return this.outbox.add(kind, module, id, changes, { fence: this.#fences.get(`${module}/${id}`), ...options });
  }

  /** @param {import('./connection.js').Delivery[]} deliveries */
  #fold(deliveries) {
    this.#records.take(deliveries);
    const last = deliveries.findLast(({ position }) => position)?.position;
    if (last) this.#cursor.set(last);
  }

  async #openOutbox() {
    const { Outboxes } = await import('./outbox/outboxes.js');
    if (this.#isClosed) throw new PorchlightError('closed', 'the client was closed');
    return Outboxes.open(this, { pending: this.#pending, options: this.#options, records: this.#records, Failure: PorchlightError, backoffMs, same });
  }
}
