// Which events are shown: those of some kinds with a text in them. A search goes through 100,000 events in slices, so that the page stays quick.

/** A slice takes so long at most. */
const SLICE_MS = 8;
/** The clock is asked once for so many events. */
const CHECK_EVERY = 64;

export class EventView {
  #store;
  #changed;
  /** Numbers of events, or null: all are shown. @type {number[] | null} */
  #matches = null;
  /** The number of the next event to look at. */
  #next = 0;
  /** While the list is paused: what comes from here on is not shown. @type {number | null} */
  #pausedAt = null;
  #hidden = new Set();
  #text = '';
  #timer = null;
  /** How many rows have gone at the top, ever. */
  dropped = 0;
  #first = 0;

  /**
   * @param {import('./event_store.js').EventStore} store
   * @param {() => void} changed told when other rows are shown
   */
  constructor(store, changed) {
    this.#store = store;
    this.#changed = changed;
  }

  get count() {
    return this.#matches ? this.#matches.length : this.#end - this.#store.first;
  }

  /** The number of the event in this row. */
  at(row) {
    return this.#matches ? this.#matches[row] : this.#store.first + row;
  }

  /** The row of an event, or -1. */
  rowOf(n) {
    if (n < this.#store.first || n >= this.#end) return -1;
    if (!this.#matches) return n - this.#store.first;
    let [low, high] = [0, this.#matches.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#matches[middle] < n) low = middle + 1;
      else high = middle;
    }
    return this.#matches[low] === n ? low : -1;
  }

  get #end() {
    return this.#pausedAt ?? this.#store.end;
  }

  get isFiltered() {
    return this.#matches !== null;
  }

  get isPaused() {
    return this.#pausedAt !== null;
  }

  /** How many events have come since the pause. */
  get waiting() {
    return this.isPaused ? this.#store.end - Math.max(this.#pausedAt, this.#store.first) : 0;
  }

  /** Whether a search is still on its way; from 0 to 1. */
  get progress() {
    return this.#matches && this.#next < this.#end ? (this.#next - this.#store.first) / (this.#end - this.#store.first) : 1;
  }

  pause(isPaused) {
    this.#pausedAt = isPaused ? this.#store.end : null;
    this.advance();
  }

  isShown(kind) {
    return !this.#hidden.has(kind);
  }

  showKind(kind, isShown) {
    if (isShown) this.#hidden.delete(kind);
    else this.#hidden.add(kind);
    this.#restart();
  }

  search(text) {
    const wanted = text.trim().toLowerCase();
    if (wanted === this.#text) return;
    this.#text = wanted;
    this.#restart();
  }

  /** Everything is shown again. */
  reset() {
    this.#hidden.clear();
    this.#text = '';
    this.#restart();
  }

  #restart() {
    this.#matches = this.#text || this.#hidden.size ? [] : null;
    this.#next = this.#store.first;
    this.advance();
  }

  /** To be called when the store has changed. */
  advance() {
    this.#drop();
    if (this.#matches) this.#scan();
    this.#changed();
  }

  #drop() {
    const { first } = this.#store;
    if (first === this.#first) return;
    if (this.#matches) {
      const gone = this.#matches.findIndex((n) => n >= first);
      this.dropped += this.#matches.splice(0, gone < 0 ? this.#matches.length : gone).length;
    } else this.dropped += first - this.#first;
    this.#first = first;
    this.#next = Math.max(this.#next, first);
    if (this.#pausedAt !== null) this.#pausedAt = Math.max(this.#pausedAt, first);
  }

  #scan() {
    const until = performance.now() + SLICE_MS;
    while (this.#next < this.#end) {
      if (this.#isWanted(this.#next)) this.#matches.push(this.#next);
      this.#next += 1;
      if (this.#next % CHECK_EVERY === 0 && performance.now() > until) break;
    }
    if (this.#next < this.#end) this.#timer ??= setTimeout(() => { this.#timer = null; this.advance(); });
  }

  #isWanted(n) {
    if (this.#hidden.has(this.#store.kind(n))) return false;
    return !this.#text || this.#store.text(n).toLowerCase().includes(this.#text);
  }
}
