// Who is here, what they have open, what they type and what is locked: a fold of the stream.

/** @typedef {import('../events.d.ts').Person} Person */
/** @typedef {import('../events.d.ts').Lock} Lock */

/**
 * @typedef {{name: string, userId: string, session: string | null, module: string | null, recordId: string | null, team: string | null, endsAt: number}} Typing
 */

/**
 * @typedef {object} PresenceSnapshot
 * @property {boolean} isKnown whether the stream has said who is here
 * @property {readonly Person[]} people
 * @property {number} online how many are online, listed or not
 * @property {boolean} isComplete whether everyone is listed
 * @property {boolean} isStale the service does not know what happens on its other instances
 * @property {readonly Typing[]} typing
 * @property {readonly Lock[]} locks
 */

/** @type {PresenceSnapshot} */
export const NOBODY = { isKnown: false, people: [], online: 0, isComplete: true, isStale: false, typing: [], locks: [] };

/** A further page of locks, which the stream did not begin with. */
export const MORE_LOCKS = 'locks:more';

/** @param {{module?: string, recordId?: string}} a @param {{module?: string | null, recordId?: string | null}} b */
const sameRecord = (a, b) => a.module === b.module && a.recordId === b.recordId;

/**
 * The state after an event, or the same object if it says nothing new.
 * @param {PresenceSnapshot} state
 * @param {any} event
 * @param {number} now
 * @returns {PresenceSnapshot}
 */
export function foldPeople(state, event, now) {
  const { type, data } = event;
  if (type === 'presence:snapshot') {
    const { users, online, complete, stale } = event;
    return { ...state, isKnown: true, people: users, online, isComplete: complete, isStale: Boolean(stale) };
  }
  if (type === 'locks:snapshot') return { ...state, locks: event.locks };
  if (type === MORE_LOCKS) return withMoreLocks(state, event.locks);
  if (type === 'presence:count') return { ...state, online: data.online };
  if (type.startsWith('user:presence:')) return withStatus(state, event);
  if (type.startsWith('user:viewing:')) return withOpen(state, event, 'viewing');
  if (type.startsWith('user:editing:')) return withOpen(state, event, 'editing');
  if (type.startsWith('user:')) return withSignal(state, event, now);
  if (type.endsWith(':locked') || type.endsWith(':unlocked')) return withLock(state, event);
  return state;
}

/** @param {PresenceSnapshot} state @param {any} event @returns {PresenceSnapshot} */
function withStatus(state, { userId, data: { status, since, online, of } }) {
  const others = state.people.filter((person) => person.userId !== userId);
  const known = state.people.find((person) => person.userId === userId) ?? { userId, viewing: [], editing: [] };
  const people = status === 'offline' ? others : [...others, { ...known, status, since }].sort((a, b) => (a.userId < b.userId ? -1 : 1));
  const typing = status === 'offline' ? state.typing.filter((one) => one.userId !== userId) : state.typing;
  return { ...state, people, typing, online: of.record ? state.online : online };
}

/** @param {PresenceSnapshot} state @param {any} event @param {'viewing' | 'editing'} what @returns {PresenceSnapshot} */
function withOpen(state, { userId, module, recordId, data, timestamp }, what) {
  const record = { module, recordId };
  const known = state.people.find((person) => person.userId === userId);
  if (!known && (!data[what] || data.status === 'offline')) return state;
  const person = known ?? { userId, status: data.status, since: timestamp, viewing: [], editing: [] };
  const rest = person[what].filter((one) => !sameRecord(one, record));
  const next = { ...person, [what]: data[what] ? [...rest, record] : rest };
  return { ...state, people: [...state.people.filter((one) => one !== known), next].sort((a, b) => (a.userId < b.userId ? -1 : 1)) };
}

/** @param {PresenceSnapshot} state @param {any} event @param {number} now @returns {PresenceSnapshot} */
function withSignal(state, { type, userId, module = null, recordId = null, data }, now) {
  const isStop = type.startsWith('user:stopped_');
  const name = type.replace(/^user:(stopped_)?/, '');
  const team = data.team ?? null;
  const others = state.typing.filter((one) => !(one.userId === userId && one.name === name && one.recordId === recordId && one.module === module && one.team === team));
  if (isStop) return others.length === state.typing.length ? state : { ...state, typing: others };
  return { ...state, typing: [...others, { name, userId, session: data.session ?? null, module, recordId, team, endsAt: now + data.endsInMs }] };
}

/** @param {PresenceSnapshot} state @param {any} event @returns {PresenceSnapshot} */
function withLock(state, { type, module, recordId, data }) {
  const known = state.locks.find((lock) => sameRecord(lock, { module, recordId }));
  if (known && known.fence > data.fence) return state;
  const others = state.locks.filter((lock) => lock !== known);
  if (type.endsWith(':unlocked')) return known ? { ...state, locks: others } : state;
  return { ...state, locks: [...others, { module, recordId, waiting: 0, ...data }] };
}

/** @param {PresenceSnapshot} state @param {any[]} locks @returns {PresenceSnapshot} */
function withMoreLocks(state, locks) {
  const known = new Set(state.locks.map(({ module, recordId }) => `${module}/${recordId}`));
  return { ...state, locks: [...state.locks, ...locks.filter(({ module, recordId }) => !known.has(`${module}/${recordId}`))] };
}

/** No signal lasts longer, so one that seems to was begun before the clock was set back. */
const MOST_SIGNAL_MS = 60_000;

/** Signals end by themselves. @param {PresenceSnapshot} state @param {number} now @returns {PresenceSnapshot} */
export function withoutEnded(state, now) {
  const typing = state.typing.filter(({ endsAt }) => endsAt > now && endsAt <= now + MOST_SIGNAL_MS);
  return typing.length === state.typing.length ? state : { ...state, typing };
}
