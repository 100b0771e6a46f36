// The way from a tab to the hub in a SharedWorker.

/** How often a worker that has never answered may fail to: its files are loaded first. */
const STARTING = 15;
const RUNNING = 2;
/** After so many workers without an answer there is none. */
const MOST_WORKERS = 3;

export class WorkerLink {
  #env;
  #key;
  #hear;
  #failed;
  #workers = 0;
  /** @type {MessagePort | null} */
  #port = null;
  patience = STARTING;

  /**
   * @param {import('../environment.js').Environment} env
   * @param {string} key
   * @param {(heard: import('./channel_link.js').Heard) => void} hear
   * @param {() => void} failed there is no such worker here
   */
  constructor(env, key, hear, failed) {
    this.#env = env;
    this.#key = key;
    this.#hear = hear;
    this.#failed = failed;
    this.#open();
  }

  /** @param {import('./hub.js').Asked} asked */
  post(asked) {
    this.#port?.postMessage(asked);
  }

  /** A worker that has crashed is started again, and one that runs gets another port. */
  replace() {
    if (this.#workers >= MOST_WORKERS) return this.#failed();
    this.close();
    this.#open();
  }

  close() {
    this.#port?.close();
    this.#port = null;
  }

  #open() {
    this.#workers += 1;
    this.patience = STARTING;
    const SharedWorker = /** @type {typeof globalThis.SharedWorker} */ (this.#env.SharedWorker);
    const worker = new SharedWorker(new URL('./worker.js', import.meta.url), /* @vite-ignore */ { type: 'module', name: this.#key });
    worker.onerror = () => this.#port === worker.port && this.#failed();
    this.#port = worker.port;
    worker.port.onmessage = ({ data }) => {
      this.#workers = 1;
      this.patience = RUNNING;
      this.#hear(data);
    };
    worker.port.start();
  }
}
