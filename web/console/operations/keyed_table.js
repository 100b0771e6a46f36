// A table whose rows are changed in place: a button in a row is never lost under the pointer.
import { h, setText } from '../elements/dom.js';

/**
 * @typedef {object} Column
 * @property {string} label
 * @property {(item: any) => string} [text]
 * @property {(cell: HTMLElement, item: any) => void} [fill] in place of `text`
 * @property {string} [className]
 */

export class KeyedTable {
  #columns;
  #key;
  #body = h('tbody', { role: 'rowgroup' });
  #rows = new Map();

  /** @param {{label: string, key: (item: any) => string, columns: Column[]}} rules */
  constructor({ label, key, columns }) {
    this.#columns = columns;
    this.#key = key;
    // On a phone a row is a block. Then browsers forget what it is, so that the roles say it.
    const head = h('tr', { role: 'row' }, columns.map(({ label: text, className = '' }) => h('th', { role: 'columnheader', scope: 'col', className }, text || h('span.hidden', {}, 'Actions'))));
    const table = h('table.table.keyed', { role: 'table', 'aria-label': label }, h('thead', { role: 'rowgroup' }, head), this.#body);
    this.element = h('div.table-scroll', { role: 'group', 'aria-label': label, tabIndex: 0 }, table);
  }

  /** @param {readonly any[]} items */
  set(items) {
    const wanted = new Set(items.map(this.#key));
    for (const [key, row] of this.#rows) {
      if (wanted.has(key)) continue;
      row.remove();
      this.#rows.delete(key);
    }
    let before = null;
    for (const item of items) {
      const row = this.#row(item);
      const expected = before ? before.nextSibling : this.#body.firstChild;
      if (row !== expected) this.#body.insertBefore(row, expected);
      before = row;
    }
    this.element.hidden = !items.length;
  }

  #row(item) {
    const key = this.#key(item);
    let row = this.#rows.get(key);
    if (!row) {
      row = h('tr', { role: 'row' }, this.#columns.map(({ label, className = '' }) => h('td', { role: 'cell', className, dataset: { label } })));
      this.#rows.set(key, row);
    }
    this.#columns.forEach(({ text, fill }, index) => {
      const cell = row.children[index];
      if (text) setText(cell, text(item));
      else fill(cell, item);
    });
    return row;
  }
}

/** Fills a cell with what `make` returns, again only when `key` is another one. */
export function fillOnce(cell, key, make) {
  if (cell.dataset.shown === key) return;
  cell.dataset.shown = key;
  cell.replaceChildren(...[make()].flat().filter(Boolean));
}
