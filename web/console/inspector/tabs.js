// Tabs over a panel. What is in a panel is made when it is first opened, and told when it is shown and when it is not.
import { h } from '../elements/dom.js';
import { empty } from '../elements/elements.js';

/**
 * @typedef {object} Tab
 * @property {string} name
 * @property {string} label
 * @property {() => Promise<{element: HTMLElement, show?: () => void, hide?: () => void}>} load
 */

export class Tabs {
  #tabs;
  #buttons;
  #panel = h('div.tab-panel', { role: 'tabpanel', id: 'tab-panel', tabIndex: 0 });
  #made = new Map();
  #changed;
  current = null;

  /** @param {Tab[]} tabs @param {string} label @param {(name: string) => void} changed */
  constructor(tabs, label, changed) {
    this.#tabs = tabs;
    this.#changed = changed;
    this.#buttons = tabs.map(({ name, label: text }) => h('button.tab', { type: 'button', role: 'tab', id: `tab-${name}`, 'aria-controls': 'tab-panel', dataset: { tab: name }, onClick: () => this.open(name) }, text));
    const list = h('div.tab-list', { role: 'tablist', 'aria-label': label }, this.#buttons);
    list.addEventListener('keydown', (event) => this.#key(event));
    this.list = list;
    this.panel = this.#panel;
  }

  #key(event) {
    const shown = this.#buttons.filter(({ offsetParent }) => offsetParent !== null);
    const now = shown.indexOf(document.activeElement);
    const next = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: -1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const target = shown.at(next % shown.length);
    target.focus();
    this.open(target.dataset.tab);
  }

  async open(name) {
    if (name === this.current) return;
    this.#made.get(this.current)?.hide?.();
    this.current = name;
    for (const one of this.#buttons) {
      const isOpen = one.dataset.tab === name;
      one.setAttribute('aria-selected', String(isOpen));
      one.tabIndex = isOpen ? 0 : -1;
    }
    this.#panel.setAttribute('aria-labelledby', `tab-${name}`);
    this.#changed(name);
    const content = await this.#load(name);
    if (name !== this.current) return;
    this.#panel.replaceChildren(content.element);
    this.#panel.scrollTop = 0;
    content.show?.();
  }

  async #load(name) {
    if (this.#made.has(name)) return this.#made.get(name);
    try {
      const made = await this.#tabs.find((tab) => tab.name === name).load();
      this.#made.set(name, made);
      return made;
    } catch (error) {
      console.error(error);
      return { element: empty('This part could not be loaded', 'The service cannot be reached, or it was updated. Load the page again.') };
    }
  }

  /** The content of a tab, if it was opened before. */
  made(name) {
    return this.#made.get(name);
  }
}
