// This user's presence, and everybody else's.
import { Store } from '../store.js';
import { IDLE_MS, IdleWatch } from './idle_watch.js';
import { foldPeople, MORE_LOCKS, NOBODY, withoutEnded } from './people.js';

const USUAL_BEAT_MS = 30_000;
const AGAIN_MS = 5_000;
/** What changes several times within this time is told once. */
const CALM_MS = 50;

/** @typedef {{module: string, recordId: string}} RecordRef */

/**
 * @typedef {object} PresenceContext
 * @property {import('../environment.js').Environment} env
 * @property {import('../request.js').SendRequest} request
 * @property {import('../event_hub.js').EventHub} events
 * @property {string} session of this tab
 * @property {boolean} isConnected whether the stream has begun already
 * @property {number} [idleMs] without activity for so long, the user is away
 */

export class Presence {
  #context;
  /** @type {(() => void)[]} */
  #offs = [];
  /** @type {any} */
  #beatTimer = null;
  /** @type {any} */
  #typingTimer = null;
  /** @type {any[] | null} */
  #meanwhile = null;
  /** What the stream says while further pages of locks are fetched. @type {any[] | null} */
  #whilePaging = null;
  #idle;
  #isBeating = false;
  #isReporting = false;
  /** When the page was hidden. */
  #wasReporting = false;
  /** @type {RecordRef | null} */
  #viewing = null;
  /** @type {RecordRef | null} */
  #editing = null;

  /** @param {PresenceContext} context */
  constructor(context) {
    this.#context = context;
    this.#idle = new IdleWatch(context.env, context.idleMs ?? IDLE_MS, () => this.#beatIn(0));
    /** @type {Store<import('./people.js').PresenceSnapshot>} */
    this.store = new Store(NOBODY, context.env.reportError);
    this.#offs.push(context.events.fold((deliveries) => this.#take(deliveries)));
    if (context.isConnected) this.#load();
  }

