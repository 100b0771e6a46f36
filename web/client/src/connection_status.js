// What is known of the connection: a store for badges and banners, and breadcrumbs for logs.
import { Store } from './store.js';

const LOST_MS = 5_000;
const LONG_MS = 300_000;
const POSITION_SHOWN_MS = 1_000;

/** @typedef {'offline' | 'connecting' | 'connected' | 'reconnecting' | 'needs-auth' | 'error'} StateName */
/** @typedef {'fetch' | 'eventsource' | 'poll'} TransportName */

/**
 * @typedef {object} ConnectionState
 * @property {StateName} state
 * @property {string | null} reason why it is in this state; null while connected
 * @property {number | null} nextRetryAt milliseconds since 1970; null while connected, during an attempt, and after the end
 * @property {TransportName} transport
 * @property {string | null} position the last event that was received
 * @property {number} pendingWrites
 * @property {boolean} isLost not connected for 5 seconds: time for a banner
 * @property {boolean} isDisconnectedLong not connected for 5 minutes
 * @property {number} failures in a row
 * @property {number | null} connectedAt when the service last confirmed the stream
 */

/**
 * A breadcrumb.
 * @typedef {object} Diagnostic
 * @property {number} at
 * @property {string} message
 * @property {'debug' | 'info' | 'warning' | 'error'} level
 * @property {Record<string, unknown>} data
 */

export class ConnectionStatus {
  /** @type {import('./environment.js').Environment} */
  #env;
  /** @type {import('./timers.js').Timers} */
  #timers;
  /** @type {((entry: Diagnostic) => void) | undefined} */
  #onDiagnostic;
  /** @type {string | null} */
  #position;

  /**
   * @param {import('./environment.js').Environment} env
   * @param {import('./timers.js').Timers} timers
   * @param {{transport: TransportName, cursor: string | null, onDiagnostic?: (entry: Diagnostic) => void}} options
   */
  constructor(env, timers, { transport, cursor, onDiagnostic }) {
    this.#env = env;
    this.#timers = timers;
    this.#onDiagnostic = onDiagnostic;
    this.#position = cursor;
    /** @type {Store<ConnectionState>} */
    this.store = new Store({
      state: 'offline', reason: 'not-started', nextRetryAt: null, transport, position: cursor, pendingWrites: 0,
      isLost: false, isDisconnectedLong: false, failures: 0, connectedAt: null,
    }, env.reportError);
  }

  get now() {
    return this.store.getSnapshot();
  }

  /** @param {Partial<ConnectionState>} change */
  show(change) {
    this.store.set({ ...this.now, position: this.#position, ...change });
  }

  /** @param {Partial<ConnectionState>} change */
  showConnected(change) {
    this.#timers.clear('lost', 'long');
    const connectedAt = this.#env.now();
    this.show({ state: 'connected', reason: null, nextRetryAt: null, isLost: false, isDisconnectedLong: false, connectedAt, ...change });
  }

  /** @param {Partial<ConnectionState>} change */
  showDisconnected(change) {
    this.show(change);
    this.expectConnection();
  }

  /** From now on it counts how long there is no connection. */
  expectConnection() {
    if (this.now.isLost || this.#timers.has('lost')) return;
    this.#timers.set('lost', LOST_MS, () => {
      this.show({ isLost: true });
      this.tell('warning', 'lost');
    });
    this.#timers.set('long', LONG_MS, () => {
      this.show({ isDisconnectedLong: true });
      this.tell('error', 'disconnected-long');
    });
  }

  /**
   * Positions change with every event and are shown once a second.
   * @param {string | null} position
   */
  moved(position) {
    if (position === this.#position) return;
    this.#position = position;
    if (!this.#timers.has('position')) this.#timers.set('position', POSITION_SHOWN_MS, () => this.show({}));
  }

  /**
   * @param {Diagnostic['level']} level
   * @param {string} message
   * @param {Record<string, unknown>} [data]
   */
  tell(level, message, data = {}) {
    try {
      this.#onDiagnostic?.({ at: this.#env.now(), level, message, data });
    } catch (error) {
      this.#env.reportError(error);
    }
  }
}
