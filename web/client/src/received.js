// What was received of the stream: reads messages, and recognises those that came before.
import { parsed } from './error.js';
import { isCovered, isPosition } from './position.js';

/** @typedef {import('./sse_parser.js').Message} Message */

/**
 * A message of the stream. `position` is null for what is not in the log.
 * @typedef {{data: any, position: string | null, message?: Message}} Delivery
 */

/**
 * @typedef {object} ReceivedHandlers
 * @property {boolean} [hasPositions] whether ids are positions of the log, which come once
 * @property {(text: string) => any} [decode] reads the data of a message; null if it cannot be read
 * @property {(name: string, data: any) => void} control told of `stream:…`
 * @property {(level: import('./connection_status.js').Diagnostic['level'], message: string, data?: Record<string, unknown>) => void} tell
 */

export class Received {
  #on;
  /** The position after which the stream continues. @type {string | null} */
  cursor;
  /** Everything after this position was or will be delivered; null before the first answer. @type {string | null} */
  start;

  /**
   * @param {string | null} cursor
   * @param {ReceivedHandlers} on
   */
  constructor(cursor, on) {
    this.cursor = cursor;
    // Where `-20` is, the service says.
    this.start = isPosition(cursor) ? cursor : null;
    this.#on = on;
  }

  /** A stream has begun here. @param {string | null} position */
  begin(position) {
    if (!isPosition(this.cursor)) this.cursor = position ?? this.cursor;
    this.start ??= position;
  }

  /** Everything after this position is delivered, again if need be. @param {string} position */
  restart(position) {
    this.cursor = position;
    this.start = position;
  }

  /**
   * @param {Message[]} messages
   * @param {() => boolean} isCurrent false as soon as the rest comes from a stream that was given up
   * @param {(ready: any) => void} begun told of the first message, with what the stream says about itself
   * @returns {Delivery[]} what is new
   */
  take(messages, isCurrent, begun) {
    /** @type {Delivery[]} */
    const deliveries = [];
    for (const message of messages) {
      const { type, id } = message;
      const data = message.data === '' ? {} : (this.#on.decode ?? parsed)(message.data);
      const name = type === 'message' ? data?.type : type;
      begun((name === 'stream:ready' && data) || {});
      if (name === 'hb') this.#isNew(id);
      else if (data === null) this.#on.tell('warning', 'an event is no JSON', { type, id });
      else if (name?.startsWith('stream:')) {
        if (name === 'stream:reset') this.restart(data.position);
        this.#on.control(name, data);
        deliveries.push({ data, position: null, message });
      } else if (this.#isNew(id)) deliveries.push({ data, position: id, message });
      if (!isCurrent()) break;
    }
    return deliveries;
  }

  /**
   * Moves the cursor; false for an event that was received before.
   * @param {string | null} position
   */
  #isNew(position) {
    const { cursor } = this;
    if (this.#on.hasPositions !== false && isPosition(position) && isPosition(cursor) && isCovered(position, cursor)) return false;
    if (position !== null) this.cursor = position || null;
    return true;
  }
}
