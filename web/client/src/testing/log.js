// The event log of the fake service.

/** @typedef {{user?: string, team?: string, broker?: true}} Audience */
/** @typedef {{number: number, audience: Audience, data: any}} LoggedEvent */

export class FakeLog {
  /** @type {LoggedEvent[]} */
  events = [];
  /** Events up to it have been removed. */
  horizon = 0;
  head = 0;

  /** @param {string} [epoch] */
  constructor(epoch = 'fake01') {
    this.epoch = epoch;
  }

  get position() {
    return this.at(this.head);
  }

  /** @param {number} number */
  at(number) {
    return `${number}-${this.epoch}`;
  }

  /**
   * @param {Audience} audience
   * @param {any} data
   * @param {number} now
   */
  append(audience, data, now) {
    this.head += 1;
    const { type } = data;
    const event = { number: this.head, audience, data: { action: type.slice(type.lastIndexOf(':') + 1), ...data, timestamp: new Date(now).toISOString() } };
    this.events.push(event);
    return event;
  }

  /** Removes events like retention does. @param {number} upTo */
  expire(upTo) {
    this.horizon = Math.max(this.horizon, upTo);
    this.events = this.events.filter(({ number }) => number > upTo);
  }

  /**
   * Where a stream begins: at a cursor, before the last events (`-20`), or now.
   * @param {string | null} since
   * @param {(event: LoggedEvent) => boolean} carries
   */
  start(since, carries) {
    if (since === null) return { after: this.head, reset: null };
    if (since === '0') return { after: this.horizon, reset: null };
    if (!/^-[1-9]\d{0,3}$/.test(since)) return this.resume(since);
    const last = this.events.filter(carries).at(Number(since));
    return { after: last ? last.number - 1 : this.horizon, reset: null };
  }

  /**
   * Where a cursor continues, or why it cannot be served.
   * @param {string} position
   * @returns {{after: number, reset: 'expired' | 'unknown' | 'ahead' | null}}
   */
  resume(position) {
    const match = position.match(/^(\d{1,19})(?:-([A-Za-z0-9]{1,16}))?$/);
    if (!match || (match[2] && match[2] !== this.epoch)) return { after: this.head, reset: 'unknown' };
    const after = Number(match[1]);
    if (after > this.head) return { after: this.head, reset: 'ahead' };
    if (after < this.horizon) return { after: this.head, reset: 'expired' };
    return { after, reset: null };
  }
}

/**
 * Whether a type fits one of these patterns.
 * @param {string[] | null} patterns
 * @param {string} type
 */
export const fitsTypes = (patterns, type) => !patterns || patterns.some((one) => (one.endsWith('*') ? type.startsWith(one.slice(0, -1)) : one === type));

/** @param {import('./service.js').Caller} caller @param {Audience} audience */
export const sees = (caller, audience) => Boolean(audience.broker) || audience.user === caller.userId || (audience.team !== undefined && caller.teams.includes(audience.team));
