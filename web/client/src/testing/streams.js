// Streams, history, publishing and sessions of the fake service.
import { enter, snapshotsOf } from './collaboration.js';
import { fitsTypes, sees } from './log.js';
import { Problem } from './problem.js';

/** @typedef {import('./service.js').FakeService} FakeService */
/** @typedef {import('./service.js').FakeRequest} FakeRequest */
/** @typedef {import('./log.js').LoggedEvent} LoggedEvent */

/**
 * @typedef {object} FakeStream
 * @property {string} id
 * @property {import('./service.js').Caller} caller
 * @property {boolean} isNamed
 * @property {(event: {audience: import('./log.js').Audience, data: any}) => boolean} carries
 * @property {boolean} isMuted
 * @property {(text: string) => void} write
 * @property {(reason: string, retryMs?: number) => void} close with `stream:closing`
 * @property {() => void} drop without a word
 * @property {(exp: number) => void} renew
 */

const SHORTEST_HEARTBEAT_SECONDS = 5;
const EXPIRING_MS = 60_000;

/**
 * @param {boolean} isNamed
 * @param {any} data
 * @param {string | null} id
 */
function block(isNamed, data, id) {
  const name = isNamed ? `event: ${data.type}\n` : '';
  return `${name}data: ${JSON.stringify(data)}\n${id ? `id: ${id}\n` : ''}\n`;
}

/**
 * @param {string} scope
 * @param {FakeRequest} request
 * @returns {FakeStream['carries']}
 */
function carrier(scope, { caller, query }) {
  const types = query.get('types')?.split(',') ?? null;
  const records = query.get('records')?.split(',') ?? null;
  return ({ audience, data }) => sees(caller, audience)
    && (scope === 'all' || scope in audience || (scope === 'records' && records !== null))
    && fitsTypes(types, data.type)
    && (!records || records.includes(`${data.module}/${data.recordId}`));
}

export class FakeStreams {
  /** @type {Set<FakeStream>} */
  open = new Set();
  #service;
  #count = 0;
  /** @type {Set<(event: LoggedEvent) => void>} */
  #polls = new Set();

  /** @param {FakeService} service */
  constructor(service) {
    this.#service = service;
  }

