// A list of which only the rows in sight are in the document. Rows are kept by key: a row that stays is the same element, with its focus and selection.
import { h, onceAFrame } from './dom.js';

/** Rows beyond the edge that are made already. */
const SPARE = 6;

/**
 * @typedef {object} RowRules
 * @property {(item: any) => string} key
 * @property {(item: any) => HTMLElement} make makes the element of a row
 * @property {(row: HTMLElement, item: any, index: number) => void} update called for a new row, and when its item is another object or has moved
 * @property {() => number} height of every row, in pixels
 * @property {() => void} [onEnd] called when the last rows are in sight
 * @property {(item: any) => void} [onFocusLost] the row with the focus is gone, and this item is in its place
 * @property {string} label
 * @property {string} [role] of the list
 */
export class VirtualRows {
  #rules;
  #items = [];
  #index = new Map();
  #rows = new Map();
  #space;
  /** How far it is scrolled, also while it is not displayed. */
  #place = 0;
  #wasDisplayed = false;
  #height = 0;
  /** The row with the focus, while it is out of sight. */
  #strayed = null;
  #draw = onceAFrame(() => this.draw());

  /** @param {RowRules} rules */
  constructor(rules) {
    this.#rules = rules;
    this.#space = h('div.rows-space', { role: rules.innerRole ?? 'presentation' });
    this.element = h('div.rows', { role: rules.role ?? 'list', 'aria-label': rules.label, tabIndex: rules.tabIndex ?? 0 }, this.#space);
    this.element.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  /** Shows these items. The row at the top stays where it is, to the pixel, when rows come, go or move above it. */
  set(items) {
    if (this.#isDisplayed && this.#wasDisplayed) this.#place = this.element.scrollTop;
    const index = new Map(items.map((item, at) => [this.#rules.key(item), at]));
    const shift = this.#place > 0 ? this.#shift(items, index) : 0;
    const height = this.#rules.height();
    this.#items = items;
    this.#index = index;
    this.#space.style.height = `${items.length * height}px`;
    if (shift) this.#scrollTo(this.#place + shift * height);
    this.draw();
  }

  /** By how many rows the first row in sight moves that stays and has not changed itself: a row that was sorted elsewhere takes nobody along. */
  #shift(items, index) {
    const height = this.#rules.height();
    const first = Math.floor(this.#place / height);
    const end = Math.ceil((this.#place + this.element.clientHeight) / height);
    let changed;
    for (let at = first; at < this.#items.length && (at < end || changed === undefined); at += 1) {
      const now = index.get(this.#rules.key(this.#items[at]));
      if (now === undefined) continue;
      if (items[now] === this.#items[at]) return now - at;
      changed ??= now - at;
    }
    return changed ?? this.#shiftOfRowsAbove(index, first);
  }

  /** All from the top on are gone: the last one above them is above still. */
  #shiftOfRowsAbove(index, first) {
    for (let at = Math.min(first, this.#items.length) - 1; at >= 0; at -= 1) {
      const now = index.get(this.#rules.key(this.#items[at]));
      if (now !== undefined) return now + 1 - first;
    }
    return 0;
  }

  /** A list that is not displayed cannot be scrolled: it is when it is displayed again. */
  #scrollTo(top) {
    this.#place = Math.max(0, top);
    if (this.#isDisplayed) this.element.scrollTop = this.#place;
  }

  get #isDisplayed() {
    return this.element.clientHeight > 0;
  }

  /** Something else than the items has changed. */
  refresh() {
    for (const [key, { row }] of this.#rows) {
      const at = this.#index.get(key);
      if (at !== undefined) this.#rules.update(row, this.#items[at], at);
    }
    this.draw();
  }

  get items() {
    return this.#items;
  }

  /** The element of a row, if it is in the document. */
  row(key) {
    return this.#rows.get(key)?.row;
  }

  /** Scrolls until the row is in sight. */
  reveal(key) {
    const index = this.#index.get(key);
    if (index === undefined) return;
    const height = this.#rules.height();
    const { clientHeight } = this.element;
    if (index * height < this.#place) this.#scrollTo(index * height);
    else if ((index + 1) * height > this.#place + clientHeight) this.#scrollTo((index + 1) * height - clientHeight);
    this.draw();
  }

  indexOf(key) {
    return this.#index.get(key) ?? -1;
  }

  scrollToTop() {
    if (this.#place > 0) this.#scrollTo(0);
  }

  #scrolled() {
    if (this.#wasDisplayed && this.#isDisplayed) this.#place = this.element.scrollTop;
    this.#draw();
  }

  draw() {
    this.#fit();
    const height = this.#height;
    const { clientHeight } = this.element;
    const from = Math.max(0, Math.floor(this.#place / height) - SPARE);
    const to = Math.min(this.#items.length, Math.ceil((this.#place + clientHeight) / height) + SPARE);
    const wanted = new Set(this.#items.slice(from, to).map((item) => this.#rules.key(item)));
    this.#strayed = null;
    for (const [key, { row }] of this.#rows) if (!wanted.has(key)) this.#hide(key, row, height);
    let last = null;
    for (let index = from; index < to; index += 1) last = this.#show(index, height, last);
    if (to >= this.#items.length && this.#items.length) this.#rules.onEnd?.();
  }

  /** After the list was displayed again, or its rows have another height, the same row is at the top. */
  #fit() {
    const height = this.#rules.height();
    const isNew = this.#isDisplayed && !this.#wasDisplayed;
    this.#wasDisplayed = this.#isDisplayed;
    if (height !== this.#height) {
      const top = this.#height ? this.#place / this.#height : 0;
      this.#height = height;
      this.#space.style.height = `${this.#items.length * height}px`;
      for (const known of this.#rows.values()) known.index = -1;
      this.#scrollTo(top * height);
    } else if (isNew) this.element.scrollTop = this.#place;
    if (this.#isDisplayed) this.#place = this.element.scrollTop;
  }

  /** Returns the element of the row, which follows `last` in the document too, for screen readers. */
  #show(index, height, last) {
    const item = this.#items[index];
    const key = this.#rules.key(item);
    let known = this.#rows.get(key);
    if (!known) {
      known = { row: this.#rules.make(item), item: null, index: -1 };
      known.row.classList.add('row');
      this.#rows.set(key, known);
    }
    const { row } = known;
    // A row that is moved in the document would lose its focus or its selection.
    if (this.#following(last) !== row && !row.contains(document.activeElement)) last ? last.after(row) : this.#space.prepend(row);
    if (known.item !== item || known.index !== index) {
      row.style.transform = `translateY(${index * height}px)`;
      this.#rules.update(row, item, index);
      Object.assign(known, { item, index });
    }
    return row;
  }

  #following(last) {
    const next = last ? last.nextElementSibling : this.#space.firstElementChild;
    return next && next === this.#strayed ? next.nextElementSibling : next;
  }

  /** A row with the focus stays, out of sight, so that the focus is not lost. If its item is gone, the next row gets the focus. */
  #hide(key, row, height) {
    const index = this.#index.get(key);
    const hasFocus = row.contains(document.activeElement);
    if (index !== undefined && hasFocus) {
      row.style.transform = `translateY(${index * height}px)`;
      this.#strayed = row;
      return;
    }
    const { index: before } = this.#rows.get(key);
    row.remove();
    this.#rows.delete(key);
    if (hasFocus && this.#items.length) this.#rules.onFocusLost?.(this.#items[Math.min(before, this.#items.length - 1)]);
  }
}
