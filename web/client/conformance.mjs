// The driver of this client for the runner in web/conformance: commands on standard input, answers on standard output.
import { createInterface } from 'node:readline';
import { Connection } from './src/connection.js';
import { FakeClock, fakeEnvironment, settle } from './src/testing/index.js';
import { TokenSource } from './src/token.js';

const SILENT = new Set(['silence', 'answer-late', 'first-byte-late']);
const decode = (text) => {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
};

class Driver {
  #clock = new FakeClock();
  #connection;
  #open = null;
  #report = { requests: [], events: [] };
  #lastId = '';
  #wasSilent = false;

  start({ cursor, random }) {
    this.#connection?.stop();
    this.#clock = new FakeClock(0);
    this.#open = null;
    this.#lastId = cursor ?? '';
    this.#report = { requests: [], events: [] };
    const { environment } = fakeEnvironment({ clock: this.#clock, random: () => random, fetch: (url, init) => this.#fetch(url, init) });
    this.#connection = new Connection(environment, {
      base: '', path: '/stream', query: {}, cursor, transports: ['fetch'], decode,
      deliver: (deliveries) => deliveries.forEach(({ message }) => this.#receive(message)),
      onDiagnostic: ({ message, data }) => {
        if (message === 'disconnected' && SILENT.has(data.reason)) this.#wasSilent = true;
      },
    }, new TokenSource(environment, undefined));
    this.#connection.open();
  }

  #receive({ type, data, id }) {
    this.#lastId = id ?? this.#lastId;
    this.#report.events.push({ type, data, id: this.#lastId });
  }

  #fetch(url, { headers, signal }) {
    const lower = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
    this.#report.requests.push({ url, headers: lower });
    return new Promise((answer, refuse) => {
      const open = { answer, refuse, body: null };
      this.#open = open;
      signal.addEventListener('abort', () => {
        if (this.#open === open) this.#open = null;
        refuse(signal.reason);
      });
    });
  }

  respond({ status, headers }) {
    const open = this.#open;
    // The client may read what a refusal says, and here nothing follows its head.
    const body = status !== 200 ? null : new ReadableStream({ start: (controller) => void (open.body = controller) });
    open.answer(new Response(body, { status, headers }));
  }

  bytes({ base64 }) {
    this.#open?.body?.enqueue(new Uint8Array(Buffer.from(base64, 'base64')));
  }

  end() {
    this.#open?.body?.close();
    this.#open = null;
  }

  break() {
    const error = new TypeError('terminated');
    if (this.#open?.body) this.#open.body.error(error);
    else this.#open?.refuse(error);
    this.#open = null;
  }

  async wait({ ms }) {
    await this.#clock.advance(ms);
  }

  async answer() {
    await settle(6);
    const { nextRetryAt, state, reason } = this.#connection.state.getSnapshot();
    const isOver = nextRetryAt === null && ['needs-auth', 'error', 'offline'].includes(state) && !this.#open;
    const report = {
      ...this.#report, cursor: this.#connection.cursor, connectInMs: nextRetryAt === null ? null : nextRetryAt - this.#clock.now(),
      aborted: this.#wasSilent, stopped: isOver ? `${state}: ${reason}` : null,
    };
    this.#report = { requests: [], events: [] };
    this.#wasSilent = false;
    return report;
  }

  async run({ do: name, ...command }) {
    if (name === 'hello') return { protocol: 1, name: 'porchlight for JavaScript', lacks: ['handled'] };
    await this[name](command);
    return this.answer();
  }
}

const driver = new Driver();
for await (const line of createInterface({ input: process.stdin })) {
  const answer = await driver.run(JSON.parse(line)).catch((error) => ({ error: String(error.stack) }));
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
