// Many clients of streams, and a publisher, behind a balancer. They count what was lost, repeated or out of order, and how long
// anyone waited. Each client has a connection of its own, like a browser of its own.
import { createHmac, randomUUID } from 'node:crypto';
import https from 'node:https';
import { SECRET } from './support.mjs';

const BACKOFF_MS = 1_000;
const MOST_BACKOFF_MS = 30_000;
/** Between two attempts to publish the same event. */
const PUBLISH_RETRY_MS = 100;
const TICK_MS = 10;

const encoded = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token, without starting a program for each. */
function token(claims) {
  const now = Math.floor(Date.now() / 1_000);
  const body = `${encoded({ alg: 'HS256', typ: 'JWT' })}.${encoded({ iat: now, exp: now + 3_600, ...claims })}`;
  return `${body}.${createHmac('sha256', SECRET).update(body).digest('base64url')}`;
}

function count(counts, name) {
  counts[name] = (counts[name] ?? 0) + 1;
}

/** One client of its team's stream. It comes back whenever its stream ends. */
class Client {
  constructor(crowd, number) {
    this.crowd = crowd;
    this.number = number;
    /** When its streams began and ended. */
    this.history = [];
    this.team = `team-${number % crowd.teams}`;
    this.token = token({ broker_id: crowd.name, sub: `user-${number}`, team_id: this.team, role: 'agent' });
    this.positions = [];
    this.numbers = [];
    this.cursor = '';
    this.failures = 0;
    this.ends = 0;
    this.endedAt = null;
    this.ready = new Promise((resolve) => { this.isReady = resolve; });
  }

  open() {
    const headers = { Authorization: `Bearer ${this.token}`, Accept: 'text/event-stream' };
    if (this.cursor) headers['Last-Event-ID'] = this.cursor;
    this.closing = null;
    const request = https.request(`${this.crowd.url}/stream/team`, { agent: this.crowd.agent, rejectUnauthorized: false, headers });
    this.request = request;
    let isOver = false;
    const over = (why) => {
      if (!isOver) this.#ended(why);
      isOver = true;
    };
    request.on('error', (error) => over(error.code ?? error.message));
    request.on('response', (response) => {
      if (response.statusCode !== 200) {
        response.resume();
        over(`status ${response.statusCode}`);
        return;
      }
      this.#read(response);
      // A broken connection is told from an end: only the last chunk makes a response complete.
      response.on('end', () => over(response.complete ? 'end' : 'broken'));
      response.on('error', (error) => over(error.code ?? error.message));
    });
    request.end();
  }

  #read(response) {
    let rest = '';
    response.setEncoding('utf8');
    response.on('data', (text) => {
      const blocks = (rest + text).split('\n\n');
      rest = blocks.pop();
      for (const block of blocks) this.#take(block);
    });
  }

  #take(block) {
    const event = { data: '' };
    for (const line of block.split('\n')) {
      const at = line.indexOf(': ');
      if (at > 0) event[line.slice(0, at)] = line.slice(at + 2);
    }
    if (event.id) this.cursor = event.id;
    if (event.event?.startsWith('stream:')) this.#note(`${event.event} ${event.data.slice(0, 120)}`);
    if (event.event === 'stream:ready') this.#opened();
    if (event.event === 'stream:closing') this.closing = JSON.parse(event.data);
    if (event.event === 'stream:reset') this.crowd.report.resets += 1;
    if (event.event !== 'test:tick') return;
    const { data } = JSON.parse(event.data);
    this.positions.push(parseInt(event.id, 10));
    this.numbers.push(data.number);
    this.crowd.delays.push(Date.now() - data.at);
  }

  #note(what) {
    this.history.push(`${new Date().toISOString().slice(11, 23)} ${what}`);
  }

  #opened() {
    this.failures = 0;
    this.isReady();
    const { report } = this.crowd;
    if (this.endedAt !== null) report.longestWaitMs = Math.max(report.longestWaitMs, Date.now() - this.endedAt);
    this.endedAt = null;
  }

  /** Comes back when the service asked for it. After a failure, it waits longer each time, as our clients do. */
  #ended(why) {
    const { report, isOver } = this.crowd;
    if (isOver) return;
    this.#note(why);
    this.ends += 1;
    this.endedAt ??= Date.now();
    count(report.ends, why === 'end' ? (this.closing?.reason ?? why) : why);
    if (!this.closing) this.failures += 1;
    const backoffMs = Math.random() * Math.min(MOST_BACKOFF_MS, BACKOFF_MS * 2 ** (this.failures - 1));
    setTimeout(() => this.crowd.isOver || this.open(), this.closing?.retryMs ?? backoffMs);
  }
}

