// One stream for several tabs. It answers what tabs ask and has no timers of its own, because a page in the background has slow ones.
import { KeptMessages } from './kept_messages.js';
import { WaitingTabs } from './waiting_tabs.js';

/** A tab that says nothing for so long is gone. Tabs in the background speak once a minute. */
const GONE_MS = 180_000;
/** A stream that is silent for so many heartbeats is opened again when a tab asks for it. */
const SILENT_HEARTBEATS = 1.25;
/** Another transport than the current one is tried after this time, or when the current one brought nothing. */
const CALM_MS = 300_000;
/** So long it is the turn of one tab to renew the token. */
const TURN_MS = 8_000;
/** A token that ends so soon, or the last third of a short life, is replaced by that of a tab that has a better one. */
const ENDING_MS = 60_000;
/** The tabs that have received all of a stream that is opened again. */
const OTHERS = 'others';

/** @typedef {import('../sse_parser.js').Message} Message */
/** @typedef {import('../connection_status.js').TransportName} TransportName */
/** @typedef {{base: string, path: string, query: Record<string, string | undefined>, token: string | null, cursor: string | null}} StreamRequest */
/**
 * What a tab says. `renew`: it would renew the token of the stream. `renewed`: it has.
 * @typedef {{is: 'attach', id: string, transport: TransportName, request: StreamRequest} | {is: 'detach' | 'ping' | 'renew', id: string}
 *   | {is: 'renewed', id: string, token: string}} Asked
 */

/**
 * What a hub says to one tab, or to all that are attached.
 * @typedef {{is: 'joined' | 'unknown' | 'pong' | 'opened' | 'alive'}
 *   | {is: 'turn', token: string | null}
 *   | {is: 'messages', messages: Message[]}
 *   | {is: 'retry', ms: number}
 *   | {is: 'ended', reason: import('../transport/fetch_stream.js').Ending['reason'], refusal: Refusal | null}} Told
 */

/** @typedef {{status: number, headers: [string, string][], body: string | null}} Refusal */

/**
 * @typedef {object} Upstream
 * @property {TransportName} transport
 * @property {StreamRequest} request
 * @property {(() => void) | null} close
 * @property {boolean} hasBegun
 * @property {number} openedAt
 * @property {number} aliveAt
 */

export class Hub {
  #env;
  #tools;
  #send;
  /** When each tab was heard last. @type {Map<string, number>} */
  #tabs = new Map();
  /** @type {Upstream | null} */
  #upstream = null;
  #kept;
  /** When a tab was told to renew the token. */
  #turnAt = -Infinity;
  /** How long the service wants tabs to wait. @type {number | null} */
  #retryMs = null;
  #waiting;

  /**
   * @param {import('../environment.js').Environment} env
   * @param {import('./tools.js').Tools} tools
   * @param {(to: string | null, told: Told) => void} send to one tab, or to all that have joined
   */
  constructor(env, tools, send) {
    this.#env = env;
    this.#tools = tools;
    this.#kept = new KeptMessages(tools);
    this.#waiting = new WaitingTabs(tools);
    this.#send = send;
  }

  /** @param {string} id */
  has(id) {
    return this.#tabs.has(id);
  }

  /** @param {Asked} asked */
  receive(asked) {
    const { id } = asked;
    if (asked.is === 'attach') return this.#attach(id, asked.transport, asked.request);
    if (asked.is === 'detach') return this.#detach(id);
    if (!this.#tabs.has(id)) return this.#send(id, { is: 'unknown' });
    this.#tabs.set(id, this.#env.now());
    if (asked.is === 'renew') return this.#giveTurn(id);
    if (asked.is === 'renewed') return this.#renewed(asked.token);
    this.#send(null, { is: 'pong' });
  }

  /** Of all tabs, one renews the token. If it does not say soon that it has, another one may. @param {string} id */
  #giveTurn(id) {
    const now = this.#env.now();
    // The clock may have been set back.
    if (Math.abs(now - this.#turnAt) < TURN_MS) return;
    this.#turnAt = now;
    this.#send(id, { is: 'turn', token: this.#upstream?.request.token ?? null });
  }

  /** @param {string} token */
  #renewed(token) {
    this.#turnAt = -Infinity;
    if (this.#upstream) this.#upstream.request = { ...this.#upstream.request, token };
  }

  stop() {
    this.#tabs.clear();
    this.#close();
  }

  /**
   * @param {string} id
   * @param {TransportName} transport
   * @param {StreamRequest} request
   */
  #attach(id, transport, request) {
    this.#forgetGone();
    this.#tabs.set(id, this.#env.now());
    this.#send(id, { is: 'joined' });
    const current = this.#upstream;
    if (!current) this.#waiting.clear();
    const isOutdated = current && this.#isOutdated(current, transport, request);
    const isKnown = this.#kept.reaches(request.cursor);
    if (current?.hasBegun && isKnown && !isOutdated) return this.#catchUp(id, request.cursor);
    this.#waiting.add(id, request.cursor);
    if (!current) this.#open(transport, request);
    else if (isOutdated) this.#reopen(transport, request);
    else if (current.hasBegun) this.#reopen(current.transport, request);
  }

  /**
   * Opens the stream again where this tab is. When it begins, it is known whether others need more.
   * @param {TransportName} transport
   * @param {StreamRequest} request
   */
  #reopen(transport, request) {
    const { last } = this.#kept;
    if (this.#upstream?.hasBegun) this.#waiting.add(OTHERS, last);
    this.#open(transport, { ...request, cursor: request.cursor ?? last });
  }

  /**
   * @param {Upstream} current
   * @param {TransportName} transport
   * @param {StreamRequest} request
   */
  #isOutdated({ transport: used, request: { token }, openedAt, aliveAt }, transport, request) {
    const now = this.#env.now();
    const { endOf, claimsOf } = this.#tools;
    if (used !== transport && (aliveAt === -Infinity || now - openedAt >= CALM_MS)) return true;
    if (token && request.token) {
      const { iat = 0, exp = 0 } = claimsOf(token);
      const endingMs = Math.min(ENDING_MS, ((exp - iat) * 1_000) / 3);
      if (endOf(token) - now <= endingMs && endOf(request.token) > endOf(token)) return true;
    }
    const silentMs = this.#kept.heartbeatSeconds * 1_000 * SILENT_HEARTBEATS * (used === 'eventsource' ? 2 : 1);
    return aliveAt !== -Infinity && Math.abs(now - aliveAt) > silentMs;
  }

