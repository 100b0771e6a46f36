// The feed: one stream that reconnects.
import { problemOf } from './api.js';

const PATIENCE_IN_HEARTBEATS = 3;
const HEARTBEAT_SECONDS_USUAL = 15;
const BACKOFF_FIRST_MS = 500;
const BACKOFF_MOST_MS = 15_000;

/** Reasons after which the stream is not opened again. */
export const ENDINGS = {
  expired: 'the token has expired',
  revoked: 'the token was revoked',
  evicted: 'a newer stream of this user replaced it',
};

/**
 * A stream that is opened again until it is stopped or refused. The browser reconnects by itself
 * when a connection breaks. It gives up after an error status, and does not notice a connection
 * that fell silent; this class handles both.
 *
 * `on.state(state, why)`: connecting, live, reconnecting, ended (the service ended it), idle.
 * `on.message(data, position)`: every message, those of the stream itself included. The position is
 * `null` for messages without one, such as presence.
 */
export class Feed {
  #path;
  #query;
  #on;
  #source = null;
  #position = null;
  #failures = 0;
  #isStopped = false;
  #patienceMs = PATIENCE_IN_HEARTBEATS * HEARTBEAT_SECONDS_USUAL * 1000;
  #watchdog;
  #retry;

  constructor(path, query, on) {
    this.#path = path;
    this.#query = query;
    this.#on = on;
  }

  start() {
    this.#on.state('connecting');
    this.#open();
  }

  /** Ends the feed; with a reason, if the user did not ask for it. */
  stop(why) {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#drop();
    this.#on.state(why ? 'ended' : 'idle', why);
  }

  #url() {
    const query = new URLSearchParams(this.#query);
    if (this.#position) query.set('since', this.#position);
    return `${this.#path}?${query}`;
  }

  #open() {
    this.#drop();
    const source = new EventSource(this.#url());
    this.#source = source;
    source.onmessage = (message) => this.#take(message);
    source.onerror = () => this.#lost(source.readyState);
    this.#watch();
  }

  #drop() {
    clearTimeout(this.#watchdog);
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#source = null;
  }

  #watch() {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#again('the connection fell silent'), this.#patienceMs);
  }

  #take(message) {
    this.#watch();
    // The browser repeats the last id in messages without one.
    const { lastEventId } = message;
    const position = lastEventId && lastEventId !== this.#position ? lastEventId : null;
    this.#position = position ?? this.#position;
    let data;
    try {
      data = JSON.parse(message.data);
    } catch {
      data = { type: '(not JSON)', text: message.data };
    }
    if (data.type === 'stream:ready') {
      this.#failures = 0;
      this.#patienceMs = PATIENCE_IN_HEARTBEATS * (data.heartbeatSeconds ?? HEARTBEAT_SECONDS_USUAL) * 1000;
      this.#watch();
      this.#on.state('live');
    }
    this.#on.message(data, position);
    if (data.type === 'stream:closing' && ENDINGS[data.reason]) this.stop(ENDINGS[data.reason]);
  }

  #lost(readyState) {
    if (readyState !== EventSource.CLOSED) {
      this.#on.state('reconnecting');
      return;
    }
    this.#drop();
    this.#on.state('reconnecting');
    this.#refusal().then((why) => (why ? this.stop(why) : this.#again()));
  }

  /** An EventSource does not say why it gave up, so the request is repeated. A sentence, if it is refused. */
  async #refusal() {
    const abort = new AbortController();
    try {
      const response = await fetch(this.#url(), { signal: abort.signal });
      const { status } = response;
      return status >= 400 && status < 500 && status !== 429 ? await problemOf(response) : null;
    } catch {
      return null;
    } finally {
      abort.abort();
    }
  }

  #again(why) {
    if (this.#isStopped) return;
    this.#drop();
    this.#on.state('reconnecting', why);
    const longest = Math.min(BACKOFF_MOST_MS, BACKOFF_FIRST_MS * 2 ** this.#failures);
    this.#failures += 1;
    this.#retry = setTimeout(() => this.#open(), longest * (0.5 + Math.random() / 2));
  }
}
