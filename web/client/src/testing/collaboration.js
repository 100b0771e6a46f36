// Locks, presence and signals of the fake service.
import { sees } from './log.js';
import { Problem } from './problem.js';

/** @typedef {import('./service.js').FakeService} FakeService */
/** @typedef {import('./service.js').FakeRequest} FakeRequest */
/** @typedef {{module: string, recordId: string}} RecordRef */
/** @typedef {{userId: string, session: string}} Holder */
/** @typedef {{module: string, recordId: string, holder: Holder, fence: number, lockedAt: string, lockedUntil: string, waiting: number}} Lock */
/** @typedef {{lock: Lock, sessions: Map<string, number>, waiting: Set<string>, timer: any}} Held */

const SINGULAR = /** @type {Record<string, string>} */ ({ escrows: 'escrow', listings: 'listing', clients: 'client', appointments: 'appointment', leads: 'lead' });
const LEASE_SECONDS = 300;
const HEARTBEAT_SECONDS = 60;
const GRACE_MS = 15_000;
const SIGNAL_MS = 6_000;

/** @param {FakeService} service @returns {Map<string, Lock>} */
const locksOf = (service) => service.part('locks', () => new Map());
/** @param {FakeService} service @returns {Map<string, Held>} */
const heldOf = (service) => service.part('held', () => new Map());
/** @param {FakeService} service @returns {Map<string, number>} */
const fencesOf = (service) => service.part('fences', () => new Map());

/** @param {FakeService} service @param {RecordRef} record @returns {import('./log.js').Audience} */
function audienceOf(service, { module, recordId }) {
  const row = service.part(`records:${module}`, () => new Map()).get(recordId);
  return row && row.record.teamId !== null ? { team: row.record.teamId } : { broker: true };
}

/** @param {FakeService} service @param {RecordRef} record @param {string} action @param {Record<string, unknown>} content */
function tell(service, record, action, { userId, ...data }) {
  service.publish(audienceOf(service, record), { type: `${SINGULAR[record.module]}:${action}`, module: record.module, recordId: record.recordId, userId, data });
}

/** @param {number} ms */
const time = (ms) => new Date(ms).toISOString();

/** @param {FakeService} service @param {string} key @param {'released' | 'expired' | 'taken_over'} reason @param {Holder} [by] */
function unlock(service, key, reason, by) {
  const held = heldOf(service).get(key);
  if (!held) return;
  const { lock, waiting, timer } = held;
  service.clock.clearTimeout(timer);
  heldOf(service).delete(key);
  locksOf(service).delete(key);
  const { holder, fence, lockedAt } = lock;
  const userId = reason === 'expired' ? undefined : by?.userId ?? holder.userId;
  tell(service, lock, 'unlocked', { userId, holder, fence, lockedAt, reason, ...(by && { by }) });
  if (by) return;
  for (const user of waiting) {
    service.publish({ user }, { type: `${SINGULAR[lock.module]}:lock_available`, module: lock.module, recordId: lock.recordId, data: { fence } });
  }
}

/** @param {FakeService} service @param {string} key */
function watch(service, key) {
  const held = heldOf(service).get(key);
  if (!held) return;
  const until = Math.max(...held.sessions.values());
  held.lock.lockedUntil = time(until);
  service.clock.clearTimeout(held.timer);
  held.timer = service.clock.setTimeout(() => unlock(service, key, 'expired'), until - service.clock.now());
}

/** @param {FakeService} service @param {RecordRef} record @param {Holder} holder @param {number | null | undefined} seconds */
function grant(service, { module, recordId }, holder, seconds) {
  const key = `${module}/${recordId}`;
  const fence = (fencesOf(service).get(key) ?? 0) + 1;
  fencesOf(service).set(key, fence);
  const now = service.clock.now();
  const until = now + (seconds ?? LEASE_SECONDS) * 1_000;
  const lock = { module, recordId, holder, fence, lockedAt: time(now), lockedUntil: time(until), waiting: 0 };
  locksOf(service).set(key, lock);
  heldOf(service).set(key, { lock, sessions: new Map([[holder.session, until]]), waiting: new Set(), timer: null });
  watch(service, key);
  tell(service, lock, 'locked', { userId: holder.userId, holder, fence, lockedAt: lock.lockedAt, lockedUntil: lock.lockedUntil });
  return { status: 201, body: { ...lock } };
}