  /** What a tab has missed of the stream that is open. @param {string} id @param {string | null} cursor */
  #catchUp(id, cursor) {
    this.#send(id, { is: 'opened' });
    if (this.#retryMs !== null) this.#send(id, { is: 'retry', ms: this.#retryMs });
    this.#send(id, { is: 'messages', messages: this.#kept.since(cursor) });
  }

  /** @param {string} id */
  #detach(id) {
    this.#tabs.delete(id);
    this.#waiting.delete(id);
    if (!this.#tabs.size) this.#close();
  }

  #forgetGone() {
    const before = this.#env.now() - GONE_MS;
    for (const [id, heardAt] of this.#tabs) if (heardAt < before) this.#tabs.delete(id);
  }

  // ---- the stream

  /**
   * @param {TransportName} transport
   * @param {StreamRequest} request
   */
  async #open(transport, request) {
    this.#close();
    /** @type {Upstream} */
    const own = { transport, request, close: null, hasBegun: false, openedAt: this.#env.now(), aliveAt: -Infinity };
    this.#upstream = own;
    this.#kept.begin(request.cursor);
    this.#retryMs = null;
    const isCurrent = () => own === this.#upstream;
    const { addressOf, loadTransport } = this.#tools;
    const open = await loadTransport(transport);
    if (!isCurrent()) return;
    const { base, ...rest } = request;
    own.close = open(this.#env, { addressOf: (to, more) => addressOf(base, to, more), ...rest }, {
      opened: () => isCurrent() && this.#send(null, { is: 'opened' }),
      alive: () => isCurrent() && this.#alive(own),
      retry: (ms) => isCurrent() && this.#retry(ms),
      messages: (messages) => isCurrent() && this.#pass(own, messages),
      ended: (ending) => isCurrent() && this.#ended(own, ending),
    });
  }

  #close() {
    const closing = this.#upstream;
    this.#upstream = null;
    closing?.close?.();
  }

  /** @param {Upstream} own */
  #alive(own) {
    own.aliveAt = this.#env.now();
    this.#send(null, { is: 'alive' });
  }

  /** @param {number} ms */
  #retry(ms) {
    this.#retryMs = ms;
    this.#send(null, { is: 'retry', ms });
  }

  /** @param {Upstream} own @param {Message[]} messages */
  #pass(own, messages) {
    this.#kept.add(messages);
    own.hasBegun = true;
    const first = this.#waiting.before(own.request.cursor, this.#kept);
    if (first !== null) return void this.#rewind(own, first);
    this.#waiting.clear();
    this.#send(null, { is: 'messages', messages });
  }

  /**
   * A tab needs more than this stream brings, and may not receive anything before it has that. Tabs that want what is new learn where that begins.
   * @param {Upstream} own @param {string} cursor
   */
  #rewind({ transport, request }, cursor) {
    for (const id of this.#waiting.new) this.#send(id, { is: 'messages', messages: this.#kept.since(null) });
    this.#open(transport, { ...request, cursor });
  }

  /**
   * All tabs decide themselves when they try again, and the first of them opens the stream for all.
   * @param {Upstream} own
   * @param {import('../transport/fetch_stream.js').Ending} ending
   */
  async #ended(own, { reason, response }) {
    const refusal = response ? await refusalOf(response) : null;
    if (own !== this.#upstream) return;
    this.#upstream = null;
    this.#send(null, { is: 'ended', reason, refusal });
    this.#tabs.clear();
  }
}

/**
 * An answer as it passes between tabs.
 * @param {Response} response
 * @returns {Promise<Refusal>}
 */
async function refusalOf(response) {
  const body = await response.text().catch(() => null);
  return { status: response.status, headers: [...response.headers], body };
}
