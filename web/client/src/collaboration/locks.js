// A lock on a record, held for as long as its owner wants it.
import { backoffMs } from '../backoff.js';
import { PorchlightError } from '../error.js';
import { Store } from '../store.js';
import { IdleWatch } from './idle_watch.js';

/** @typedef {import('../events.d.ts').Lock} Lock */

/** An answer to what was asked before one of these may be older. */
const CHANGES = new Set(['locked', 'unlocked', 'lock_available']);
/** A lease is renewed when this part of it is over. */
const RENEW_PART = 1 / 3;
const RETRY_MOST_MS = 10_000;

/**
 * `free`: nobody holds it. `held`: this session does. `other`: someone else does, see `lock`. `lost`: it was held, and is not any more, see `reason`.
 * @typedef {object} LockSnapshot
 * @property {'idle' | 'waiting' | 'held' | 'other' | 'lost' | 'released'} status
 * @property {Lock | null} lock whose it is
 * @property {number | null} fence for writes under it
 * @property {string | null} reason why it was lost or refused; `idle`: the user did nothing for too long
 * @property {boolean} isRequested someone else has asked for it
 * @property {string | null} requestedBy who has asked last
 */

/**
 * @typedef {object} LockContext
 * @property {import('../environment.js').Environment} env
 * @property {import('../request.js').SendRequest} request
 * @property {import('../event_hub.js').EventHub} events
 * @property {string} session of this tab
 * @property {string} module
 * @property {string} id
 * @property {number} leaseSeconds
 * @property {number} idleMs without activity for so long, it is given back
 * @property {boolean} isConnected whether the stream has begun already, and its list of locks was not seen
 * @property {() => boolean} isWriting whether writes that carry the fence are on their way
 * @property {() => Promise<void>} sent waits until they have ended
 * @property {import('../turns.js').Turns} turns of all locks of this client: the service must not get what takes a lock and what gives it back in another order
 * @property {() => boolean} isReplaced whether another lock of this record wants it by now, after this one was closed
 * @property {(fence: number | null) => void} onFence told what writes of this record must carry
 */

export class RecordLock {
  #context;
  #path;
  /** @type {any} */
  #timer = null;
  #offs;
  #idle;
  #isWanted = false;
  /** How many changes of this lock by others were heard of. */
  #heard = 0;
  #failures = 0;
  #heldUntil = 0;

