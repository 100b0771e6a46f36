// Keys that work anywhere on the page, and the list of them.
import { h } from '../elements/dom.js';

const TEXTS = 'input, textarea, select, [contenteditable]';

export class Keys {
  #keys = new Map();

  constructor() {
    document.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (event.target.closest(TEXTS) || document.querySelector('dialog[open]')) return;
      const known = this.#keys.get(event.key);
      if (!known) return;
      event.preventDefault();
      known.run();
    });
  }

  /** One character, or the name of a key. What was there before is replaced. */
  add(key, what, run) {
    this.#keys.set(key, { what, run });
  }

  async show() {
    const { openDialog } = await import('../elements/dialog.js');
    const rows = [...this.#keys].map(([key, { what }]) => h('tr', {}, h('td', {}, h('kbd', {}, key)), h('td', {}, what)));
    const fixed = [['↑ ↓', 'Move in a list'], ['→', 'The button of the row'], ['Enter', 'Open the row, or save the field'], ['Esc', 'Close, or cancel']];
    rows.push(...fixed.map(([key, what]) => h('tr', {}, h('td', {}, h('kbd', {}, key)), h('td', {}, what))));
    openDialog({ title: 'Keys', body: h('table.table', {}, h('tbody', {}, rows)), isNarrow: true });
  }
}
