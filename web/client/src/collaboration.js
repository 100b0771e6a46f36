// Working together: locks, presence, typing. Functions, so that a page loads only what it uses.
import { IDLE_MS } from './collaboration/idle_watch.js';
import { RecordLock } from './collaboration/locks.js';
import { Presence } from './collaboration/presence.js';
import { TypingSignal } from './collaboration/typing.js';
import { Turns } from './turns.js';

/** @typedef {import('./client.js').Client} Client */

const LEASE_SECONDS = 60;
/** A lock that is released waits so long for the writes under it. */
const SENT_MS = 10_000;

/** @param {Client} client */
const isConnected = (client) => client.connection.getSnapshot().state === 'connected';

/**
 * The lock of a record: `acquire`, `release`, `request`, `takeOver`, and a snapshot that says who holds it. It is renewed while it is held, and writes of
 * the record carry its fence. It ends when the user does nothing on this page for `idleMs`: five minutes, or never with 0.
 * @param {Client} client
 * @param {string} module
 * @param {string} id
 * @param {{leaseSeconds?: number, idleMs?: number}} [options]
 * @returns {RecordLock}
 */
export function lock(client, module, id, { leaseSeconds = LEASE_SECONDS, idleMs = IDLE_MS } = {}) {
  const { environment: env, request, events, session } = client;
  const name = `lock:${module}/${id}`;
  const isWriting = () => isWritingUnderLock(client, module, id);
  return client.part(name, () => {
    /** @type {RecordLock} */
    const own = new RecordLock({
      env, request, events, session, module, id, leaseSeconds, idleMs, isWriting, isConnected: isConnected(client),
      turns: client.part('turns of locks', () => new Turns()),
      onFence: (fence) => client.setFence(module, id, fence),
      sent: () => sent(client, isWriting),
      isReplaced: () => {
        const now = client.hasPart(name) ? client.part(name, () => own) : own;
        return now !== own && now.isWanted;
      },
    });
    return own;
  });
}

/**
 * Whether something that was written under a lock is on its way. A conflict waits for the user.
 * @param {Client} client
 * @param {string} module
 * @param {string} id
 */
const isWritingUnderLock = ({ outbox }, module, id) => outbox.pending()
  .some(({ module: of, recordId, fence, state }) => of === module && recordId === id && fence !== null && state !== 'conflict');

/**
 * Sends what was written under a lock: once it is released, the service refuses its fence. A client that is closed sends nothing more.
 * @param {Client} client
 * @param {() => boolean} isWriting
 */
async function sent({ outbox, connection, environment: env }, isWriting) {
  if (!isWriting()) return;
  const isClosed = () => connection.getSnapshot().reason === 'closed';
  await outbox.flush();
  await /** @type {Promise<void>} */ (new Promise((resolve) => {
    const end = () => {
      env.clearTimeout(timer);
      for (const off of offs) off();
      resolve();
    };
    const timer = env.setTimeout(end, SENT_MS);
    const look = () => (isClosed() || !isWriting()) && end();
    const offs = [outbox.subscribe(look), connection.subscribe(look)];
    look();
  }));
}

/**
 * Who is here, what they have open, what they type and what is locked; and `show` and `leave` for this user.
 * @param {Client} client
 * @param {{idleMs?: number}} [options]
 * @returns {Presence}
 */
export function presence(client, options = {}) {
  const { environment: env, request, events, session } = client;
  return client.part('presence', () => new Presence({ env, request, events, session, isConnected: isConnected(client), ...options }));
}

/**
 * Call `type` at every key and `stop` when the text is done.
 * @param {Client} client
 * @param {{module: string, recordId: string} | {team: string}} target
 * @param {string} [name] another signal than `typing`
 * @returns {TypingSignal}
 */
export function typing(client, target, name) {
  return new TypingSignal(client.environment, client.request, { ...target, session: client.session }, name);
}
