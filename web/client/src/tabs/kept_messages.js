// The last messages of a shared stream, for tabs that join later.

const MOST_MESSAGES = 1_000;
const MOST_CHARACTERS = 1_000_000;
const HEARTBEAT_SECONDS_USUAL = 15;

/** @typedef {import('../sse_parser.js').Message} Message */

export class KeptMessages {
  #tools;
  /** @type {Message[]} */
  #messages = [];
  #characters = 0;
  /** Everything after it is kept; null before the stream says where it began. @type {string | null} */
  #from = null;
  /** What the stream has said about itself. @type {any} */
  #ready = null;
  /** The last position of the stream. @type {string | null} */
  last = null;

  /** @param {import('./tools.js').Tools} tools */
  constructor(tools) {
    this.#tools = tools;
  }

  get heartbeatSeconds() {
    return this.#ready?.heartbeatSeconds ?? HEARTBEAT_SECONDS_USUAL;
  }

  /** Where the stream says that it began. @returns {string | null} */
  get began() {
    return this.#ready?.position ?? null;
  }

  /** A stream is opened here. @param {string | null} cursor */
  begin(cursor) {
    this.#restart(cursor);
    this.#ready = null;
  }

  /**
   * Whether everything after a position is kept, or will be.
   * @param {string | null} cursor
   */
  reaches(cursor) {
    if (cursor === null) return true;
    const { isCovered, isPosition } = this.#tools;
    return this.#from !== null && isPosition(cursor) && isPosition(this.#from) && isCovered(this.#from, cursor);
  }

  /**
   * What a tab has to hear that joins now: how the stream began, and what came after its position.
   * @param {string | null} cursor
   * @returns {Message[]}
   */
  since(cursor) {
    const position = cursor ?? this.last;
    // `isShared`: what a stream says only at its beginning must be asked for.
    const data = JSON.stringify({ type: 'stream:ready', ...this.#ready, position, isShared: true });
    const missed = cursor === null ? [] : this.#messages.filter(({ id }) => id && !this.#tools.isCovered(id, cursor));
    return [{ type: 'stream:ready', data, id: position }, ...missed];
  }

  /** @param {Message[]} messages */
  add(messages) {
    for (const message of messages) this.#add(message);
    while (this.#messages.length > MOST_MESSAGES || this.#characters > MOST_CHARACTERS) {
      const dropped = /** @type {Message} */ (this.#messages.shift());
      this.#characters -= dropped.data.length;
      this.#from = dropped.id;
    }
  }

  /** @param {Message} message */
  #add(message) {
    const { type, id, data } = message;
    const isControl = type === 'message' ? data.includes('"type":"stream:') : type.startsWith('stream:');
    if (isControl) this.#control(data);
    if (!this.#tools.isPosition(id)) return;
    this.last = id;
    this.#from ??= id;
    if (isControl || type === 'hb' || data === '{"type":"hb"}') return;
    this.#messages.push(message);
    this.#characters += data.length;
  }

  /** @param {string} text */
  #control(text) {
    const data = parse(text);
    if (data.type === 'stream:ready') {
      this.#ready = data;
      this.#from ??= data.position ?? null;
      this.last ??= data.position ?? null;
    }
    if (data.type === 'stream:reset') this.#restart(data.position);
  }

  /** @param {string | null} position */
  #restart(position) {
    this.#messages = [];
    this.#characters = 0;
    this.#from = position;
    this.last = position;
  }
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}