/** Clients in teams of one brokerage, behind one address. */
export class Crowd {
  constructor({ name, url, clients, teams, eventsPerSecond }) {
    Object.assign(this, { name, url, teams, eventsPerSecond, isOver: false, delays: [] });
    this.report = { ends: {}, resets: 0, longestWaitMs: 0, published: 0, publishedAgain: {}, longestPublishMs: 0 };
    this.agent = new https.Agent({ maxSockets: Infinity });
    this.publishing = new https.Agent({ keepAlive: true, maxSockets: 32 });
    this.service = token({ broker_id: name, sub: 'publisher', role: 'service' });
    this.expected = Array.from({ length: teams }, () => []);
    this.clients = Array.from({ length: clients }, (_, number) => new Client(this, number));
  }

  /** Opens all streams, at most so many in a second. */
  async open(perSecond = 500) {
    for (const [number, client] of this.clients.entries()) {
      client.open();
      if (number % 50 === 49) await new Promise((wake) => setTimeout(wake, 50_000 / perSecond));
    }
    await Promise.all(this.clients.map(({ ready }) => ready));
  }

  /** Publishes in turn to the teams, until `stopPublishing`. */
  startPublishing() {
    const startedAt = Date.now();
    this.unanswered = new Set();
    this.timer = setInterval(() => {
      const due = Math.floor(((Date.now() - startedAt) / 1_000) * this.eventsPerSecond);
      while (this.report.published < due) {
        const answered = this.#publish(this.report.published);
        this.report.published += 1;
        this.unanswered.add(answered);
        answered.finally(() => this.unanswered.delete(answered));
      }
    }, TICK_MS);
  }

  /** Stops, and waits until every event is acknowledged. */
  async stopPublishing() {
    clearInterval(this.timer);
    await Promise.all(this.unanswered);
  }

  /** Publishes one event, with as many attempts as it takes. */
  async #publish(number) {
    const team = number % this.teams;
    const event = { type: 'test:tick', audience: { team: `team-${team}` }, data: { number, at: Date.now(), padding: 'x'.repeat(300) } };
    const key = randomUUID();
    for (;;) {
      try {
        await this.#post(JSON.stringify(event), key);
        this.expected[team].push(number);
        this.report.longestPublishMs = Math.max(this.report.longestPublishMs, Date.now() - event.data.at);
        return;
      } catch (error) {
        count(this.report.publishedAgain, error.code ?? error.message);
      }
      await new Promise((wake) => setTimeout(wake, PUBLISH_RETRY_MS));
    }
  }

  #post(body, key) {
    const headers = { Authorization: `Bearer ${this.service}`, 'Content-Type': 'application/json', 'Idempotency-Key': key };
    return new Promise((resolve, reject) => {
      const options = { method: 'POST', agent: this.publishing, rejectUnauthorized: false, headers };
      const request = https.request(`${this.url}/events`, options, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part) => { text += part; });
        response.on('error', reject).on('end', () => {
          if (response.statusCode === 201) resolve(text);
          else reject(new Error(`status ${response.statusCode}`));
        });
      });
      request.on('error', reject).end(body);
    });
  }

  /** Whether every client has as many events as there are for its team. */
  get isComplete() {
    return this.clients.every((client) => this.#lost(client).length === 0);
  }

  #lost({ team, numbers }) {
    const seen = new Set(numbers);
    return this.expected[Number(team.slice(5))].filter((number) => !seen.has(number));
  }

  /** The p99 of the delays so far. Those that follow are counted apart. */
  mark() {
    const delays = this.delays.splice(0).sort((a, b) => a - b);
    return delays[Math.floor(delays.length * 0.99)];
  }

  /** The clients that miss events, and what happened to their streams, for whoever looks for the reason. */
  missing() {
    const all = this.clients.map((client) => {
      const { number, team, cursor, history } = client;
      return { number, team, cursor, lost: this.#lost(client).length, history };
    });
    return all.filter(({ lost }) => lost > 0);
  }

  /** What was found. `owed` is what all clients together must have received, and `unmoved` those whose stream never ended. */
  summary() {
    const found = { lost: 0, repeated: 0, outOfOrder: 0, owed: 0, received: 0, unmoved: 0 };
    for (const client of this.clients) {
      const { numbers, positions } = client;
      found.owed += this.expected[Number(client.team.slice(5))].length;
      found.received += numbers.length;
      found.unmoved += client.ends === 0 ? 1 : 0;
      found.lost += this.#lost(client).length;
      found.repeated += numbers.length - new Set(numbers).size;
      found.outOfOrder += positions.filter((position, at) => at > 0 && position <= positions[at - 1]).length;
    }
    const delays = this.delays.toSorted((a, b) => a - b);
    const at = (share) => delays[Math.min(delays.length - 1, Math.floor(delays.length * share))];
    return { ...found, ...this.report, acknowledged: this.expected.flat().length, medianDelayMs: at(0.5), p99DelayMs: at(0.99), longestDelayMs: at(1) };
  }

  close() {
    this.isOver = true;
    clearInterval(this.timer);
    for (const { request } of this.clients) request?.destroy();
    this.agent.destroy();
    this.publishing.destroy();
  }
}
