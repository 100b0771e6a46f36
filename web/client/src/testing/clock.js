// Time that passes only when a test says so.

/** Timers may set timers, and promises settle in between: so many times the loop is let run. */
const TURNS = 12;

/** Lets everything that is ready run. */
export async function settle(turns = TURNS) {
  for (let turn = 0; turn < turns; turn += 1) {
    // A macrotask, because bodies of answers are read across several.
    await new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        resolve(undefined);
      };
      port2.postMessage(null);
    });
  }
}

export class FakeClock {
  #now;
  #next = 1;
  /** @type {Map<number, {at: number, run: () => void}>} */
  #timers = new Map();

  constructor(now = Date.UTC(2026, 0, 1)) {
    this.#now = now;
  }

  now = () => this.#now;

  /** @type {(run: () => void, ms: number) => number} */
  setTimeout = (run, ms) => {
    const id = this.#next;
    this.#next += 1;
    this.#timers.set(id, { at: this.#now + Math.max(0, ms || 0), run });
    return id;
  };

  /** @type {(id: any) => void} */
  clearTimeout = (id) => {
    this.#timers.delete(id);
  };

  /** How many timers are set. */
  get pending() {
    return this.#timers.size;
  }

  /** Milliseconds to the next timer; null if there is none. */
  get nextIn() {
    const times = [...this.#timers.values()].map(({ at }) => at);
    return times.length ? Math.max(0, Math.min(...times) - this.#now) : null;
  }

  /**
   * Lets time pass. Timers that are due run in order, each at its time.
   * @param {number} ms
   */
  async advance(ms) {
    const end = this.#now + ms;
    await settle();
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= end).sort(([a, x], [b, y]) => x.at - y.at || a - b)[0];
      if (!due) break;
      const [id, { at, run }] = due;
      this.#timers.delete(id);
      this.#now = Math.max(this.#now, at);
      run();
      await settle();
    }
    this.#now = end;
  }

  /** The device sleeps: time passes and no timer runs. @param {number} ms */
  sleep(ms) {
    this.#now += ms;
  }

  /** The clock of the device is set back. Timers run as if it was not. @param {number} ms */
  setBack(ms) {
    this.#now -= ms;
    for (const timer of this.#timers.values()) timer.at -= ms;
  }
}
