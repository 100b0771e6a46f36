// The state machine of the stream: it opens a transport, notices when it is broken, and opens the next one.
import { backoffMs } from './backoff.js';
import { ConnectionStatus } from './connection_status.js';
import { Evictions } from './evictions.js';
import { LineWatch } from './line_watch.js';
import { listenToPage } from './page_events.js';
import { Received } from './received.js';
import { refusalOf } from './refusal.js';
import { addressOf } from './request.js';
import { Rights } from './rights.js';
import { tools } from './tabs/tools.js';
import { Timers } from './timers.js';
import { endOf, userClaimsOf } from './token.js';
import { TransportChoice, UPGRADE_MS } from './transport/choice.js';

const MOST_RETRY_MS = 600_000;
/** After so many failures in a row the state is `error`. */
const MOST_FAILURES = 5;
/** Without a network: `online` comes sooner, if it comes. */
const OFFLINE_RETRY_MS = 30_000;

/** @typedef {import('./connection_status.js').ConnectionState} ConnectionState */

/** @typedef {import('./received.js').Delivery} Delivery */

/**
 * @typedef {object} ConnectionOptions
 * @property {string} base
 * @property {string} path
 * @property {Record<string, string | undefined>} query
 * @property {string | null} cursor
 * @property {import('./connection_status.js').TransportName[]} transports
 * @property {(deliveries: Delivery[]) => void} deliver
 * @property {boolean} [hasPositions] whether ids are positions of the log; they are
 * @property {boolean} [isShared] whether the tabs of a browser have one stream
 * @property {string} [userId] whose stream it is, where the token does not say
 * @property {(entry: import('./connection_status.js').Diagnostic) => void} [onDiagnostic]
 * @property {(text: string) => any} [decode] reads the data of a message; null if it cannot be read
 */

export class Connection {
  #env;
  #options;
  #tokens;
  #timers;
  #status;
  /** @type {import('./renewal.js').Renewal | null} */
  #renewal = null;
  /** @type {import('./tabs/shared_stream.js').SharedStream | null} */
  #shared = null;
  #received;
  #transports;
  #watch;
  /** @type {(() => void)[]} */
  #wakers = [];
  /** @type {(() => void) | null} */
  #close = null;
  /** Raised by each attempt and each end, so that answers of earlier attempts are recognised. */
  #attempt = 0;
  #isStopped = true;
  #wasConnected = false;
  #failures = 0;
  #evictions = new Evictions();
  #retryMs = 0;
  #hasTriedFreshToken = false;
  /** @type {{reason: string, retryMs: number} | null} */
  #closing = null;
  /** The id of the open stream. @type {string | null} */
  #stream = null;
  /** What the open stream was opened or renewed with. @type {string | null} */
  #token = null;
  #rights = new Rights();
  /** Nothing is tried any more, until `retry` or another token. */
  hasEnded = false;

