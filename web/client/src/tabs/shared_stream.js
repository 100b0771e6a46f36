// A tab's part of a shared stream: it attaches to the hub, notices when that does not answer, and attaches again where it was.
import { ChannelLink } from './channel_link.js';
import { shareKey } from './share_key.js';
import { WorkerLink } from './worker_link.js';

/** How often a tab looks whether the hub has said something. */
const LOOK_MS = 300;
const LOOK_JITTER_MS = 60;
/** A tab that hears others being answered speaks itself this often, so that the hub knows it. */
const SPEAK_MS = 30_000;

/** @typedef {import('./channel_link.js').Heard} Heard */
/** @typedef {import('../transport/fetch_stream.js').TransportRequest & {base: string}} SharedRequest */

/**
 * @typedef {object} Attachment
 * @property {string} id
 * @property {string | null} hub that it has joined
 * @property {import('../connection_status.js').TransportName} transport
 * @property {SharedRequest} request
 * @property {() => string | null} cursor where the tab is now
 * @property {import('../transport/fetch_stream.js').TransportHandlers} on
 */

/** @param {import('../environment.js').Environment} env */
const canShare = (env) => Boolean(env.SharedWorker || (env.locks && env.BroadcastChannel));

export class SharedStream {
  #env;
  #tools;
  /** @type {string | null} */
  #key = null;
  /** @type {import('./channel_link.js').Link | null} */
  #link = null;
  /** @type {Attachment | null} */
  #current = null;
  /** @type {any} */
  #timer = null;
  #hasHeard = false;
  #unanswered = 0;
  #spokeAt = -Infinity;
  #hasWorker;
  #isBroken = false;
  /** @type {(token: string | null) => void} */
  #runInTurn = () => {};
  #offs;