/** @param {Lock} lock */
const conflict = (lock) => new Problem(409, 'locked', `${lock.holder.userId} holds the lock.`, { lock: { ...lock } });

/** @param {FakeService} service @param {FakeRequest} request */
function heldBy(service, { parts: [module, id], caller }) {
  const held = heldOf(service).get(`${module}/${id}`);
  if (!held) throw new Problem(404, 'not_locked', 'The record is not locked.');
  if (held.lock.holder.userId !== caller.userId) throw conflict(held.lock);
  return held;
}

/** @param {FakeService} service @param {FakeRequest} request */
function acquire(service, { body: { module, recordId, session, leaseSeconds }, caller }) {
  const key = `${module}/${recordId}`;
  const held = heldOf(service).get(key);
  if (!held) return grant(service, { module, recordId }, { userId: caller.userId, session }, leaseSeconds);
  if (held.lock.holder.userId !== caller.userId) throw conflict(held.lock);
  held.sessions.set(session, service.clock.now() + (leaseSeconds ?? LEASE_SECONDS) * 1_000);
  watch(service, key);
  return { status: 200, body: { ...held.lock } };
}

/** @param {FakeService} service @param {FakeRequest} request */
function renew(service, request) {
  const { body: { session, leaseSeconds }, parts } = request;
  const held = heldBy(service, request);
  if (!held.sessions.has(session)) throw new Problem(404, 'unknown_session', 'You hold the lock, but not with this session.', { field: 'session' });
  held.sessions.set(session, service.clock.now() + (leaseSeconds ?? LEASE_SECONDS) * 1_000);
  watch(service, parts.join('/'));
  return { status: 200, body: { ...held.lock } };
}

/** @param {FakeService} service @param {FakeRequest} request */
function release(service, request) {
  const held = heldBy(service, request);
  const session = request.query.get('session');
  if (session && !held.sessions.delete(session)) throw new Problem(404, 'unknown_session', 'You hold the lock, but not with this session.', { field: 'session' });
  const next = [...held.sessions.keys()].at(-1);
  if (!session || next === undefined) unlock(service, request.parts.join('/'), 'released');
  else held.lock.holder = { ...held.lock.holder, session: next };
  return { status: 204 };
}

/** @param {FakeService} service @param {FakeRequest} request */
function ask(service, { parts: [module, id], body, caller }) {
  const held = heldOf(service).get(`${module}/${id}`);
  if (!held) throw new Problem(404, 'not_locked', 'The record is not locked.');
  const { lock, waiting } = held;
  if (lock.holder.userId === caller.userId) throw new Problem(409, 'own_lock', 'You hold the lock yourself.', { lock: { ...lock } });
  waiting.add(caller.userId);
  lock.waiting = waiting.size;
  const by = { userId: caller.userId, ...(body?.session && { session: body.session }) };
  service.publish({ user: lock.holder.userId }, { type: `${SINGULAR[module]}:lock_requested`, module, recordId: id, userId: caller.userId, data: { by } });
  return { status: 202, body: { lock: { ...lock } } };
}

/** @param {FakeService} service @param {FakeRequest} request */
function takeOver(service, { parts: [module, recordId], body: { session, leaseSeconds }, caller }) {
  const held = heldOf(service).get(`${module}/${recordId}`);
  const by = { userId: caller.userId, session };
  if (held && caller.role !== 'admin') throw new Problem(403, 'takeover_refused', 'The holder is online.', { lock: { ...held.lock } });
  if (held) unlock(service, `${module}/${recordId}`, 'taken_over', by);
  return grant(service, { module, recordId }, by, leaseSeconds);
}