  /**
   * @param {import('./environment.js').Environment} env
   * @param {ConnectionOptions} options
   * @param {import('./token.js').TokenSource} tokens
   */
  constructor(env, options, tokens) {
    this.#env = env;
    this.#options = options;
    this.#tokens = tokens;
    this.#timers = new Timers(env);
    this.#status = new ConnectionStatus(env, this.#timers, { ...options, transport: options.transports[0] });
    /** @type {import('./store.js').Store<ConnectionState>} */
    this.state = this.#status.store;
    this.#transports = new TransportChoice(options.transports, (transport) => this.#status.tell('warning', 'next transport', { transport }));
    this.#watch = new LineWatch(env, this.#timers, this.#transports, (reason) => this.#fail(reason));
    this.#received = new Received(options.cursor, {
      ...options,
      control: (name, data) => this.#control(name, data),
      tell: (...told) => this.#status.tell(...told),
    });
  }

  // ---- from outside

  open() {
    if (!this.#isStopped) return;
    this.#isStopped = false;
    this.#wakers = listenToPage(this.#env, (why) => this.#wake(why), () => this.#wentOffline());
    this.#status.expectConnection();
    this.#connect('start');
  }

  stop(reason = 'closed') {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#end('offline', reason);
    this.#timers.clearAll();
    this.#shared?.stop();
    this.#shared = null;
    for (const off of this.#wakers) off();
  }

  /** Tries again at once, also after a refusal. */
  retry() {
    if (this.#isStopped || this.#stream) return;
    this.#failures = 0;
    this.#hasTriedFreshToken = false;
    this.#connect('retry');
  }

  /** Another token is available. */
  renew() {
    if (this.#stream) this.#renew(null);
    else this.retry();
  }

  /** @param {number} pendingWrites */
  countWrites(pendingWrites) {
    if (pendingWrites !== this.#status.now.pendingWrites) this.#status.show({ pendingWrites });
  }

  /** The position after which the stream continues. */
  get cursor() {
    return this.#received.cursor;
  }

  /** Everything after this position was or will be delivered; null before the first answer. */
  get start() {
    return this.#received.start;
  }

  // ---- an attempt

  /** @param {string} why */
  async #connect(why) {
    this.#drop();
    this.hasEnded = false;
    this.#timers.clear('retry');
    const attempt = this.#attempt;
    // What lasts is shown until an attempt succeeds.
    const isSteady = this.#failures >= MOST_FAILURES || !this.#env.isOnline();
    const trying = { state: this.#tryingState, reason: why };
    this.#status.show({ nextRetryAt: null, transport: this.#transports.name, ...(!isSteady && trying) });
    try {
      const token = await this.#tokens.get({ isFresh: true });
      if (attempt !== this.#attempt) return;
      if (!token && this.#tokens.isNeeded) return this.#end('needs-auth', 'no-token');
      const open = (this.#options.isShared && await this.#share(token)) || await this.#transports.load();
      if (attempt === this.#attempt) this.#openTransport(open, token);
    } catch (error) {
      if (attempt === this.#attempt) this.#fail('token', { error: String(error) });
    }
  }

  /**
   * The transport by which the tabs of this user have one stream, if they can.
   * @param {string | null} token
   */
  async #share(token) {
    const { SharedStream } = await import('./tabs/shared_stream.js');
    if (this.#isStopped) return null;
    this.#shared ??= new SharedStream(this.#env, tools);
    return this.#shared.transportOf({ ...this.#options, token }, this.#transports.name, () => this.cursor);
  }

  /** @returns {ConnectionState['state']} */
  get #tryingState() {
    return this.#wasConnected ? 'reconnecting' : 'connecting';
  }

  /**
   * @param {import('./transport/fetch_stream.js').Transport} open
   * @param {string | null} token
   */
  #openTransport(open, token) {
    const attempt = this.#attempt;
    /**
     * @template {any[]} Given
     * @param {(...given: Given) => void} run
     * @returns {(...given: Given) => void}
     */
    const ifCurrent = (run) => (...given) => {
      if (attempt === this.#attempt) run(...given);
    };
    const { base, path, query } = this.#options;
    /** @type {import('./transport/fetch_stream.js').TransportRequest} */
    const request = { addressOf: (to, more) => addressOf(base, to, more), path, query, token, cursor: this.cursor };
    this.#status.tell('debug', 'opening', { transport: this.#transports.name, since: this.cursor });
    this.#closing = null;
    this.#watch.begin();
    this.#close = open(this.#env, request, {
      opened: ifCurrent(() => this.#watch.opened()),
      alive: ifCurrent(() => this.#watch.alive()),
      retry: ifCurrent((ms) => {
        this.#retryMs = Math.min(ms, MOST_RETRY_MS);
      }),
      messages: ifCurrent((messages) => this.#take(messages, token)),
      ended: ifCurrent((ending) => this.#ended(ending)),
    });
  }

  // ---- messages

  /**
   * @param {import('./sse_parser.js').Message[]} messages
   * @param {string | null} token
   */
  #take(messages, token) {
    const attempt = this.#attempt;
    const deliveries = this.#received.take(messages, () => attempt === this.#attempt, (ready) => {
      if (!this.#stream) this.#ready(ready, token);
      // Another tab may have opened another stream.
      this.#stream = ready.stream ?? this.#stream;
      if (ready.position) this.#compareRights(token, ready.scopes);
    });
    this.#status.moved(this.cursor);
    if (deliveries.length) this.#options.deliver(deliveries);
  }

  /**
   * @param {string} name
   * @param {any} data
   */
  #control(name, data) {
    if (name === 'stream:closing') this.#closing = data;
    if (data.reason === 'changed') this.#rights.change();
    if (name === 'stream:expiring') this.#renew(null);
    if (name === 'stream:renewed') this.#renewal?.extended(data.inSeconds * 1_000);
    if (name === 'stream:reset') this.#status.tell('warning', 'reset', { reason: data.reason, position: data.position });
  }

  /**
   * @param {any} data
   * @param {string | null} token
   */
  #ready({ position = null, stream = 'unnamed', heartbeatSeconds }, token) {
    this.#stream = stream;
    this.#token = token;
    this.#received.begin(position);
    this.#hasTriedFreshToken = false;
    this.#wasConnected = true;
    this.#failures = this.#evictions.begin(this.#env.now());
    this.#watch.expect(heartbeatSeconds);
    this.#status.moved(this.cursor);
    this.#status.showConnected({ transport: this.#transports.name, failures: this.#failures });
    this.#status.tell('info', 'connected', { transport: this.#transports.name, position });
    if (!this.#transports.isBest) this.#timers.set('upgrade', UPGRADE_MS, () => {
      this.#transports.begin();
      this.#connect('upgrade');
    });
    if (token && endOf(token) < Infinity) this.#renew(token);
  }

  /** @param {string | null} token @param {any} scopes */
  #compareRights(token, scopes) {
    const reason = this.#rights.differ(token && userClaimsOf(token), scopes);
    const type = 'stream:reset';
    if (reason) this.#take([{ type, data: JSON.stringify({ type, reason, position: this.cursor }), id: null }], token);
  }

  /**
   * Renews the token of the open stream, or plans to do so before this one ends.
   * @param {string | null} token
   */
  async #renew(token) {
    const attempt = this.#attempt;
    const { Renewal } = await import('./renewal.js');
    this.#renewal ??= new Renewal(this.#env, this.#options.base, this.#tokens, this.#timers, {
      stream: () => this.#stream,
      turn: (run) => (this.#shared?.isAttached ? this.#shared.turn(run) : run(this.#token)),
      renewed: (how, fresh) => this.#renewed(how, fresh),
    });
    if (attempt !== this.#attempt) return;
    if (token) this.#renewal.plan(token);
    else this.#renewal.begin();
  }

  /**
   * @param {'extended' | 'failed'} how
   * @param {string} token
   */
  #renewed(how, token) {
    this.#status.tell('info', 'token renewed', { how });
    if (how === 'failed') return void this.#connect('token-renewed');
    this.#token = token;
    this.#shared?.renewed(token);
  }

  // ---- the end of an attempt

  /** @param {import('./transport/fetch_stream.js').Ending} ending */
  #ended({ reason, response }) {
    if (response) return void this.#answered(response);
    if (reason === 'unsupported' && this.#transports.hasOthers) {
      this.#transports.next();
      return void this.#connect('unsupported');
    }
    const closing = this.#closing?.reason;
    if (closing === 'expired' || closing === 'revoked') this.#tokens.reject();
    this.#fail(closing ?? reason);
  }

  /** @param {Response} response */
  async #answered(response) {
    const attempt = this.#attempt;
    const { state, reason, code, leastMs } = await refusalOf(response);
    if (attempt !== this.#attempt) return;
    if (state === 'needs-auth') this.#refused(reason);
    else if (state) this.#end(state, reason);
    else this.#fail(reason, { code }, leastMs);
  }

  /** @param {string} code */
  #refused(code) {
    const mayTry = this.#tokens.isCallback && !this.#hasTriedFreshToken;
    this.#hasTriedFreshToken = true;
    this.#tokens.reject();
    if (mayTry) this.#connect(code);
    else this.#end('needs-auth', code);
  }

  /**
   * @param {string} reason
   * @param {Record<string, unknown>} [more]
   * @param {number} [leastMs]
   */
  #fail(reason, more = {}, leastMs = 0) {
    const askedMs = Math.max(leastMs, this.#closing?.retryMs ?? this.#retryMs);
    this.#evictions.end(reason, this.#env.now());
    this.#drop();
    this.#failures += 1;
    const isOffline = !this.#env.isOnline();
    const waitMs = isOffline ? OFFLINE_RETRY_MS : Math.max(askedMs, backoffMs(this.#failures, this.#env.random));
    this.#status.tell('warning', 'disconnected', { reason, failures: this.#failures, waitMs, ...more });
    if (isOffline) this.#wait('offline', 'offline', waitMs);
    else this.#wait(this.#failures >= MOST_FAILURES ? 'error' : this.#tryingState, reason, waitMs);
  }

  /**
   * @param {ConnectionState['state']} state
   * @param {string} reason
   * @param {number} waitMs
   */
  #wait(state, reason, waitMs) {
    this.#timers.set('retry', waitMs, () => this.#connect(reason));
    this.#status.showDisconnected({ state, reason, nextRetryAt: this.#env.now() + waitMs, failures: this.#failures });
  }

  /**
   * Ends for good, until `retry`.
   * @param {ConnectionState['state']} state
   * @param {string} reason
   */
  #end(state, reason) {
    this.#drop();
    this.hasEnded = true;
    this.#timers.clear('retry');
    this.#status.tell(state === 'offline' ? 'info' : 'error', 'stopped', { state, reason });
    this.#status.showDisconnected({ state, reason, nextRetryAt: null });
  }

  #drop() {
    this.#close?.();
    this.#close = null;
    this.#stream = null;
    this.#attempt += 1;
    this.#timers.clear('answer', 'silence', 'upgrade', 'renew');
  }

  // ---- the page

  /** @param {string} why */
  #wake(why) {
    // Timers stand still while a device sleeps.
    if (this.#stream && this.#watch.isSilent) this.#fail('silence');
    const isWaiting = this.#status.now.nextRetryAt !== null;
    if (!isWaiting) return;
    if (why === 'online') this.#transports.begin();
    this.#connect(why);
  }

  #wentOffline() {
    const isOver = this.#status.now.nextRetryAt === null && !this.#close;
    if (isOver) return;
    this.#drop();
    this.#status.tell('warning', 'disconnected', { reason: 'offline' });
    this.#wait('offline', 'offline', OFFLINE_RETRY_MS);
  }
}