  /**
   * @param {import('../environment.js').Environment} env
   * @param {import('./tools.js').Tools} tools
   */
  constructor(env, tools) {
    this.#env = env;
    this.#tools = tools;
    this.#hasWorker = Boolean(env.SharedWorker);
    // Messages to a page that was frozen may be lost, so it asks at once whether the hub still knows it.
    this.#offs = [
      env.listen('pagehide', () => this.#leave()),
      env.listen('pageshow', () => this.#ask()),
      env.listen('resume', () => this.#ask()),
    ];
  }

  /**
   * Null if nobody knows whose stream it is, or nothing can be shared here.
   * @param {{base: string, path: string, query: Record<string, string | undefined>, token: string | null, userId?: string}} wanted
   * @param {Attachment['transport']} transport
   * @param {Attachment['cursor']} cursor
   * @returns {import('../transport/fetch_stream.js').Transport | null}
   */
  transportOf(wanted, transport, cursor) {
    const key = shareKey(wanted, this.#tools);
    if (!key || this.#isBroken || !canShare(this.#env)) return null;
    return (_env, request, on) => this.#open(key, { transport, request: { ...request, base: wanted.base }, cursor, on });
  }

  /**
   * @param {string} key
   * @param {Omit<Attachment, 'id' | 'hub'>} wanted
   * @returns {() => void} detaches
   */
  #open(key, wanted) {
    if (key !== this.#key) this.#unlink();
    this.#key = key;
    /** @type {Attachment} */
    const own = { ...wanted, id: '', hub: null };
    this.#current = own;
    this.#unanswered = 0;
    if (!this.#link) this.#connect();
    this.#attach();
    this.#lookLater();
    return () => {
      if (own !== this.#current) return;
      this.#leave();
      this.#end();
    };
  }

  get isAttached() {
    return this.#current !== null;
  }

  /**
   * Calls `run` with the token of the stream, if the hub says that it is the turn of this tab to renew it.
   * @param {(token: string | null) => void} run
   */
  turn(run) {
    this.#runInTurn = run;
    this.#post('renew');
  }

  /** The stream has this token now. @param {string} token */
  renewed(token) {
    if (this.#current) this.#link?.post({ is: 'renewed', id: this.#current.id, token });
  }

  /** @param {'detach' | 'ping' | 'renew'} is */
  #post(is) {
    if (this.#current?.id) this.#link?.post({ is, id: this.#current.id });
  }

  /** Gives up the stream for the other tabs, too, if this tab has it. */
  stop() {
    this.#end();
    this.#unlink();
    for (const off of this.#offs.splice(0)) off();
  }

  // ---- the way to the hub

  #connect() {
    const key = /** @type {string} */ (this.#key);
    const hear = (/** @type {Heard} */ heard) => this.#hear(heard);
    const failed = () => this.#failed();
    try {
      this.#link = this.#hasWorker ? new WorkerLink(this.#env, key, hear, failed) : new ChannelLink(this.#env, key, hear, this.#tools, failed);
    } catch {
      // A worker of another origin, or one that a policy of the page forbids.
      failed();
    }
  }

  /** Locks and a channel replace the worker; without them, the tab has a stream of its own. */
  #failed() {
    this.#link?.close();
    this.#link = null;
    const isOver = !this.#hasWorker || !this.#env.locks || !this.#env.BroadcastChannel;
    this.#hasWorker = false;
    if (!isOver) {
      this.#connect();
      return this.#attach();
    }
    const on = this.#current?.on;
    this.#isBroken = true;
    this.#end();
    on?.ended({ reason: 'network' });
  }

  #unlink() {
    this.#link?.close();
    this.#link = null;
  }

  // ---- attached

  #attach() {
    const current = this.#current;
    if (!current) return;
    this.#leave();
    current.id = this.#env.uuid();
    current.hub = null;
    const { base, path, query, token } = current.request;
    this.#spokeAt = this.#env.now();
    this.#link?.post({ is: 'attach', id: current.id, transport: current.transport, request: { base, path, query, token, cursor: current.cursor() } });
  }

  #leave() {
    this.#post('detach');
  }

  #end() {
    this.#current = null;
    this.#env.clearTimeout(this.#timer);
  }

  #lookLater() {
    this.#env.clearTimeout(this.#timer);
    this.#timer = this.#env.setTimeout(() => this.#look(), LOOK_MS + this.#env.random() * LOOK_JITTER_MS);
  }

  /** A page in the background looks less often, so it counts questions without an answer and no time. */
  #look() {
    this.#lookLater();
    this.#unanswered = this.#hasHeard ? 0 : this.#unanswered + 1;
    if (this.#unanswered > (this.#link?.patience ?? 0)) {
      this.#unanswered = 0;
      this.#link?.replace();
      return this.#attach();
    }
    if (!this.#hasHeard || this.#env.now() - this.#spokeAt > SPEAK_MS) this.#ask();
    this.#hasHeard = false;
  }

  #ask() {
    // Without a hub, the question of this tab waits, or a hub that begins makes itself known.
    if (!this.#current?.hub) return;
    this.#spokeAt = this.#env.now();
    this.#post('ping');
  }

  /** @param {Heard} heard */
  #hear(heard) {
    const current = this.#current;
    if (!current) return;
    const { from, to, is } = heard;
    if (is === 'leader') return this.#follow(from);
    // There may be another one already, which this tab has not heard of while it was frozen.
    if (is === 'gone') return void (current.hub === from && this.#attach());
    if (to !== null && to !== current.id) return;
    if (is === 'joined') current.hub = from;
    if (from !== current.hub && is !== 'unknown') return;
    this.#hasHeard = true;
    this.#take(current, heard);
  }

  /** @param {string} hub */
  #follow(hub) {
    this.#unanswered = 0;
    if (this.#current?.hub !== hub) this.#attach();
  }

  /**
   * @param {Attachment} current
   * @param {Heard} heard
   */
  #take({ on }, heard) {
    if (heard.is === 'unknown') return this.#attach();
    if (heard.is === 'opened') on.opened();
    else if (heard.is === 'alive') on.alive();
    else if (heard.is === 'turn') this.#runInTurn(heard.token);
    else if (heard.is === 'retry') on.retry(heard.ms);
    else if (heard.is === 'messages') {
      on.alive();
      on.messages(heard.messages);
    } else if (heard.is === 'ended') {
      this.#end();
      on.ended({ reason: heard.reason, response: heard.refusal ? responseOf(heard.refusal) : undefined });
    }
  }
}

/** @param {import('./hub.js').Refusal} refusal */
function responseOf({ status, headers, body }) {
  return new Response(status === 204 ? null : body, { status, headers });
}