/** @typedef {{status: string, viewing: RecordRef | null, editing: RecordRef | null, timer: any}} Session */
/** @typedef {{status: 'online' | 'away', since: string, sessions: Map<string, Session>}} FakePerson */

/** @param {FakeService} service @returns {Map<string, FakePerson>} */
const peopleOf = (service) => service.part('people', () => new Map());

/**
 * What streams begin with.
 * @param {FakeService} service
 * @param {import('./service.js').Caller} caller
 */
export function snapshotsOf(service, caller) {
  const users = personList(service);
  const locks = [...locksOf(service).values()].filter((lock) => sees(caller, audienceOf(service, lock)));
  return {
    people: { type: 'presence:snapshot', users, online: users.filter(({ status }) => status === 'online').length, complete: true },
    locks: { type: 'locks:snapshot', position: service.log.position, locks },
  };
}

/** @param {FakePerson} person @param {'viewing' | 'editing'} what */
const openBy = ({ sessions }, what) => [...sessions.values()].map((session) => session[what]).filter((record) => record !== null);

/** @param {FakeService} service */
function personList(service) {
  return [...peopleOf(service)].map(([userId, person]) => ({
    userId, status: person.status, since: person.since, viewing: openBy(person, 'viewing'), editing: openBy(person, 'editing'),
  })).sort((a, b) => (a.userId < b.userId ? -1 : 1));
}

/** @param {FakeService} service @param {string} userId @param {'viewing' | 'editing'} what @param {RecordRef | null} before @param {RecordRef | null} after */
function tellOpen(service, userId, what, before, after) {
  if (JSON.stringify(before) === JSON.stringify(after)) return;
  const online = personList(service).filter(({ status }) => status === 'online').length;
  for (const [record, isOpen] of /** @type {[RecordRef | null, boolean][]} */ ([[before, false], [after, true]])) {
    if (!record) continue;
    const count = [...peopleOf(service).values()].filter((person) => openBy(person, what).some((one) => one?.recordId === record.recordId)).length;
    const counts = what === 'viewing' ? { viewers: count } : { editors: count };
    service.streams.deliverEphemeral(audienceOf(service, record), {
      type: `user:${what}:${SINGULAR[record.module]}`, ...record, userId, data: { [what]: isOpen, ...counts, online, status: peopleOf(service).get(userId)?.status ?? 'offline' },
    });
  }
}

/** @param {FakeService} service @param {string} userId @param {'online' | 'away' | 'offline'} status */
function tellStatus(service, userId, status) {
  const since = time(service.clock.now());
  const person = peopleOf(service).get(userId);
  if (person && status !== 'offline') Object.assign(person, { status, since });
  if (status === 'offline') peopleOf(service).delete(userId);
  const online = personList(service).filter((one) => one.status === 'online').length;
  service.streams.deliverEphemeral({ broker: true }, { type: `user:presence:${status}`, userId, data: { status, since, online, of: { broker: true } } });
}

/** @param {FakeService} service @param {string} userId @param {string} name */
function endSession(service, userId, name) {
  const person = peopleOf(service).get(userId);
  const session = person?.sessions.get(name);
  if (!person || !session) return false;
  service.clock.clearTimeout(session.timer);
  person.sessions.delete(name);
  tellOpen(service, userId, 'viewing', session.viewing, null);
  tellOpen(service, userId, 'editing', session.editing, null);
  if (!person.sessions.size) service.clock.setTimeout(() => !person.sessions.size && peopleOf(service).get(userId) === person && tellStatus(service, userId, 'offline'), GRACE_MS);
  return true;
}

