// Who is online and what is locked: a pure fold of a stream's messages. It uses neither the document nor
// a clock, so that the same messages always give the same state.

const PRESENCE = /^user:presence:(online|away|offline)$/;
const PLACE = /^user:(viewing|editing):[^:]+$/;
const SIGNAL = /^user:(stopped_)?([a-z0-9_-]+)$/;
const LOCK = /:(locked|unlocked)$/;

const pathOf = ({ module, recordId }) => `${module}/${recordId}`;

/** The number of a position, of any size: `1042-k7q2mw` is the 1042nd event of its log. */
const numberOf = (position) => BigInt(position.split('-')[0]);

const byText = (one, other) => (one < other ? -1 : Number(one > other));

function personOf({ status, since, viewing, editing }) {
  return { status, since, viewing: new Set(viewing.map(pathOf)), editing: new Set(editing.map(pathOf)) };
}

/** The state that results from a stream's messages. */
export class People {
  #bearer;
  #hasBroker = false;
  /** By user; null until the first snapshot. */
  #people = null;
  #online = 0;
  #isComplete = true;
  /** By record; null until the first snapshot. */
  #locks = null;
  #locksAt = -1n;
  #areLocksComplete = true;
  /** By user, signal and target. */
  #signals = new Map();

  /** `bearer`: the user of the stream, if the token names one. */
  constructor(bearer) {
    this.#bearer = bearer;
  }

  /**
   * Takes a message: its data, its position (null, if it has none) and the time. Returns whether
   * the message concerns people or locks.
   */
  take(data, position, nowMs) {
    if (data.type === 'stream:ready') return this.#begin(data);
    return position ? this.#takeEvent(data, position) : this.#takeState(data, nowMs);
  }

  /** The lease of a lock was extended, which is not published. */
  renewed(lock) {
    const known = this.#locks?.get(pathOf(lock));
    if (known?.fence === lock.fence) known.lockedUntil = lock.lockedUntil;
  }

  /** The state at this time. */
  view(nowMs) {
    return {
      isKnown: this.#people !== null,
      online: this.#isComplete ? this.#countOnline() : this.#online,
      isComplete: this.#isComplete,
      people: this.#viewPeople(nowMs),
      areLocksKnown: this.#locks !== null,
      areLocksComplete: this.#areLocksComplete,
      locks: this.#viewLocks(),
    };
  }

  #begin({ scopes }) {
    this.#hasBroker = Boolean(scopes?.broker);
    this.#bearer = scopes?.user ?? this.#bearer;
    return true;
  }

  #takeEvent(data, position) {
    const happened = data.type.match(LOCK)?.[1];
    if (!happened || !data.recordId || !data.data?.holder?.userId) return false;
    if (numberOf(position) <= this.#locksAt) return false;
    const { holder, fence, lockedAt, lockedUntil } = data.data;
    if (happened === 'locked' && !(Date.parse(lockedAt) <= Date.parse(lockedUntil))) return false;
    const { module, recordId } = data;
    this.#locks ??= new Map();
    if (happened === 'locked') this.#locks.set(pathOf(data), { module, recordId, holder, fence, lockedAt, lockedUntil });
    else this.#locks.delete(pathOf(data));
    return true;
  }

  #takeState(data, nowMs) {
    if (data.type === 'presence:snapshot') return this.#replacePeople(data);
    if (data.type === 'presence:count') return this.#count(data.data);
    if (data.type === 'locks:snapshot') return this.#replaceLocks(data);
    const status = data.type.match(PRESENCE)?.[1];
    if (status) return this.#turn(data, status);
    const verb = data.type.match(PLACE)?.[1];
    if (verb) return this.#move(data, verb);
    const signal = data.type.match(SIGNAL);
    return signal ? this.#signal(data, signal, nowMs) : false;
  }

  #replacePeople({ users, online, complete }) {
    this.#people = new Map(users.map((user) => [user.userId, personOf(user)]));
    this.#online = online;
    this.#isComplete = complete;
    return true;
  }

  #replaceLocks({ position, locks, truncated }) {
    this.#locks = new Map(locks.map((lock) => [pathOf(lock), { ...lock }]));
    this.#locksAt = numberOf(position);
    this.#areLocksComplete = !truncated;
    return true;
  }

  /** On a stream of the broker, only the number of the broker counts: its teams have numbers too. */
  #count({ online, of }) {
    if (!this.#hasBroker || of?.broker) this.#online = online;
    return true;
  }

  #turn({ userId, data }, status) {
    this.#people ??= new Map();
    this.#count(data);
    if (status === 'offline') {
      this.#people.delete(userId);
    } else {
      const known = this.#people.get(userId) ?? { viewing: new Set(), editing: new Set() };
      this.#people.set(userId, { ...known, status, since: data.since });
    }
    return true;
  }

  /** Records that unknown people have open are ignored. */
  #move(data, verb) {
    const places = this.#people?.get(data.userId)?.[verb];
    if (data.data[verb]) places?.add(pathOf(data));
    else places?.delete(pathOf(data));
    return true;
  }

  #signal(data, [, stopped, name], nowMs) {
    const target = data.recordId ? pathOf(data) : data.data?.team;
    const key = JSON.stringify([data.userId, name, target]);
    if (stopped) this.#signals.delete(key);
    else this.#signals.set(key, { userId: data.userId, name, target, endsAtMs: nowMs + (data.data?.endsInMs ?? 0) });
    return true;
  }

  #countOnline() {
    return [...(this.#people?.values() ?? [])].filter((person) => person.status === 'online').length;
  }

  /** People who are online or away, and those who only sent a signal. */
  #viewPeople(nowMs) {
    for (const [key, { endsAtMs }] of this.#signals) if (endsAtMs <= nowMs) this.#signals.delete(key);
    const signals = [...this.#signals.values()];
    const users = new Set([...(this.#people?.keys() ?? []), ...signals.map(({ userId }) => userId)]);
    return [...users].sort(byText).map((userId) => {
      const { status = null, since = null, viewing = [], editing = [] } = this.#people?.get(userId) ?? {};
      const doing = signals.filter((signal) => signal.userId === userId).map(({ name, target }) => ({ name, target }));
      return {
        userId,
        isBearer: userId === this.#bearer,
        status,
        since,
        viewing: [...viewing].sort(byText),
        editing: [...editing].sort(byText),
        doing,
      };
    });
  }

  /** The oldest lock first. */
  #viewLocks() {
    const locks = [...(this.#locks?.values() ?? [])];
    const own = locks.map((lock) => ({ ...lock, path: pathOf(lock), isOwn: lock.holder.userId === this.#bearer }));
    return own.sort((one, other) => byText(one.lockedAt, other.lockedAt) || byText(one.path, other.path));
  }
}
