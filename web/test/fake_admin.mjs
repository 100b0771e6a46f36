// The answers of /admin for pages of a test: two instances, alerts that fire, rows that were set aside. What a real service has only when it is unwell.

const SECOND = 1_000;
const ago = (seconds) => new Date(Date.now() - seconds * SECOND).toISOString();
const ahead = (seconds) => ago(-seconds);

const RULES = [
  ['database_unreachable', 5, 's', 'The database does not answer.', 'Look at the database and at the network between.'],
  ['follower_lag', 5, 's', 'Events reach memory late.', 'Look at the load of the database.'],
  ['relay_lag', 30, 's', 'Changes of watched tables wait.', 'Look for a long transaction.'],
  ['poison', 1, 'rows', 'Changes could not become events.', 'Look at the reasons, and retry or discard the rows.'],
  ['tasks_failing', 0, '/h', 'Tasks fail.', 'Look at their errors.'],
];
const BUCKETS = [[1, 120], [5, 640], [10, 210], [50, 32], [250, 4], [null, 0]];

/** A service that is asked by `page.route`. What a test changes in `state` is in the next answer. */
export class FakeAdmin {
  /** Requests that have changed something: `POST /admin/…`. */
  changes = [];
  #answers = 0;

  state = {
    /** A status in place of all answers. */
    refusal: null,
    secondAnswers: true,
    alerts: [{
      name: 'relay_lag', instance: null, since: ago(95), value: 41, threshold: 30, unit: 's', text: 'Changes of watched tables wait for 41 seconds.', action: 'Look for a long transaction.', subjects: [],
    }],
    connections: [
      connection('c-1', 'bob', 'Bob Castillo', { behindEvents: 0 }),
      connection('c-2', 'cleo', 'Cleo Hartley', { instance: 'p0d4mw3x9a1b', behindEvents: 214, isBlocked: true, address: '203.0.113.7' }),
      connection('c-3', 'ann', 'Ann Berger', { kind: 'output', scope: 'task:k7q2mwx9', events: null, bytes: null, behindEvents: null, isBlocked: null }),
    ],
    poison: [poison('17', 'escrows', 'e-1', 'its type is reserved for tasks'), poison('16', 'listings', 'l-9', 'the record has no brokerage', false)],
  };

  async attach(page) {
    await page.route('**/admin/**', (route) => this.#answer(route));
  }

  async #answer(route) {
    const request = route.request();
    const { pathname, searchParams } = new URL(request.url());
    const [status, body] = this.state.refusal ?? this.#answerOf(request.method(), pathname, searchParams);
    await route.fulfill({ status, contentType: status < 400 ? 'application/json' : 'application/problem+json', body: JSON.stringify(body) }).catch(() => {});
  }

  #answerOf(method, path, query) {
    if (method === 'POST') return this.#change(path);
    if (path === '/admin/overview') return [200, this.overview()];
    if (path === '/admin/connections') {
      const connections = this.state.connections.filter(({ userId }) => !query.get('user') || userId === query.get('user'));
      return [200, { instances: this.#instances().map(({ instance, answered }) => ({ instance, answered })), connections, total: connections.length, next: null }];
    }
    return [200, { rows: this.state.poison, total: this.state.poison.length, withoutBrokerage: 0, next: null }];
  }

  #change(path) {
    const [, , list, id] = path.split('/');
    this.changes.push(path);
    this.state[list] = this.state[list].filter((one) => one.id !== id);
    return [200, { id, ...(list === 'connections' && { instance: 'k7q2mw3x9a1b' }) }];
  }

  #instances() {
    const both = [instance('k7q2mw3x9a1b', true), instance('p0d4mw3x9a1b', false)];
    return this.state.secondAnswers ? both : [both[0], { instance: 'p0d4mw3x9a1b', answered: false }];
  }

  overview() {
    this.#answers += 1;
    const wave = 1 + Math.sin(this.#answers / 3) / 3;
    const { alerts, poison: rows, connections } = this.state;
    return {
      at: new Date().toISOString(), broker: 'acme', instances: this.#instances(),
      streams: { open: connections.length, outputs: 1, waiting: 0, users: 3, opened: { total: 91, perSecond: 0.2 }, closed: { expired: 4, evicted: 1 } },
      events: { in: { total: 48_211, perSecond: 42 * wave }, out: { total: 512_004, perSecond: 310 * wave }, head: '48211-k7q2mw', lastAt: ago(1) },
      latency: { events: 1_006, p50Ms: 3.1 * wave, p90Ms: 8.4 * wave, p99Ms: 31 * wave, buckets: BUCKETS.map(([upToMs, events]) => ({ upToMs, events })) },
      replays: { total: 2_301, perSecond: 1.5 }, resets: { total: 2, lastMinute: 0 }, refusals: { total: 7, lastMinute: 1, byCode: { rate_limited: 6, not_allowed: 1 } },
      database: { reachable: true, version: '15.14', bytes: 734_003_200, connections: 24, mostConnections: 100, roundTripMs: 0.8 * wave },
      tasks: { waiting: 2, resting: 0, running: 1, failedLastHour: 3, oldestWaitingSeconds: 12, byType: [{ type: 'import_csv', waiting: 2, resting: 0, running: 1, failedLastHour: 3 }] },
      relay: { waiting: 12, oldestSeconds: 41, bulkChanges: 0, poison: rows.length, poisonWithoutBrokerage: 0 },
      alerts, rules: RULES.map(([name, threshold, unit, text, action]) => ({ name, threshold, unit, setting: `PORCHLIGHT_ALERT_${name.toUpperCase()}`, text, action, isFiring: alerts.some((one) => one.name === name) })),
    };
  }
}

function instance(name, isThis) {
  return {
    instance: name, answered: true, isThis, version: '0.2.0', startedAt: ago(7_260), streams: 2, mostStreams: 20_000,
    memory: { residentBytes: 201_326_592, frameBytes: 18_874_368, mostFrameBytes: 268_435_456, uploadBytes: 0 },
    follower: { readSecondsAgo: 0.3, lagMs: isThis ? 3 : 11, behindEvents: 0 },
    pool: { open: 6, idle: 4, most: 10, waiting: 0 },
  };
}

function connection(id, userId, userName, more) {
  return {
    id, kind: 'stream', instance: 'k7q2mw3x9a1b', userId, userName, role: userId === 'ann' ? 'admin' : 'agent', teams: ['team-a'], address: '198.51.100.4',
    since: ago(310), expiresAt: ahead(590), scope: 'all', events: 120, bytes: 48_211, behindEvents: 0, isBlocked: false, ...more,
  };
}

function poison(id, module, recordId, reason, canRetry = true) {
  return { id, type: canRetry ? 'ai:task:queued' : null, module, recordId, userId: 'bob', audience: 'team:team-a', reason, setAsideAt: ago(600), canRetry };
}
