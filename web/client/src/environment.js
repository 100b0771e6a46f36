// Everything that the client takes from the world around it. Tests and React Native pass their own.

const DOCUMENT_EVENTS = new Set(['visibilitychange', 'freeze', 'resume']);

/**
 * @typedef {object} KeyValueStorage
 * @property {(key: string) => string | null} getItem
 * @property {(key: string, value: string) => void} setItem
 * @property {(key: string) => void} removeItem
 */

/**
 * @typedef {object} Environment
 * @property {(url: string, init?: RequestInit) => Promise<Response>} fetch
 * @property {typeof globalThis.EventSource} [EventSource]
 * @property {() => number} now milliseconds since 1970
 * @property {(run: () => void, ms: number) => any} setTimeout
 * @property {(id: any) => void} clearTimeout
 * @property {() => number} random from 0 up to 1
 * @property {() => string} uuid a random UUID
 * @property {KeyValueStorage | null} storage where the cursor survives a reload
 * @property {() => boolean} isOnline
 * @property {() => boolean} isVisible
 * @property {(type: string, run: (event: any) => void) => () => void} listen listens to an event of the window or the document
 * @property {(error: unknown) => void} reportError what a handler of the application threw
 * @property {IDBFactory | null} indexedDB
 * @property {LockManager | null} locks
 * @property {typeof globalThis.BroadcastChannel | null} BroadcastChannel
 * @property {typeof globalThis.SharedWorker | null} SharedWorker
 */

/** @returns {string} */
function randomUuid() {
  const { crypto } = globalThis;
  if (crypto?.randomUUID) return crypto.randomUUID();
  // Pages without TLS have no `randomUUID`.
  const digit = () => crypto.getRandomValues(new Uint8Array(1))[0] & 15;
  return 'xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx'.replace(/x/g, () => digit().toString(16));
}

/**
 * Some browsers throw when storage is merely mentioned.
 * @template T
 * @param {() => T} read
 * @returns {T | null}
 */
function attempt(read) {
  try {
    return read() ?? null;
  } catch {
    return null;
  }
}

/**
 * The environment of this page, worker or process.
 * @param {Partial<Environment>} [given] replaces parts of it
 * @returns {Environment}
 */
export function createEnvironment(given = {}) {
  const g = /** @type {any} */ (globalThis);
  return {
    fetch: (url, init) => g.fetch(url, init),
    EventSource: g.EventSource,
    now: () => Date.now(),
    setTimeout: (run, ms) => g.setTimeout(run, ms),
    clearTimeout: (id) => g.clearTimeout(id),
    random: Math.random,
    uuid: randomUuid,
    storage: attempt(() => g.sessionStorage),
    isOnline: () => g.navigator?.onLine !== false,
    isVisible: () => g.document?.visibilityState !== 'hidden',
    listen(type, run) {
      const target = DOCUMENT_EVENTS.has(type) ? g.document : g;
      if (!target?.addEventListener) return () => {};
      target.addEventListener(type, run);
      return () => target.removeEventListener(type, run);
    },
    reportError: (error) => (g.reportError ?? console.error)(error),
    indexedDB: attempt(() => g.indexedDB),
    locks: attempt(() => g.navigator.locks),
    BroadcastChannel: g.BroadcastChannel ?? null,
    SharedWorker: g.SharedWorker ?? null,
    ...given,
  };
}
