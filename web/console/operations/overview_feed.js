// The figures of the service: asked for again and again while the page is open, the last minutes of them kept for the charts.
import { Store } from '../../client/src/store.js';

const EVERY_MS = 2_000;
/** Nobody looks at a page in the background; its charts still have no gap. */
const HIDDEN_EVERY_MS = 10_000;
/** Ten minutes. */
export const MOST_SAMPLES = 300;

/**
 * @typedef {object} FeedState
 * @property {any} overview the newest answer of `GET /admin/overview`, or null
 * @property {readonly {at: number, overview: any}[]} samples from old to new; `overview` is null where there was no answer
 * @property {import('../../client/src/error.js').PorchlightError | null} error of the last request
 * @property {number | null} updatedAt when the newest answer came
 */

export class OverviewFeed {
  #request;
  #timer = null;
  #isStopped = false;
  #asking = null;

  /** @param {import('../../client/src/client.js').Client} client */
  constructor(client) {
    this.#request = client.request;
    /** @type {Store<FeedState>} */
    this.store = new Store({ overview: null, samples: [], error: null, updatedAt: null });
    document.addEventListener('visibilitychange', () => document.hidden || this.refresh());
  }

  /** Asks now, and then again and again. */
  refresh() {
    this.#asking ??= this.#ask().finally(() => { this.#asking = null; });
    return this.#asking;
  }

  stop() {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  async #ask() {
    clearTimeout(this.#timer);
    const known = this.store.getSnapshot();
    try {
      const { body } = await this.#request('GET', '/admin/overview');
      this.store.set({ overview: body, samples: kept(known.samples, body), error: null, updatedAt: Date.now() });
    } catch (error) {
      this.store.set({ ...known, samples: kept(known.samples, null), error });
    }
    if (this.#isStopped) return;
    const wait = this.store.getSnapshot().error?.retryAfterMs ?? 0;
    this.#timer = setTimeout(() => this.refresh(), Math.max(wait, document.hidden ? HIDDEN_EVERY_MS : EVERY_MS));
  }
}

const kept = (samples, overview) => [...samples.slice(1 - MOST_SAMPLES), { at: Date.now(), overview }];