/** @param {FakeService} service @param {FakeRequest} request */
function beat(service, { body: { session: name, status = 'online', viewing = null, editing = null }, caller: { userId } }) {
  const people = peopleOf(service);
  const isNew = !people.has(userId);
  const person = people.get(userId) ?? { status: 'online', since: time(service.clock.now()), sessions: new Map() };
  people.set(userId, person);
  const before = person.sessions.get(name);
  service.clock.clearTimeout(before?.timer);
  const timer = service.clock.setTimeout(() => endSession(service, userId, name), HEARTBEAT_SECONDS * 1_000);
  person.sessions.set(name, { status, viewing, editing, timer });
  const now = [...person.sessions.values()].some((one) => one.status === 'online') ? 'online' : 'away';
  if (isNew || now !== person.status) tellStatus(service, userId, now);
  tellOpen(service, userId, 'viewing', before?.viewing ?? null, viewing);
  tellOpen(service, userId, 'editing', before?.editing ?? null, editing);
  return { status: 200, body: { countsForSeconds: HEARTBEAT_SECONDS } };
}

/**
 * An open stream is a sign of life.
 * @param {FakeService} service
 * @param {string} userId
 * @param {string} stream
 * @returns {() => void} ends it
 */
export function enter(service, userId, stream) {
  const people = peopleOf(service);
  const person = people.get(userId) ?? { status: 'online', since: time(service.clock.now()), sessions: new Map() };
  const isNew = !people.has(userId);
  people.set(userId, person);
  person.sessions.set(stream, { status: 'online', viewing: null, editing: null, timer: null });
  if (isNew) tellStatus(service, userId, 'online');
  return () => void endSession(service, userId, stream);
}

/** @param {FakeService} service @param {FakeRequest} request */
function signal(service, { body: { name, module, recordId, team, session }, caller: { userId } }) {
  const isStop = name.startsWith('stopped_');
  const signals = service.part('signals', () => /** @type {Map<string, any>} */ (new Map()));
  const key = [userId, name.replace('stopped_', ''), module, recordId, team].join(' ');
  const audience = team ? { team } : audienceOf(service, { module, recordId });
  const target = { ...(module && { module, recordId }), userId };
  const about = { ...(session && { session }), ...(team && { team }) };
  const end = (/** @type {string} */ reason) => {
    if (!signals.has(key)) return;
    service.clock.clearTimeout(signals.get(key));
    signals.delete(key);
    service.streams.deliverEphemeral(audience, { type: `user:stopped_${name.replace('stopped_', '')}`, ...target, data: { ...about, reason } });
  };
  if (isStop) {
    end('said');
    return { status: 202, body: { endsInMs: 0 } };
  }
  service.clock.clearTimeout(signals.get(key));
  signals.set(key, service.clock.setTimeout(() => end('ended'), SIGNAL_MS));
  service.streams.deliverEphemeral(audience, { type: `user:${name}`, ...target, data: { ...about, endsInMs: SIGNAL_MS } });
  return { status: 202, body: { endsInMs: SIGNAL_MS } };
}

const ONE = '([^/]+)/([^/]+)';

/** @type {import('./service.js').Route[]} */
export const collaborationRoutes = [
  ['GET', /^\/locks$/, (service) => ({ status: 200, headers: { 'Stream-Position': service.log.position }, body: { locks: [...locksOf(service).values()].map((lock) => ({ ...lock })), next: null } })],
  ['POST', /^\/locks$/, acquire],
  ['DELETE', new RegExp(`^/locks/${ONE}$`), release],
  ['POST', new RegExp(`^/locks/${ONE}/renew$`), renew],
  ['POST', new RegExp(`^/locks/${ONE}/request$`), ask],
  ['POST', new RegExp(`^/locks/${ONE}/takeover$`), takeOver],
  ['GET', /^\/presence$/, (service) => {
    const users = personList(service);
    return { status: 200, body: { users, online: users.filter(({ status }) => status === 'online').length, complete: true, next: null } };
  }],
  ['POST', /^\/presence\/heartbeat$/, beat],
  ['POST', /^\/presence\/leave$/, (service, { body, caller }) => {
    if (!endSession(service, caller.userId, body.session)) throw new Problem(404, 'unknown_session', 'There is no such session.', { field: 'session' });
    return { status: 204 };
  }],
  ['POST', /^\/signals$/, signal],
];
