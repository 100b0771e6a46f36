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
 * @property {string} label
 * @property {string} [role] of the list
 */
export class VirtualRows {
  #rules;
  #items = [];
  #index = new Map();
  #rows = new Map();
  #space;
  #draw = onceAFrame(() => this.draw());

  /** @param {RowRules} rules */
  constructor(rules) {
    this.#rules = rules;
    this.#space = h('div.rows-space', { role: rules.innerRole ?? 'presentation' });
    this.element = h('div.rows', { role: rules.role ?? 'list', 'aria-label': rules.label, tabIndex: rules.tabIndex ?? 0 }, this.#space);
    this.element.addEventListener('scroll', this.#draw, { passive: true });
    new ResizeObserver(this.#draw).observe(this.element);
  }

  /** Shows these items. What is at the top stays where it is when rows come or go above it. */
  set(items) {
    const height = this.#rules.height();
    const { scrollTop } = this.element;
    const first = this.#items[Math.floor(scrollTop / height)];
    const before = first && this.#index.get(this.#rules.key(first));
    this.#items = items;
    this.#index = new Map(items.map((item, index) => [this.#rules.key(item), index]));
    const after = first && this.#index.get(this.#rules.key(first));
    this.#space.style.height = `${items.length * height}px`;
    if (scrollTop > 0 && after !== undefined && after !== before) this.element.scrollTop = scrollTop + (after - before) * height;
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
    const { scrollTop, clientHeight } = this.element;
    if (index * height < scrollTop) this.element.scrollTop = index * height;
    else if ((index + 1) * height > scrollTop + clientHeight) this.element.scrollTop = (index + 1) * height - clientHeight;
    this.draw();
  }

  indexOf(key) {
    return this.#index.get(key) ?? -1;
  }

  scrollToTop() {
    this.element.scrollTop = 0;
  }

  draw() {
    const height = this.#rules.height();
    const { scrollTop, clientHeight } = this.element;
    const from = Math.max(0, Math.floor(scrollTop / height) - SPARE);
    const to = Math.min(this.#items.length, Math.ceil((scrollTop + clientHeight) / height) + SPARE);
    const wanted = new Set();
    for (let index = from; index < to; index += 1) wanted.add(this.#show(index, height));
    for (const [key, { row }] of this.#rows) if (!wanted.has(key)) this.#hide(key, row, height);
    if (to >= this.#items.length && this.#items.length) this.#rules.onEnd?.();
  }

  #show(index, height) {
    const item = this.#items[index];
    const key = this.#rules.key(item);
    let known = this.#rows.get(key);
    if (!known) {
      known = { row: this.#rules.make(item), item: null, index: -1 };
      known.row.classList.add('row');
      this.#rows.set(key, known);
      this.#space.append(known.row);
    }
    if (known.item !== item || known.index !== index) {
      known.row.style.transform = `translateY(${index * height}px)`;
      this.#rules.update(known.row, item, index);
      Object.assign(known, { item, index });
    }
    return key;
  }

  /** A row with the focus stays, out of sight, so that the focus is not lost. */
  #hide(key, row, height) {
    const index = this.#index.get(key);
    if (index !== undefined && row.contains(document.activeElement)) {
      row.style.transform = `translateY(${index * height}px)`;
      return;
    }
    row.remove();
    this.#rows.delete(key);
  }
}