  /** @param {LoggedEvent} event */
  deliver(event) {
    const id = this.#service.log.at(event.number);
    for (const stream of this.open) if (stream.carries(event)) stream.write(block(stream.isNamed, event.data, id));
    for (const poll of [...this.#polls]) poll(event);
  }

  /**
   * An event without a position.
   * @param {import('./log.js').Audience} audience
   * @param {any} data
   */
  deliverEphemeral(audience, data) {
    const { type } = data;
    const event = { action: type.slice(type.lastIndexOf(':') + 1), ...data, timestamp: new Date(this.#service.clock.now()).toISOString() };
    for (const stream of this.open) if (stream.carries({ audience, data: event })) stream.write(block(stream.isNamed, event, null));
  }

  /** Ends all streams like a service that stops. */
  drain(retryMs = 1_000) {
    for (const stream of [...this.open]) stream.close('drain', retryMs);
  }

  /** Cuts all connections without a word. */
  cut() {
    for (const stream of [...this.open]) stream.drop();
  }

  /** From now on the open streams say nothing, like a line that is dead without anybody knowing. */
  mute() {
    for (const stream of this.open) stream.isMuted = true;
  }

  /**
   * @param {string} scope
   * @param {FakeRequest} request
   * @returns {import('./service.js').FakeAnswer}
   */
  stream(scope, request) {
    const { query, headers, caller } = request;
    const since = headers.get('Last-Event-ID') || query.get('since');
    const isNamed = query.get('named') !== 'false';
    const types = query.get('types')?.split(',') ?? null;
    const longest = this.#service.heartbeatSeconds;
    const heartbeatSeconds = Math.min(longest, Math.max(Number(query.get('heartbeat') ?? longest), SHORTEST_HEARTBEAT_SECONDS));
    return { status: 200, stream: (write, end) => this.#begin({ caller, isNamed, since, types, heartbeatSeconds, carries: carrier(scope, request), write, end }) };
  }

  /** @param {{caller: import('./service.js').Caller, isNamed: boolean, since: string | null, types: string[] | null, heartbeatSeconds: number, carries: FakeStream['carries'], write: (text: string) => void, end: () => void}} parts */
  #begin({ caller, isNamed, since, types, heartbeatSeconds, carries, write: send, end }) {
    const { clock, log, retryMs } = this.#service;
    this.#count += 1;
    const id = `stream-${this.#count}`;
    const { after, reset } = log.start(since, carries);
    const write = (/** @type {string} */ text) => {
      if (!stream.isMuted) send(text);
    };
    /** @type {Map<string, any>} */
    const timers = new Map();
    const leave = enter(this.#service, caller.userId, id);
    const over = () => {
      leave();
      for (const timer of timers.values()) clock.clearTimeout(timer);
      this.open.delete(stream);
    };
    /** @type {FakeStream} */
    const stream = {
      id, caller, isNamed, carries, write, isMuted: false,
      close: (reason, ms = retryMs) => {
        write(`retry: ${ms}\n${block(isNamed, { type: 'stream:closing', reason, retryMs: ms }, null)}`);
        stream.drop();
      },
      drop: () => {
        over();
        end();
      },
      renew: (exp) => {
        plan(exp);
        write(block(isNamed, { type: 'stream:renewed', inSeconds: Math.floor((exp - clock.now()) / 1_000) }, null));
      },
    };
    const plan = (/** @type {number} */ exp) => {
      clock.clearTimeout(timers.get('expiring'));
      clock.clearTimeout(timers.get('end'));
      if (exp - clock.now() > 2 ** 31) return;
      const notice = Math.min(EXPIRING_MS, (exp - clock.now()) / 2);
      timers.set('expiring', clock.setTimeout(() => write(block(isNamed, { type: 'stream:expiring', inSeconds: Math.floor(notice / 1_000) }, null)), exp - clock.now() - notice));
      timers.set('end', clock.setTimeout(() => stream.close('expired'), exp - clock.now()));
    };
    let beats = 0;
    const beat = () => {
      beats += 1;
      write(beats % 2 ? ':hb\n' : isNamed ? `event: hb\ndata:\nid: ${log.position}\n\n` : `data: {"type":"hb"}\nid: ${log.position}\n\n`);
      timers.set('beat', clock.setTimeout(beat, heartbeatSeconds * 1_000));
    };
    timers.set('beat', clock.setTimeout(beat, heartbeatSeconds * 1_000));
    const scopes = { user: caller.userId, teams: caller.teams, broker: caller.broker };
    const ready = { type: 'stream:ready', stream: id, position: log.at(after), scopes, heartbeatSeconds };
    write(`retry: ${retryMs}\n:ok\n${block(isNamed, ready, log.at(after))}`);
    const { people, locks } = snapshotsOf(this.#service, caller);
    if (fitsTypes(types, people.type)) write(block(isNamed, people, null));
    if (reset) write(block(isNamed, { type: 'stream:reset', reason: reset, position: log.at(after), snapshot: '/events?scope=all' }, log.at(after)));
    if (fitsTypes(types, locks.type)) write(block(isNamed, locks, null));
    this.open.add(stream);
    plan(caller.exp);
    for (const event of log.events) if (event.number > after && carries(event)) write(block(isNamed, event.data, log.at(event.number)));
    return over;
  }

  /**
   * @param {FakeRequest} request
   * @returns {Promise<import('./service.js').FakeAnswer>}
   */
  async history(request) {
    const { query, signal } = request;
    const { log, clock } = this.#service;
    const carries = carrier(query.get('scope') ?? 'all', request);
    const asked = query.get('after') ?? '0';
    const { after, reset } = asked === '0' ? { after: log.horizon, reset: null } : log.resume(asked);
    if (reset) throw new Problem(410, `cursor_${reset}`, 'The position cannot be served.', { position: log.position });
    const limit = Number(query.get('limit') ?? 100);
    const page = () => log.events.filter((event) => event.number > after && carries(event)).slice(0, limit);
    const wait = Number(query.get('wait') ?? 0);
    if (wait && !page().length) {
      await /** @type {Promise<void>} */ (new Promise((resolve) => {
        const done = () => {
          this.#polls.delete(poll);
          signal?.removeEventListener('abort', done);
          clock.clearTimeout(timer);
          resolve();
        };
        const poll = (/** @type {LoggedEvent} */ event) => carries(event) && done();
        const timer = clock.setTimeout(done, wait * 1_000);
        this.#polls.add(poll);
        signal?.addEventListener('abort', done);
      }));
    }
    const events = page();
    const next = events.length === limit ? log.at(events[events.length - 1].number) : log.position;
    return { status: 200, headers: { 'Stream-Position': log.position }, body: { events: events.map(({ number, data }) => ({ position: log.at(number), ...data })), next } };
  }
}

/** @type {import('./service.js').Route[]} */
export const streamRoutes = [
  ['GET', /^\/stream$/, (service, request) => service.streams.stream('all', request)],
  ['GET', /^\/stream\/(user|team|broker)$/, (service, request) => service.streams.stream(request.parts[0], request)],
  ['GET', /^\/stream\/records\/([^/]+)\/([^/]+)$/, (service, request) => {
    request.query.set('records', request.parts.join('/'));
    return service.streams.stream('records', request);
  }],
  ['GET', /^\/events$/, (service, request) => service.streams.history(request)],
  ['POST', /^\/events$/, (service, { body, caller }) => {
    if (caller.role !== 'service') throw new Problem(403, 'role_needed', 'Publishing needs the role service.');
    const positions = [body.events ?? body].flat().map(({ audience, ...data }) => service.publish(audience, { userId: caller.userId, ...data }));
    return { status: 201, body: { positions } };
  }],
  ['POST', /^\/sessions\/renew$/, (service, { body, caller }) => {
    if (!service.canRenew) throw new Problem(404, 'not_found', 'There is nothing at /sessions/renew.');
    const stream = [...service.streams.open].find(({ id }) => id === body.stream);
    if (!stream || stream.caller.userId !== caller.userId) throw new Problem(404, 'unknown_stream', 'There is no such stream.', { field: 'stream' });
    const rightsOf = (/** @type {import('./service.js').Caller} */ { role, teams }) => JSON.stringify([role, teams]);
    if (rightsOf(stream.caller) !== rightsOf(caller)) {
      stream.close('changed');
      throw new Problem(409, 'rights_changed', 'The fresh token has other teams or another role than the stream.');
    }
    stream.renew(caller.exp);
    return { status: 200, body: { expiresAt: new Date(caller.exp).toISOString() } };
  }],
];
