// The format of Server-Sent Events.

/** A line or an event may have this many characters; an event of the service has at most a fraction of it. */
const MOST_CHARACTERS = 8 * 1024 * 1024;

/**
 * A message as it is on the wire. `id` is null where the block has no `id:` line of its own.
 * @typedef {{type: string, data: string, id: string | null}} Message
 */

/** Turns pieces of text into messages. A message that is not finished with an empty line is never returned. */
export class SseParser {
  #rest = '';
  #endedWithReturn = false;
  #type = '';
  /** @type {string | null} */
  #data = null;
  /** @type {string | null} */
  #id = null;
  /** @type {(ms: number) => void} */
  #onRetry;

  /** @param {(ms: number) => void} [onRetry] receives the values of `retry:` lines */
  constructor(onRetry = () => {}) {
    this.#onRetry = onRetry;
  }

  /**
   * @param {string} text the next piece
   * @returns {Message[]} the messages that it completes
   */
  push(text) {
    // The line feed of a pair that was cut in two ends no further line.
    if (this.#endedWithReturn && text) {
      this.#endedWithReturn = false;
      if (text[0] === '\n') text = text.slice(1);
    }
    return this.#lines(this.#rest + text);
  }

  /**
   * @param {string} text
   * @returns {Message[]}
   */
  #lines(text) {
    /** @type {Message[]} */
    const messages = [];
    const hasReturns = text.includes('\r');
    let from = 0;
    for (;;) {
      let end = text.indexOf('\n', from);
      let next = end + 1;
      const back = hasReturns ? text.indexOf('\r', from) : -1;
      if (back >= 0 && (end < 0 || back < end)) {
        end = back;
        next = back + 1;
        if (next === text.length) this.#endedWithReturn = true;
        else if (text[next] === '\n') next += 1;
      }
      if (end < 0) break;
      this.#line(text.slice(from, end), messages);
      from = next;
    }
    this.#rest = text.slice(from);
    if (this.#rest.length + (this.#data?.length ?? 0) > MOST_CHARACTERS) throw new Error('the event is too large');
    return messages;
  }

  /**
   * @param {string} line
   * @param {Message[]} messages
   */
  #line(line, messages) {
    if (line === '') return void this.#dispatch(messages);
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (name === 'data') this.#data = this.#data === null ? value : `${this.#data}\n${value}`;
    else if (name === 'event') this.#type = value;
    else if (name === 'id' && !value.includes('\0')) this.#id = value;
    else if (name === 'retry' && /^\d+$/.test(value)) this.#onRetry(Number(value));
  }

  /** @param {Message[]} messages */
  #dispatch(messages) {
    if (this.#data !== null) messages.push({ type: this.#type || 'message', data: this.#data, id: this.#id });
    // An id without data is no event. It moves the cursor, like a heartbeat.
    else if (this.#id !== null) messages.push({ type: 'hb', data: '', id: this.#id });
    this.#id = null;
    this.#type = '';
    this.#data = null;
  }
}
