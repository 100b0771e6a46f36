// The stream that is looked at: a client of its own, so that its scope, filters and start can be chosen, and so that breaking it breaks nothing else.
import { connect, createEnvironment } from '../../client/src/index.js';
import { BreakableLine } from './breakable_line.js';
import { History } from './history.js';

/** How the states of a connection are shown. */
export const STATES = {
  connected: ['Live', 'good'],
  connecting: ['Connecting', 'warn'],
  reconnecting: ['Connecting again', 'warn'],
  offline: ['Offline', ''],
  error: ['Error', 'bad'],
  'needs-auth': ['Needs a token', 'bad'],
};

/**
 * What is looked at.
 * @typedef {object} StreamChoice
 * @property {'all' | 'user' | 'team' | 'broker' | 'worker' | 'record'} scope
 * @property {string} team one of the user's teams, or empty: all of them
 * @property {string} record like `escrows/e-1`
 * @property {string[]} types
 * @property {string | null} since where it begins; null: now
 */

const segments = (path) => path.split('/').map(encodeURIComponent).join('/');

/** The path and the query of a stream, as the service has them. */
export function addressOf({ scope, team, record, types, since }) {
  const path = { all: '/stream', record: `/stream/records/${segments(record)}` }[scope] ?? `/stream/${scope}`;
  const query = { team: (scope === 'team' && team) || undefined, types: types.join(',') || undefined, since: since ?? undefined };
  return { path, query: Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined)) };
}

export class InspectedStream {
  #shell;
  #received;
  #client = null;
  #off = () => {};
  /** Told of each change of the connection. */
  changed = () => {};
  line = new BreakableLine();
  history = new History();
  /** @type {StreamChoice | null} */
  choice = null;

  /**
   * @param {import('../shell/shell.js').Shell} shell
   * @param {(deliveries: any[]) => void} received
   */
  constructor(shell, received) {
    this.#shell = shell;
    this.#received = received;
  }

  /** @param {StreamChoice} choice */
  open(choice) {
    this.close();
    this.choice = choice;
    this.line = new BreakableLine();
    this.history = new History();
    const { path, query: { team, types } } = addressOf(choice);
    const given = createEnvironment();
    const client = connect({
      stream: path + (team ? `?team=${encodeURIComponent(team)}` : ''),
      types: types ? choice.types : undefined,
      since: choice.since,
      token: (why) => this.#token(why),
      userId: this.#shell.session.owner ?? undefined,
      isShared: false,
      transports: ['fetch'],
      batchMs: 0,
      environment: { ...given, ...this.line.environment, listen: this.line.listenWith(given.listen) },
      onDiagnostic: (entry) => {
        this.history.add(entry);
        this.changed();
      },
    });
    this.#client = client;
    client.events.fold((deliveries) => {
      this.history.count(deliveries);
      this.#received(deliveries);
    });
    this.#off = client.connection.subscribe(() => this.changed());
    this.changed();
  }

  /** The token of the page; another one after the service has refused it. */
  #token({ isRejected }) {
    return isRejected ? this.#shell.session.token({ isRejected }) : this.#shell.client.tokens.get();
  }

  close() {
    this.#off();
    this.#client?.close();
    this.#client = null;
  }

  retry() {
    this.#client?.retry();
  }

  /** What the user did to the line goes into its history. */
  break(what, run) {
    this.history.add({ at: Date.now(), level: 'info', message: 'break', data: { what } });
    run(this.line);
    this.changed();
  }

  get state() {
    return this.#client?.connection.getSnapshot() ?? null;
  }
}
