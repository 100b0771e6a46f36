// What has happened to the connection, in sentences.

/** Older entries make room. */
const MOST_ENTRIES = 500;

const REASONS = {
  network: 'the connection broke',
  ended: 'the service ended the stream',
  silence: 'nothing came for too long',
  expired: 'the token has expired',
  revoked: 'the token was revoked',
  evicted: 'the user has too many streams',
  disconnected: 'an administrator ended it',
  drain: 'the service stops',
  overloaded: 'the service is full',
  unavailable: 'the service cannot reach its database',
  offline: 'there is no network',
  'no-token': 'there is no valid token',
  closed: 'it was closed',
};
const reasonOf = (reason) => REASONS[reason] ?? reason;
const seconds = (ms) => `${(ms / 1_000).toFixed(1)} s`;

const SENTENCES = {
  opening: ({ since }) => (since ? `Connects, after ${since}` : 'Connects, from now on'),
  connected: ({ position }) => `Connected at ${position ?? 'the end of the log'}`,
  disconnected: ({ reason, waitMs, failures }) => `Disconnected: ${reasonOf(reason)}${waitMs === undefined ? '' : `. Attempt ${failures + 1} in ${seconds(waitMs)}`}`,
  stopped: ({ reason }) => `Stopped: ${reasonOf(reason)}`,
  reset: ({ reason, position }) => `Reset (${reason}): events may be missing; it goes on after ${position}`,
  'token renewed': ({ how }) => (how === 'extended' ? 'The token was renewed on the open stream' : 'The token was renewed by a new connection'),
  lost: () => 'Not connected for 5 seconds',
  'disconnected-long': () => 'Not connected for 5 minutes',
  break: ({ what }) => `You: ${what}`,
};

export class History {
  /** From old to new. @type {{n: number, at: number, level: string, text: string}[]} */
  entries = [];
  #count = 0;
  events = 0;
  resets = 0;
  connects = 0;
  disconnects = 0;
  /** Since when it is connected. */
  since = null;

  /** @param {import('../../client/src/connection_status.js').Diagnostic} entry */
  add({ at, level, message, data }) {
    if (message === 'connected') this.connects += 1;
    if (message === 'disconnected') this.disconnects += 1;
    if (message === 'reset') this.resets += 1;
    if (message === 'connected') this.since = at;
    const text = SENTENCES[message]?.(data) ?? message;
    this.#count += 1;
    this.entries.push({ n: this.#count, at, level: message === 'break' ? 'own' : level, text });
    if (this.entries.length > MOST_ENTRIES) this.entries.shift();
  }

  count(deliveries) {
    this.events += deliveries.length;
  }
}
