// A client of the fake service, in fake time.
import { afterEach } from 'node:test';
import assert from 'node:assert/strict';
import { connect } from '../src/index.js';
// What is loaded when it is needed is loaded here before, because files are read in real time.
import '../src/event_reading.js';
import '../src/outbox/outboxes.js';
import '../src/records/catalogue.js';
import '../src/records/missing.js';
import '../src/renewal.js';
import '../src/transport/long_poll.js';
import '../src/transport/event_source.js';
import { claimsOf } from '../src/token.js';
import { FakeClock, FakeService, fakeEnvironment, seeded, settle } from '../src/testing/index.js';

const rejections = [];
process.on('unhandledRejection', (error) => rejections.push(error));
// After the last test, nobody looks any more.
process.on('exit', () => {
  if (!rejections.length) return;
  console.error('unhandled rejections:', rejections);
  process.exitCode = 1;
});

/** @type {(() => unknown)[]} */
const closing = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  await settle(2);
  assert.deepEqual(rejections.splice(0), [], 'no unhandled rejection');
});

export const statesOf = (client) => {
  const seen = [];
  client.connection.subscribe(() => {
    const { state, reason } = client.connection.getSnapshot();
    if (seen.at(-1)?.[0] !== state || seen.at(-1)?.[1] !== reason) seen.push([state, reason]);
  });
  return seen;
};

/** A world with one service, and as many clients as wanted. */
export function world({ seed, ...options } = {}) {
  const clock = new FakeClock();
  const service = new FakeService({ clock, ...options });
  const random = seed === undefined ? () => 0.5 : seeded(seed);
  /** Makes a client; `page` has the events of its page. */
  async function open({ user = 'u-1', team = 'team-a', environment = {}, before = () => {}, page = fakeEnvironment({ clock, random, fetch: service.fetch, ...environment }), ...more } = {}) {
    const diagnostics = [];
    const client = connect({
      url: service.url, token: () => service.token({ user, team }), environment: page.environment, mergeMs: 0,
      onDiagnostic: (entry) => diagnostics.push(entry), ...more,
    });
    closing.push(() => client.close());
    before(client);
    await clock.advance(0);
    return { client, page, diagnostics };
  }
  return { clock, service, open, state: (client) => client.connection.getSnapshot() };
}

/** A token callback that fails while `isAway` is set. */
export function tokensOf(service, seconds) {
  const tokens = {
    isAway: false,
    token() {
      if (tokens.isAway) throw new TypeError('Failed to fetch');
      return service.token({ seconds });
    },
  };
  return tokens;
}

/** Lets time pass for clients with a database: fake-indexeddb runs on real timers. */
export async function tick(clock, ms) {
  for (let n = 0; n < 12; n += 1) {
    await new Promise((wake) => setTimeout(wake, 0));
    await clock.advance(n === 5 ? ms : 0);
  }
}

export const escrow = (number, more = {}) => ({ id: `e-${number}`, address: `${number} Oak St`, status: 'open', purchasePrice: 100_000 + number, ...more });

/** Creates records directly at the service, a millisecond apart. */
export async function fill({ clock, service }, count, from = 1, module = 'escrows', more = {}) {
  for (let n = from; n < from + count; n += 1) {
    await post(service, `/records/${module}`, escrow(n, more));
    clock.sleep(1);
  }
}

export async function send(service, method, path, body, { user = 'u-2', role = 'agent', team = 'team-a', headers = {} } = {}) {
  const response = await service.fetch(`${service.url}${path}`, {
    method, headers: { Authorization: `Bearer ${service.token({ user, role, team })}`, ...headers }, body: body && JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, body: text ? JSON.parse(text) : null, headers: response.headers };
}

export const post = (service, path, body, options) => send(service, 'POST', path, body, options);
export const patch = (service, path, body, options) => send(service, 'PATCH', path, body, options);

const encoded = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token with these claims, which nobody has signed. */
export const tokenWith = (claims) => `${encoded({ alg: 'none' })}.${encoded(claims)}.fake`;

/** A token of the fake service whose claims have other names. */
export function renamed(token, names) {
  const claims = Object.entries(claimsOf(token)).map(([name, value]) => [names[name] ?? name, value]);
  return tokenWith(Object.fromEntries(claims));
}
