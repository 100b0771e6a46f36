// Rows that are kept by key: one that stays is the same element, also when it moves, so that its focus is not lost.

/**
 * @typedef {object} KeyedRow
 * @property {string} key
 * @property {() => HTMLElement} make
 * @property {(row: any) => void} [update] called for a new row too
 */

const FOCUSABLE = 'a[href], button, select, input';

export class KeyedRows {
  #place;
  #rows = new Map();

  /** @param {HTMLElement} place the parent of the rows */
  constructor(place) {
    this.#place = place;
  }

  /** @param {readonly KeyedRow[]} wanted the rows, in their order */
  set(wanted) {
    const focused = this.#focused;
    const index = this.#removeOthers(new Set(wanted.map(({ key }) => key)), focused);
    let before = null;
    for (const one of wanted) before = this.#put(one, before);
    if (!focused || focused === document.activeElement) return;
    // A row that is moved in the document loses the focus. If the row is gone, the one in its place gets it.
    const next = focused.isConnected ? focused : this.#place.children[Math.min(index, wanted.length - 1)]?.querySelector(FOCUSABLE);
    next?.focus({ preventScroll: true });
  }

  get #focused() {
    const { activeElement } = document;
    return this.#place.contains(activeElement) ? activeElement : null;
  }

  /** Returns where the row with the focus was. */
  #removeOthers(keys, focused) {
    const index = [...this.#place.children].findIndex((row) => row.contains(focused));
    for (const [key, row] of this.#rows) {
      if (keys.has(key)) continue;
      row.remove();
      this.#rows.delete(key);
    }
    return index;
  }

  #put({ key, make, update }, before) {
    const row = this.#rows.get(key) ?? make();
    this.#rows.set(key, row);
    const expected = before ? before.nextElementSibling : this.#place.firstElementChild;
    if (row !== expected) this.#place.insertBefore(row, expected);
    update?.(row);
    return row;
  }
}
