// What the inspected stream goes through: it counts, and it breaks when it is told to. The client behind it does not know.

/** After so long, the page gets a turn before more is read: a long replay must not block it. */
const TURN_MS = 10;
/** A position of a log that does not exist. */
const LOST_POSITION = '1-zzzzzz';
const CLOSING_RETRY_MS = 1_000;
const LINE_FEED = 10;
const STREAM_PATH = /\/stream(\/|\?|$)/;

const encoder = new TextEncoder();

export class BreakableLine {
  bytes = 0;
  requests = 0;
  /** When the last byte arrived. @type {number | null} */
  heardAt = null;
  isOffline = false;
  isSilent = false;
  #isLost = false;
  /** Streams that are open. @type {Set<{error: (error: Error) => void, say: (text: string) => void}>} */
  #open = new Set();
  /** @type {{type: string, run: (event: any) => void}[]} */
  #listeners = [];

  /** Replaces parts of the environment of a client. */
  get environment() {
    return {
      fetch: (url, init) => this.#fetch(url, init),
      isOnline: () => !this.isOffline && navigator.onLine,
      // What the inspected stream shows is kept by nobody else: no cursor, no writes, no other tab.
      storage: null,
      indexedDB: null,
      locks: null,
      BroadcastChannel: null,
      SharedWorker: null,
      setTimeout: soon,
    };
  }

  /** `listen` of an environment, which also hears of the breaks. */
  listenWith(listen) {
    return (type, run) => {
      const own = { type, run };
      this.#listeners.push(own);
      const off = listen(type, run);
      return () => {
        this.#listeners = this.#listeners.filter((one) => one !== own);
        off();
      };
    };
  }

  // ---- breaks

  /** The connection ends in the middle, without a word. */
  cut() {
    for (const one of [...this.#open]) one.error(new TypeError('the connection was cut'));
  }

  /** Nothing comes any more, and nothing says so. It ends with the next connection. */
  silence() {
    this.isSilent = true;
  }

  goOffline(isOffline) {
    this.isOffline = isOffline;
    if (isOffline) this.cut();
    for (const { type, run } of this.#listeners) if (type === (isOffline ? 'offline' : 'online')) run(new Event(type));
  }

  /** The service says that the token has expired, as it does when its time is over. */
  expire() {
    const data = JSON.stringify({ type: 'stream:closing', reason: 'expired', retryMs: CLOSING_RETRY_MS });
    for (const one of [...this.#open]) one.say(`event: stream:closing\ndata: ${data}\n\n`);
  }

  /** The next connection begins at a position that the service does not know. */
  reset() {
    this.#isLost = true;
    this.cut();
  }

  // ---- the way through

  async #fetch(url, init = {}) {
    if (this.isOffline) throw new TypeError('there is no network');
    const isStream = STREAM_PATH.test(new URL(url, location.href).pathname);
    const response = await fetch(isStream ? this.#address(url) : url, init);
    if (!isStream || response.status !== 200) return response;
    this.requests += 1;
    this.isSilent = false;
    return new Response(this.#pass(response.body, init.signal), { status: 200, headers: response.headers });
  }

  #address(url) {
    if (!this.#isLost) return url;
    this.#isLost = false;
    const lost = new URL(url, location.href);
    lost.searchParams.set('since', LOST_POSITION);
    return lost.href;
  }

  #pass(body, signal) {
    const reader = body.getReader();
    let turnEnds = 0;
    let isAtEdge = true;
    let words = '';
    let own;
    const finish = () => {
      this.#open.delete(own);
      reader.cancel().catch(() => {});
    };
    const close = (controller) => {
      controller.enqueue(encoder.encode(words));
      controller.close();
      finish();
    };
    return new ReadableStream({
      start: (controller) => {
        own = {
          error: (error) => {
            finish();
            controller.error(error);
          },
          // Between two events only: what is said within one would become a part of it.
          say: (text) => {
            words = text;
            if (isAtEdge) close(controller);
          },
        };
        this.#open.add(own);
        signal?.addEventListener('abort', () => this.#open.has(own) && own.error(signal.reason), { once: true });
      },
      pull: async (controller) => {
        if (performance.now() > turnEnds) {
          await turn();
          turnEnds = performance.now() + TURN_MS;
        }
        const { done, value } = await reader.read();
        if (!this.#open.has(own)) return;
        if (this.isSilent) return new Promise(() => {});
        if (done) {
          finish();
          return controller.close();
        }
        this.bytes += value.length;
        this.heardAt = Date.now();
        controller.enqueue(value);
        isAtEdge = value.at(-1) === LINE_FEED && (value.at(-2) === LINE_FEED || isComment(value));
        if (words && isAtEdge) close(controller);
      },
      cancel: finish,
    });
  }
}

/** Whether the last line is a comment, like a heartbeat. */
function isComment(bytes) {
  const start = bytes.lastIndexOf(LINE_FEED, bytes.length - 2) + 1;
  return bytes[start] === ':'.charCodeAt(0);
}

/** Lets the page draw and answer clicks. A page in the background has slow timers and nothing to draw. */
function turn() {
  if (document.hidden) return Promise.resolve();
  return new Promise((done) => { setTimeout(done); });
}

/** What shall run "now" does so without the wait of a timer, so that the time of receipt is the time of receipt. */
function soon(run, ms) {
  if (ms > 0) return setTimeout(run, ms);
  queueMicrotask(run);
  return undefined;
}