  /** The stream began before somebody asked who is here, maybe for another tab. What it says meanwhile is applied to the answer again. */
  async #load() {
    const { request, env } = this.#context;
    const said = (this.#meanwhile = /** @type {any[]} */ ([]));
    const [people, locks] = await Promise.all([request('GET', '/presence'), request('GET', '/locks')].map((one) => one.then(({ body }) => body, () => null)));
    // Another one has begun since, and is newer.
    if (this.#meanwhile !== said) return;
    this.#meanwhile = null;
    const snapshots = [people && { type: 'presence:snapshot', ...people }, locks && { type: 'locks:snapshot', ...locks }].filter(Boolean);
    const hasSnapshot = said.some(({ type }) => type === 'presence:snapshot');
    if (!hasSnapshot) this.#show([...snapshots, ...said].reduce((state, data) => foldPeople(state, data, env.now()), this.getSnapshot()));
    if (!hasSnapshot && locks?.next) this.#loadMoreLocks(locks.next);
  }

  /** There are more locks than the list begins with. @param {string} next */
  async #loadMoreLocks(next) {
    const { request, env } = this.#context;
    const said = (this.#whilePaging = /** @type {any[]} */ ([]));
    for (let cursor = /** @type {string | null} */ (next); cursor; ) {
      const page = await request('GET', '/locks', { query: { cursor } }).then(({ body }) => body, () => null);
      // A newer list replaces this one.
      if (this.#whilePaging !== said) return;
      const more = { type: MORE_LOCKS, locks: page?.locks ?? [] };
      this.#show([more, ...said].reduce((state, data) => foldPeople(state, data, env.now()), this.getSnapshot()));
      cursor = page?.next ?? null;
    }
    this.#whilePaging = null;
  }

  getSnapshot = () => this.store.getSnapshot();

  /** @type {(listener: () => void) => () => void} */
  subscribe = (listener) => this.store.subscribe(listener);

  /**
   * Reports what this tab shows and edits, until `leave`.
   * @param {{viewing?: RecordRef | null, editing?: RecordRef | null}} open
   */
  show({ viewing = null, editing = null } = {}) {
    this.#viewing = viewing;
    this.#editing = editing;
    this.#begin();
    this.#beatIn(CALM_MS);
  }

  /** This tab is no longer here. */
  leave() {
    if (!this.#isReporting) return;
    this.#isReporting = false;
    const { env, request, session } = this.#context;
    env.clearTimeout(this.#beatTimer);
    this.#idle.stop();
    // A request that outlives the page: a beacon cannot carry a token.
    request('POST', '/presence/leave', { body: { session }, keepalive: true }).catch(() => {});
  }

  close() {
    this.leave();
    for (const off of this.#offs.splice(0)) off();
    this.#context.env.clearTimeout(this.#typingTimer);
  }

  #begin() {
    if (this.#isReporting) return;
    this.#isReporting = true;
    this.#idle.start();
    if (this.#offs.length > 1) return;
    const { env } = this.#context;
    this.#offs.push(env.listen('pagehide', () => this.#hide()));
    this.#offs.push(env.listen('pageshow', () => this.#comeBack()));
  }

  #hide() {
    this.#wasReporting = this.#isReporting;
    this.leave();
  }

  /** The page is shown again as it was when it was left. */
  #comeBack() {
    if (this.#wasReporting) this.show({ viewing: this.#viewing, editing: this.#editing });
    this.#wasReporting = false;
  }

  /** @param {number} ms */
  #beatIn(ms) {
    const { env } = this.#context;
    env.clearTimeout(this.#beatTimer);
    if (this.#isReporting) this.#beatTimer = env.setTimeout(() => this.#beat(), ms);
  }

  async #beat() {
    if (this.#isBeating) return this.#beatIn(CALM_MS);
    const { request, session } = this.#context;
    this.#isBeating = true;
    const told = { session, status: this.#idle.isIdle ? 'away' : 'online', viewing: this.#viewing, editing: this.#editing };
    const next = await request('POST', '/presence/heartbeat', { body: told }).then(
      ({ body }) => (body?.countsForSeconds ? body.countsForSeconds * 500 : USUAL_BEAT_MS),
      (error) => (error.isTemporary ? Math.max(AGAIN_MS, error.retryAfterMs ?? 0) : USUAL_BEAT_MS),
    );
    this.#isBeating = false;
    const isNew = told.viewing !== this.#viewing || told.editing !== this.#editing || (told.status === 'away') !== this.#idle.isIdle;
    this.#beatIn(isNew ? 0 : next);
  }

  /** @param {import('../connection.js').Delivery[]} deliveries */
  #take(deliveries) {
    const now = this.#context.env.now();
    let state = this.getSnapshot();
    for (const { data } of deliveries) {
      if (data.type === 'stream:ready' && this.#isReporting) this.#beatIn(0);
      if (data.type === 'stream:ready' && data.isShared) this.#load();
      this.#meanwhile?.push(data);
      if (/:(un)?locked$/.test(data.type)) this.#whilePaging?.push(data);
      if (data.type === 'locks:snapshot') this.#whilePaging = null;
      state = foldPeople(state, data, now);
    }
    this.#show(state);
    const list = deliveries.findLast(({ data }) => data.type === 'locks:snapshot')?.data;
    if (list?.next) this.#loadMoreLocks(list.next);
  }

  /** @param {import('./people.js').PresenceSnapshot} state */
  #show(state) {
    const { env } = this.#context;
    const current = withoutEnded(state, env.now());
    this.store.set(current);
    env.clearTimeout(this.#typingTimer);
    if (!current.typing.length) return;
    const next = Math.min(...current.typing.map(({ endsAt }) => endsAt));
    this.#typingTimer = env.setTimeout(() => this.#show(this.getSnapshot()), Math.max(1, next - env.now()));
  }
}
