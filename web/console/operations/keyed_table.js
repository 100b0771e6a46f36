// A table whose rows are changed in place: a button in a row is never lost under the pointer.
import { h, setText } from '../elements/dom.js';
import { KeyedRows } from '../elements/keyed_rows.js';

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
  #rows;

  /** @param {{label: string, key: (item: any) => string, columns: Column[]}} rules */
  constructor({ label, key, columns }) {
    this.#columns = columns;
    this.#key = key;
    // On a phone a row is a block. Then browsers forget what it is, so that the roles say it.
    const head = h('tr', { role: 'row' }, columns.map(({ label: text, className = '' }) => h('th', { role: 'columnheader', scope: 'col', className }, text || h('span.hidden', {}, 'Actions'))));
    const body = h('tbody', { role: 'rowgroup' });
    this.#rows = new KeyedRows(body);
    const table = h('table.table.keyed', { role: 'table', 'aria-label': label }, h('thead', { role: 'rowgroup' }, head), body);
    this.element = h('div.table-scroll', { role: 'group', 'aria-label': label, tabIndex: 0 }, table);
  }

  /** @param {readonly any[]} items */
  set(items) {
    this.#rows.set(items.map((item) => ({ key: this.#key(item), make: () => this.#make(), update: (row) => this.#fill(row, item) })));
    this.element.hidden = !items.length;
  }

  #make() {
    return h('tr', { role: 'row' }, this.#columns.map(({ label, className = '' }) => h('td', { role: 'cell', className, dataset: { label } })));
  }

  #fill(row, item) {
    this.#columns.forEach(({ text, fill }, index) => {
      const cell = row.children[index];
      if (text) setText(cell, text(item));
      else fill(cell, item);
    });
  }
}

/** Fills a cell with what `make` returns, again only when `key` is another one. */
export function fillOnce(cell, key, make) {
  if (cell.dataset.shown === key) return;
  cell.dataset.shown = key;
  cell.replaceChildren(...[make()].flat().filter(Boolean));
}
