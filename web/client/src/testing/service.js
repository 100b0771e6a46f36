// A service in memory, with the contract of the real one. `fetch` of this object stands for the network.
import { identityOf } from '../identity.js';
import { claimsOf } from '../token.js';
import { FakeClock } from './clock.js';
import { collaborationRoutes } from './collaboration.js';
import { answerWith } from './delivery.js';
import { Faults } from './faults.js';
import { inboxRoutes } from './inbox.js';
import { FakeLog } from './log.js';
import { Problem } from './problem.js';
import { recordRoutes } from './records.js';
import { FakeStreams, streamRoutes } from './streams.js';
import { taskRoutes } from './tasks.js';

/** @typedef {{userId: string, teams: string[], broker: string, role: string, exp: number}} Caller */

/**
 * @typedef {object} FakeRequest
 * @property {string} method
 * @property {string} path
 * @property {URLSearchParams} query
 * @property {Headers} headers
 * @property {any} body
 * @property {Caller} caller
 * @property {string[]} parts of the path that its route names
 * @property {AbortSignal | undefined} signal
 */

/**
 * @typedef {object} FakeAnswer
 * @property {number} status
 * @property {Record<string, string>} [headers]
 * @property {unknown} [body] as JSON
 * @property {(write: (text: string) => void, end: () => void) => () => void} [stream] writes until the function that it returns is called
 */

/** @typedef {(service: FakeService, request: FakeRequest) => FakeAnswer | Promise<FakeAnswer>} Handler */
/** @typedef {[method: string, path: RegExp, handler: Handler]} Route */

/** @type {Route[]} */
const ROUTES = [...streamRoutes, ...recordRoutes, ...collaborationRoutes, ...taskRoutes, ...inboxRoutes];

/** @param {unknown} value */
const encoded = (value) => btoa(JSON.stringify(value)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');

/** @param {string} path */
const isStreamPath = (path) => path.startsWith('/stream') || /^\/tasks\/[^/]+\/output$/.test(path);

export class FakeService {
  url = 'http://porchlight.test';
  heartbeatSeconds = 15;
  retryMs = 1_000;
  faults = new Faults();
  log;
  streams;
  /** All requests that have arrived, for assertions. @type {{method: string, path: string, query: string, body: any, headers: Record<string, string>, at: number}[]} */
  requests = [];
  /** Whether the service knows `POST /sessions/renew`. */
  canRenew = true;
  /** Whether writes of records know `Idempotency-Key`. */
  hasIdempotency = true;
  /** State of the parts, by name. @type {Map<string, any>} */
  #parts = new Map();
  #refused = new Set();
  /** Users and teams that they have left. @type {Set<string>} */
  #left = new Set();

  /** @param {{clock?: FakeClock, epoch?: string}} [options] */
  constructor({ clock = new FakeClock(), epoch } = {}) {
    this.clock = clock;
    this.log = new FakeLog(epoch);
    this.streams = new FakeStreams(this);
  }

  /**
   * The state of a part of the service, made when it is first used.
   * @template T
   * @param {string} name
   * @param {() => T} make
   * @returns {T}
   */
  part(name, make) {
    if (!this.#parts.has(name)) this.#parts.set(name, make());
    return this.#parts.get(name);
  }

  /**
   * A token that this service accepts.
   * @param {{user?: string, team?: string, teams?: string[], broker?: string, role?: string, seconds?: number}} [claims]
   */
  token({ user = 'u-1', team = 'team-a', teams = [team], broker = 'b-1', role = 'agent', seconds = 3_600 } = {}) {
    const iat = Math.floor(this.clock.now() / 1_000);
    const payload = { sub: user, teams, broker_id: broker, role, iat, exp: iat + seconds, jti: Math.random().toString(36).slice(2) };
    return `${encoded({ alg: 'none' })}.${encoded(payload)}.fake`;
  }

  /** From now on the service refuses this token. @param {string} token */
  revoke(token) {
    this.#refused.add(token);
  }

  /**
   * The user leaves a team: it counts no more, whatever tokens say, and streams that were opened with it end with `changed`.
   * @param {string} user
   * @param {string} team
   */
  leave(user, team) {
    this.#left.add(`${user}/${team}`);
    for (const { caller, close } of [...this.streams.open]) if (caller.userId === user && caller.teams.includes(team)) close('changed');
  }

  /**
   * @param {import('./log.js').Audience} audience
   * @param {any} data
   */
  publish(audience, data) {
    const event = this.log.append(audience, data, this.clock.now());
    this.streams.deliver(event);
    return this.log.at(event.number);
  }

  /** How many requests have arrived for a path. @param {string | RegExp} path @param {string} [method] */
  count(path, method) {
    const fits = (/** @type {string} */ one) => (typeof path === 'string' ? one === path : path.test(one));
    return this.requests.filter((request) => fits(request.path) && (!method || request.method === method)).length;
  }

  /** @type {(url: string, init?: RequestInit) => Promise<Response>} */
  fetch = async (address, init = {}) => {
    const url = new URL(address, this.url);
    const method = init.method ?? 'GET';
    const signal = init.signal ?? undefined;
    if (signal?.aborted) throw aborted();
    const fault = this.faults.take(method, url.pathname);
    return answerWith(this.clock, fault, signal, () => this.#answer(method, url, init, fault));
  };

  /**
   * @param {string} method
   * @param {URL} url
   * @param {RequestInit} init
   * @param {import('./faults.js').Fault | null} fault
   * @returns {Promise<FakeAnswer>}
   */
  async #answer(method, url, init, fault) {
    const headers = new Headers(init.headers);
    const body = typeof init.body === 'string' ? JSON.parse(init.body) : undefined;
    this.requests.push({ method, path: url.pathname, query: url.search, body, headers: Object.fromEntries(headers), at: this.clock.now() });
    try {
      const caller = this.#caller(headers, url.searchParams, fault);
      const known = ROUTES.filter(([, path]) => path.test(url.pathname));
      const route = known.find(([of]) => of === method);
      if (!known.length) throw new Problem(404, 'not_found', `There is nothing at ${url.pathname}.`);
      if (!route) throw new Problem(405, 'method_not_allowed', `${url.pathname} has other methods.`);
      const parts = (url.pathname.match(route[1]) ?? []).slice(1).map(decodeURIComponent);
      return await route[2](this, { method, path: url.pathname, query: url.searchParams, headers, body, caller, parts, signal: init.signal ?? undefined });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      return { status: error.status, headers: { 'Content-Type': 'application/problem+json' }, body: error.body };
    }
  }

  /**
   * @param {Headers} headers
   * @param {URLSearchParams} query
   * @param {import('./faults.js').Fault | null} fault
   * @returns {Caller}
   */
  #caller(headers, query, fault) {
    const token = headers.get('Authorization')?.replace('Bearer ', '') ?? query.get('access_token');
    if (!token) throw new Problem(401, 'token_missing', 'there is no token');
    const claims = claimsOf(token);
    const exp = claims.exp * 1_000;
    if (fault?.kind === 'expired' || exp <= this.clock.now()) throw new Problem(401, 'token_expired', 'the token has expired; get a fresh one');
    const { userId, brokerId, teams } = identityOf(claims);
    if (!userId || this.#refused.has(token)) throw new Problem(401, 'token_signature_invalid', 'the signature of the token is wrong');
    return { userId, teams: teams.filter((team) => !this.#left.has(`${userId}/${team}`)), broker: brokerId ?? '', role: claims.role, exp };
  }
}

export { isStreamPath };

export function aborted() {
  return Object.assign(new Error('This operation was aborted'), { name: 'AbortError' });
}
