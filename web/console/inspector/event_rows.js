// The list of events: only the rows in sight are in the document, and their elements are used again.
import { h, onceAFrame } from '../elements/dom.js';

/** Rows beyond the edge that are made already. */
const SPARE = 4;
const STEPS = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 };

export class EventRows {
  #view;
  #rules;
  #rows = new Map();
  #free = [];
  #space = h('div.rows-space', { role: 'presentation' });
  #shownTop = 0;
  #dropped = 0;
  /** Whether the newest event stays in sight. */
  isFollowing = true;
  /** The number of the selected event. @type {number | null} */
  selected = null;
  refresh = onceAFrame(() => this.#draw());

  /**
   * @param {import('./event_view.js').EventView} view
   * @param {{label: string, make: () => HTMLElement, update: (row: HTMLElement, n: number) => void, height: () => number,
   *   onSelect: (n: number) => void, onFollow: () => void}} rules
   */
  constructor(view, rules) {
    this.#view = view;
    this.#rules = rules;
    this.element = h('div.rows.event-rows', { role: 'listbox', 'aria-label': rules.label, tabIndex: 0 }, this.#space);
    this.element.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.element.addEventListener('keydown', (event) => this.#key(event));
    this.element.addEventListener('click', ({ target }) => {
      const row = target.closest('[role=option]');
      if (row) this.select(Number(row.dataset.n));
    });
    new ResizeObserver(this.refresh).observe(this.element);
  }

  follow(isFollowing) {
    this.isFollowing = isFollowing;
    this.#rules.onFollow();
    this.refresh();
  }

  select(n) {
    this.selected = n;
    this.#reveal(n);
    this.#rules.onSelect(n);
    this.#draw();
  }

  #reveal(n) {
    const index = this.#view.rowOf(n);
    if (index < 0) return;
    const height = this.#rules.height();
    const { scrollTop, clientHeight } = this.element;
    if (index * height < scrollTop) this.element.scrollTop = index * height;
    else if ((index + 1) * height > scrollTop + clientHeight) this.element.scrollTop = (index + 1) * height - clientHeight;
  }

  #key(event) {
    const { count } = this.#view;
    if (!count || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = STEPS[event.key];
    const now = this.selected === null ? -1 : this.#view.rowOf(this.selected);
    if (step) {
      event.preventDefault();
      // Without a selection it begins with the newest, which is in sight.
      const next = now < 0 ? count - 1 : Math.min(count - 1, Math.max(0, now + step));
      if (next < count - 1) this.follow(false);
      this.select(this.#view.at(next));
    } else if (event.key === 'End') this.follow(true);
    else if (event.key === 'Home') this.follow(false);
  }

  /** Up: the user reads, and the list stands still. At the end: it follows again. */
  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.element;
    const isAtEnd = scrollTop + clientHeight >= scrollHeight - 2;
    if (this.isFollowing && scrollTop < this.#shownTop - 1 && !isAtEnd) this.follow(false);
    else if (!this.isFollowing && isAtEnd && scrollTop > this.#shownTop) this.follow(true);
    this.#shownTop = scrollTop;
    this.refresh();
  }

  /** Draws the rows in sight. */
  #draw() {
    const height = this.#rules.height();
    const { count } = this.#view;
    this.#space.style.height = `${count * height}px`;
    this.#keepPlace(height);
    const { scrollTop, clientHeight } = this.element;
    const from = Math.max(0, Math.floor(scrollTop / height) - SPARE);
    const to = Math.min(count, Math.ceil((scrollTop + clientHeight) / height) + SPARE);
    this.#recycle(from, to);
    let before = null;
    for (let index = from; index < to; index += 1) before = this.#show(index, height, before);
    this.#markSelected();
  }

  /** At the end while it follows; else what was read stays where it is, although rows above it have gone. */
  #keepPlace(height) {
    const gone = this.#view.dropped - this.#dropped;
    this.#dropped = this.#view.dropped;
    if (this.isFollowing && !this.#view.isPaused) this.element.scrollTop = this.element.scrollHeight;
    else if (gone) this.element.scrollTop -= gone * height;
    this.#shownTop = this.element.scrollTop;
  }

  #recycle(from, to) {
    for (const [n, known] of this.#rows) {
      const index = this.#view.rowOf(n);
      if (index >= from && index < to) continue;
      this.#rows.delete(n);
      this.#free.push(known);
    }
  }

  /** Rows are in the document in the order in which they are read. */
  #show(index, height, before) {
    const n = this.#view.at(index);
    let known = this.#rows.get(n);
    if (!known) {
      known = this.#free.pop() ?? { row: this.#make(), top: -1 };
      this.#rows.set(n, known);
      known.row.dataset.n = n;
      known.row.id = `event-${n}`;
      known.row.hidden = false;
      this.#rules.update(known.row, n);
    }
    const { row } = known;
    if (known.top !== index * height) {
      known.top = index * height;
      row.style.transform = `translateY(${known.top}px)`;
      row.setAttribute('aria-posinset', String(index + 1));
      row.setAttribute('aria-setsize', String(this.#view.count));
    }
    const expected = before ? before.nextSibling : this.#space.firstChild;
    if (row !== expected) this.#space.insertBefore(row, expected);
    return row;
  }

  #make() {
    const row = this.#rules.make();
    row.classList.add('row');
    row.setAttribute('role', 'option');
    return row;
  }

  #markSelected() {
    for (const { row } of this.#free) row.hidden = true;
    for (const [n, { row }] of this.#rows) row.setAttribute('aria-selected', String(n === this.selected));
    const isInDocument = this.selected !== null && this.#rows.has(this.selected);
    if (isInDocument) this.element.setAttribute('aria-activedescendant', `event-${this.selected}`);
    else this.element.removeAttribute('aria-activedescendant');
  }
}
