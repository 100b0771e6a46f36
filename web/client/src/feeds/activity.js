// What people did, in sentences. Only the service can write them, so it is asked again after an event that may be one.
import { Feed, LOADING } from './feed.js';

/** @typedef {import('../events.d.ts').Act} Act */
/** @typedef {import('./feed.js').FeedSnapshot & {activity: readonly Act[]}} ActivitySnapshot */
/** @typedef {{module?: string, recordId?: string, user?: string, limit?: number}} ActivityOptions */

/** Many events within this time are asked for once. */
const CALM_MS = 1_000;
const ACTION = /:(created|updated|archived|restored|deleted|unlocked|completed|failed|cancelled)$/;

/** @extends {Feed<ActivitySnapshot>} */
export class Activity extends Feed {
  #options;
  /** @type {Act[]} */
  #known = [];
  /** How many acts the pages had that were loaded: more do not pile up while the day goes on. */
  #most = 0;
  /** @type {any} */
  #timer = null;

  /**
   * @param {import('../client.js').Client} client
   * @param {ActivityOptions} options
   */
  constructor(client, options) {
    super(client, '/activity', options, { ...LOADING, activity: [] });
    this.#options = options;
  }

  /** @override */
  stop() {
    this.context.env.clearTimeout(this.#timer);
    this.#timer = null;
    super.stop();
  }

  /** Pages that were loaded before do not stay: they may have what this user may not see any more. @override @param {{reason: string}} reset */
  reset(reset) {
    this.#known = [];
    super.reset(reset);
  }

  /** @override @param {any} event */
  concerns({ type, module, recordId }) {
    const { module: wanted, recordId: record } = this.#options;
    return ACTION.test(type) && (!wanted || module === wanted) && (!record || recordId === record);
  }

  /** @override @param {{activity: Act[]}} body */
  continues(body) {
    return this.#olderThan(body).length > 0;
  }

  /** @override @param {{activity: Act[]}} body @param {boolean} isFirst */
  keep(body, isFirst) {
    const { activity } = body;
    if (isFirst) this.#most = Math.max(this.#most, activity.length);
    else if (this.isLoaded) this.#most += activity.length;
    this.#known = isFirst ? [...activity, ...this.#olderThan(body)] : [...this.#known, ...activity];
  }

  /** Pages that were loaded before stay, unless something between may be missing. @param {{activity: Act[]}} first */
  #olderThan({ activity }) {
    const positions = new Set(activity.map(({ position }) => position));
    const last = this.#known.findLastIndex(({ position }) => positions.has(position));
    return last < 0 ? [] : this.#known.slice(last + 1);
  }

  /** @override */
  apply() {
    this.#timer ??= this.context.env.setTimeout(() => this.#askAgain(), CALM_MS);
    return false;
  }

  #askAgain() {
    this.#timer = null;
    // A page that is on its way comes first.
    if (this.getSnapshot().isLoadingMore) this.apply();
    else this.reload();
  }

  /** @override */
  show() {
    if (this.#known.length > this.#most) {
      this.#known = this.#known.slice(0, this.#most);
      this.page({ next: this.#known.at(-1)?.position ?? null });
    }
    this.change({ activity: this.#known });
  }
}