  /** @param {LockContext} context */
  constructor(context) {
    this.#context = context;
    const { module, id, env, events, idleMs } = context;
    this.#idle = new IdleWatch(env, idleMs, () => this.#idleChanged());
    this.#path = `/locks/${encodeURIComponent(module)}/${encodeURIComponent(id)}`;
    /** @type {Store<LockSnapshot>} */
    this.store = new Store({ status: 'idle', lock: null, fence: null, reason: null, isRequested: false, requestedBy: null }, env.reportError);
    this.#offs = [
      events.fold((deliveries) => deliveries.forEach(({ data }) => this.#take(data))),
      env.listen('pageshow', () => this.#isHeld && this.#renew()),
      env.listen('visibilitychange', () => env.isVisible() && this.#isHeld && this.#renew()),
    ];
    if (context.isConnected) this.#load();
  }

  getSnapshot = () => this.store.getSnapshot();

  /** @type {(listener: () => void) => () => void} */
  subscribe = (listener) => this.store.subscribe(listener);

  /** Whether it is held, or will be taken once it can be. */
  get isWanted() {
    return this.#isWanted;
  }

  get #isHeld() {
    return this.getSnapshot().status === 'held';
  }

  /**
   * Locks the record. Returns whether this session holds it now; if not, the snapshot says who does.
   * @returns {Promise<boolean>}
   */
  async acquire() {
    this.#isWanted = true;
    if (this.#isHeld) {
      // A release that waits for writes does not take place.
      this.#idle.start();
      return true;
    }
    this.#show({ status: 'waiting', reason: null });
    const { module, id, session, leaseSeconds } = this.#context;
    return this.#claim('POST', '/locks', { module, recordId: id, session, leaseSeconds });
  }

  /** Takes it from its holder: for admins, and once the holder is offline. */
  async takeOver() {
    this.#isWanted = true;
    const { session, leaseSeconds } = this.#context;
    return this.#claim('POST', `${this.#path}/takeover`, { session, leaseSeconds });
  }

  /** Asks the holder for it. The lock is taken when it becomes free. */
  async request() {
    const [wasWanted, heard] = [this.#isWanted, this.#heard];
    // It may become free before the answer is here.
    this.#isWanted = true;
    try {
      const { body } = await this.#context.request('POST', `${this.#path}/request`, { body: { session: this.#context.session } });
      if (this.#isWanted && heard === this.#heard) this.#show({ status: 'other', lock: body.lock });
    } catch (error) {
      if (!this.#isHeld && this.getSnapshot().status !== 'waiting') this.#isWanted &&= wasWanted;
      throw error;
    }
  }

  /** Gives it back, after what was written under it was sent. */
  async release({ keepalive = false } = {}) {
    this.#isWanted = false;
    if (this.#isHeld && !keepalive) await this.#context.sent();
    if (this.#isWanted) return;
    // Meanwhile it may have become that of another object, which gives it back.
    const isOwn = this.#isHeld && !this.#context.isReplaced();
    this.#released();
    if (isOwn) this.#inTurn(() => this.#giveBack(keepalive));
    // What takes it at this moment gives it back.
    await this.#context.turns.ended(this.#path);
  }

  /** Releases it and stops following it. If a write under it is still to be sent by the next page, it ends with its lease: nobody may take it before. */
  async close() {
    for (const off of this.#offs.splice(0)) off();
    if (this.#isHeld && this.#context.isWriting() && !(await this.#isFree())) return this.#released();
    await this.release({ keepalive: true });
  }

  /** Whether nobody needs it any more, after what was written under it was sent. */
  async #isFree() {
    const { sent, isWriting, isReplaced } = this.#context;
    // Where the outbox is closed already, nothing more is sent.
    await sent().catch(() => {});
    return !isWriting() && !isReplaced();
  }

  #released() {
    this.#end({ status: 'released', lock: null, reason: null });
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Record<string, unknown>} body
   */
  #claim(method, path, body) {
    // When its turn comes, it may have been given up, or be held already.
    return this.#inTurn(async () => this.#isWanted && (this.#isHeld || this.#ask(method, path, body)));
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Record<string, unknown>} body
   */
  async #ask(method, path, body) {
    const heard = this.#heard;
    try {
      const answer = await this.#context.request(method, path, { body });
      // Nobody wants it any more.
      if (!this.#isWanted) return await this.#giveBack();
      this.#held(answer.body);
      return true;
    } catch (error) {
      const { code, problem } = /** @type {PorchlightError} */ (error);
      if (!(error instanceof PorchlightError) || !problem?.lock) {
        if (this.#isWanted) this.#show({ status: 'idle', reason: code ?? 'failed' });
        throw error;
      }
      this.#show({ status: 'other', lock: problem.lock, fence: null, reason: code });
      return false;
    } finally {
      if (heard !== this.#heard) this.#load();
    }
  }

  /** A lock that cannot be given back ends with its lease. */
  async #giveBack(keepalive = false) {
    await this.#context.request('DELETE', this.#path, { query: { session: this.#context.session }, keepalive }).catch(() => {});
    return false;
  }

  /** @param {() => Promise<boolean>} run */
  #inTurn(run) {
    return this.#context.turns.take(this.#path, run);
  }

  /** @param {Lock} lock */
  #held(lock) {
    const { env, leaseSeconds, onFence } = this.#context;
    if (!this.#isHeld) this.#idle.start();
    this.#failures = 0;
    this.#heldUntil = env.now() + leaseSeconds * 1_000;
    onFence(lock.fence);
    this.#show({ status: 'held', lock, fence: lock.fence, reason: null });
    this.#renewIn(leaseSeconds * 1_000 * RENEW_PART);
  }

  /** @param {number} ms */
  #renewIn(ms) {
    const { env } = this.#context;
    env.clearTimeout(this.#timer);
    this.#timer = env.setTimeout(() => this.#renew(), ms);
  }

  async #renew() {
    const { env, session, leaseSeconds } = this.#context;
    env.clearTimeout(this.#timer);
    try {
      const { body } = await this.#context.request('POST', `${this.#path}/renew`, { body: { session, leaseSeconds } });
      if (this.#isHeld) this.#held(body);
    } catch (error) {
      if (!this.#isHeld) return;
      const { code, isTemporary } = /** @type {PorchlightError} */ (error);
      this.#failures += 1;
      if (!isTemporary) this.#lost(code);
      else if (env.now() >= this.#heldUntil) this.#lost('expired');
      else this.#renewIn(Math.min(backoffMs(this.#failures, env.random), RETRY_MOST_MS, Math.max(0, this.#heldUntil - env.now())));
    }
  }

  /** While the user does nothing, others may have it. What was written under it is sent before. */
  async #idleChanged() {
    if (!this.#idle.isIdle) return;
    await this.#context.sent().catch(() => {});
    // The user may have come back meanwhile.
    if (!this.#isHeld || !this.#idle.isIdle) return;
    this.#isWanted = false;
    this.#lost('idle');
    this.#inTurn(() => this.#giveBack());
  }

  /** @param {string} reason */
  #lost(reason) {
    this.#end({ status: 'lost', reason });
  }

  /** @param {Partial<LockSnapshot>} change */
  #end(change) {
    const { env, isReplaced, onFence } = this.#context;
    env.clearTimeout(this.#timer);
    this.#idle.stop();
    if (!isReplaced()) onFence(null);
    this.#show({ ...change, fence: null, isRequested: false, requestedBy: null });
  }

  /** @param {any} event */
  #take(event) {
    const { type, module, recordId, data } = event;
    if (type === 'stream:ready' && event.isShared) return void this.#load();
    if (type === 'locks:snapshot') return this.#takeSnapshot(event.locks, Boolean(event.truncated));
    if (module !== this.#context.module || recordId !== this.#context.id) return;
    const action = type.slice(type.lastIndexOf(':') + 1);
    // The answer to this session's own request says when it has locked it.
    if (CHANGES.has(action) && !(action === 'locked' && data.holder.session === this.#context.session)) this.#heard += 1;
    if (action === 'lock_requested') this.#show({ isRequested: true, requestedBy: data.by.userId });
    if (action === 'lock_available' && this.#isWanted && !this.#isHeld) this.acquire().catch(() => {});
    if (action === 'locked') this.#locked({ module, recordId, waiting: 0, ...data });
    if (action === 'unlocked') this.#unlocked(data);
  }

  /** @param {Lock} lock */
  #locked(lock) {
    const { status, fence } = this.getSnapshot();
    if (status === 'held' && fence !== null && lock.fence > fence) this.#lost('taken_over');
    // The answer to this session's own request says the same, unless nobody wants it any more.
    if (lock.holder.session === this.#context.session) return;
    if (status !== 'held' && status !== 'waiting') this.#show({ status: status === 'lost' ? 'lost' : 'other', lock });
  }

  /** @param {{fence: number, reason: string}} end */
  #unlocked({ fence, reason }) {
    const known = this.getSnapshot();
    if (known.status === 'held' && known.fence === fence) this.#lost(reason);
    else if (known.status === 'other') this.#show({ status: 'idle', lock: null });
    else if (known.lock?.fence === fence) this.#show({ lock: null });
  }

  async #load() {
    const { request, module, id } = this.#context;
    const heard = this.#heard;
    const answer = await request('GET', '/locks', { query: { record: `${module}/${id}` } }).catch(() => null);
    if (heard !== this.#heard) this.#load();
    else if (answer) this.#takeSnapshot(answer.body.locks);
  }

  /**
   * @param {Lock[]} locks
   * @param {boolean} [isPart] there are more
   */
  #takeSnapshot(locks, isPart = false) {
    const { status, fence } = this.getSnapshot();
    const { module, id } = this.#context;
    const lock = locks.find((one) => one.module === module && one.recordId === id) ?? null;
    if (isPart && !lock) return void this.#load();
    if (status === 'held') {
      // A lower fence is an answer that was on its way before the lock was granted.
      if (lock && fence !== null && lock.fence > fence) this.#lost('taken_over');
      else this.#renew();
    } else if (status === 'other' || status === 'idle') this.#show({ status: lock ? 'other' : 'idle', lock });
  }

  /** @param {Partial<LockSnapshot>} change */
  #show(change) {
    this.store.set({ ...this.getSnapshot(), ...change });
  }
}
