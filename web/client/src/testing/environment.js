// An environment whose time, chance, network and page are in the hands of a test.
import { createEnvironment } from '../environment.js';
import { FakeClock } from './clock.js';

/** A store like `sessionStorage`. */
export function memoryKeyValues() {
  /** @type {Map<string, string>} */
  const values = new Map();
  return {
    /** @param {string} key */
    getItem: (key) => values.get(key) ?? null,
    /** @param {string} key @param {string} value */
    setItem: (key, value) => void values.set(key, String(value)),
    /** @param {string} key */
    removeItem: (key) => void values.delete(key),
  };
}

/**
 * Random numbers that are the same in every run.
 * @param {number} [seed]
 */
export function seeded(seed = 1) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * @param {Partial<import('../environment.js').Environment> & {clock?: FakeClock}} [given]
 */
export function fakeEnvironment({ clock = new FakeClock(), ...given } = {}) {
  /** @type {Map<string, Set<(event: any) => void>>} */
  const listeners = new Map();
  /** @type {unknown[]} */
  const errors = [];
  const page = { isOnline: true, isVisible: true };
  const environment = createEnvironment({
    EventSource: undefined,
    now: clock.now,
    setTimeout: clock.setTimeout,
    clearTimeout: clock.clearTimeout,
    random: () => 0.5,
    storage: memoryKeyValues(),
    isOnline: () => page.isOnline,
    isVisible: () => page.isVisible,
    listen(type, run) {
      const own = listeners.get(type) ?? new Set();
      listeners.set(type, own.add(run));
      return () => void own.delete(run);
    },
    reportError: (error) => void errors.push(error),
    indexedDB: null,
    locks: null,
    BroadcastChannel: null,
    SharedWorker: null,
    ...given,
  });
  return {
    environment,
    clock,
    /** What handlers of the application threw. */
    errors,
    /** How many listeners of the page there are. */
    get listeners() {
      return [...listeners.values()].reduce((sum, own) => sum + own.size, 0);
    },
    /**
     * An event of the page: `online`, `offline`, `visibilitychange`, `pageshow`, `beforeunload`, …
     * @param {string} type
     * @param {Record<string, unknown>} [event]
     */
    emit(type, event = {}) {
      if (type === 'online' || type === 'offline') page.isOnline = type === 'online';
      if ('isVisible' in event) page.isVisible = Boolean(event.isVisible);
      for (const run of [...listeners.get(type) ?? []]) run({ type, preventDefault() {}, ...event });
    },
  };
}
