// The events that were received, as bytes beside the heap: 100,000 of them cost the garbage collector nothing, and the oldest make room for new ones.
import { codeOf, KINDS } from './kinds.js';

/** At least so many of the newest events are kept, unless they are large. */
export const MOST_EVENTS = 100_000;
const MOST_BYTES = 64 * 1024 * 1024;
/** Events are dropped by the segment. */
const SEGMENT_EVENTS = 2_048;
const SEGMENT_BYTES = 512 * 1024;
/** A character has at most so many bytes in UTF-8. */
const WIDEST = 3;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

class Segment {
  count = 0;
  used = 0;
  starts = new Uint32Array(SEGMENT_EVENTS + 1);
  kinds = new Uint8Array(SEGMENT_EVENTS);
  receivedAt = new Float64Array(SEGMENT_EVENTS);
  committedAt = new Float64Array(SEGMENT_EVENTS);

  /** @param {number} first the number of its first event */
  constructor(first, size) {
    this.first = first;
    this.bytes = new Uint8Array(size);
  }

  hasRoom(size) {
    return this.count < SEGMENT_EVENTS && this.used + size <= this.bytes.length;
  }

  push(text, kind, receivedAt, committedAt) {
    this.starts[this.count] = this.used;
    this.used += encoder.encodeInto(text, this.bytes.subarray(this.used)).written;
    this.kinds[this.count] = kind;
    this.receivedAt[this.count] = receivedAt;
    this.committedAt[this.count] = committedAt;
    this.count += 1;
    this.starts[this.count] = this.used;
  }

  text(index) {
    return decoder.decode(this.bytes.subarray(this.starts[index], this.starts[index + 1]));
  }
}

/**
 * An event as it is shown. `position` and `committedAt` are null for what is not in the log.
 * @typedef {object} StoredEvent
 * @property {number} n its number on this page
 * @property {string} type
 * @property {string} raw its data as text
 * @property {any} data
 * @property {string | null} position
 * @property {number} kind
 * @property {number} receivedAt
 * @property {number | null} committedAt
 */

export class EventStore {
  /** @type {Segment[]} */
  #segments = [];
  #bytes = 0;
  /** The number of the oldest event that is kept. */
  first = 0;
  /** The number of the next event. */
  end = 0;
  /** How many there are of each kind. */
  counts = KINDS.map(() => 0);

  get size() {
    return this.end - this.first;
  }

  /**
   * @param {{data: any, position: string | null, message?: {type: string, data: string}}} delivery
   * @param {number} receivedAt
   */
  add({ data, position, message }, receivedAt) {
    const raw = message?.data ?? JSON.stringify(data);
    const text = `${position ?? ''}\n${data.type}\n${raw}`;
    const kind = codeOf(data.type);
    const committedAt = data.timestamp ? Date.parse(data.timestamp) : Number.NaN;
    this.#segmentFor(text.length * WIDEST).push(text, kind, receivedAt, committedAt);
    this.counts[kind] += 1;
    this.end += 1;
  }

  #segmentFor(size) {
    const last = this.#segments.at(-1);
    if (last?.hasRoom(size)) return last;
    const segment = new Segment(this.end, Math.max(size, SEGMENT_BYTES));
    this.#segments.push(segment);
    this.#bytes += segment.bytes.length;
    while (this.#segments.length > 1 && (this.#bytes > MOST_BYTES || this.size - this.#segments[0].count >= MOST_EVENTS)) this.#dropOldest();
    return segment;
  }

  #dropOldest() {
    const [oldest] = this.#segments.splice(0, 1);
    this.#bytes -= oldest.bytes.length;
    this.first += oldest.count;
    for (let index = 0; index < oldest.count; index += 1) this.counts[oldest.kinds[index]] -= 1;
  }

  clear() {
    this.#segments = [];
    this.#bytes = 0;
    this.first = this.end;
    this.counts.fill(0);
  }

  #find(n) {
    let [low, high] = [0, this.#segments.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.#segments[middle].first <= n) low = middle;
      else high = middle - 1;
    }
    return this.#segments[low];
  }

  kind(n) {
    const segment = this.#find(n);
    return segment.kinds[n - segment.first];
  }

  /** Milliseconds from the commit to the receipt; NaN for what was not committed. */
  delay(n) {
    const segment = this.#find(n);
    return segment.receivedAt[n - segment.first] - segment.committedAt[n - segment.first];
  }

  /** Position, type and data as one text, for a search. */
  text(n) {
    const segment = this.#find(n);
    return segment.text(n - segment.first);
  }

  /** @param {number} n @returns {StoredEvent} */
  get(n) {
    const segment = this.#find(n);
    const index = n - segment.first;
    const text = segment.text(index);
    const [afterPosition, afterType] = [text.indexOf('\n'), text.indexOf('\n', text.indexOf('\n') + 1)];
    const raw = text.slice(afterType + 1);
    const committedAt = segment.committedAt[index];
    return {
      n, raw, data: JSON.parse(raw || '{}'), kind: segment.kinds[index], receivedAt: segment.receivedAt[index],
      position: text.slice(0, afterPosition) || null, type: text.slice(afterPosition + 1, afterType),
      committedAt: Number.isNaN(committedAt) ? null : committedAt,
    };
  }
}
