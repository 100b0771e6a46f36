// Beside the list: what the team does, and recent AI actions.
import { h } from '../elements/dom.js';
import { ActivityList } from './activity.js';

export class SidePanel {
  #tabs = new Map();
  #bodies = new Map();

  constructor(crm, element) {
    this.#bodies.set('Activity', new ActivityList(crm).element);
    /** Filled when the tasks are loaded. */
    this.actions = h('div.activity');
    this.#bodies.set('AI actions', this.actions);
    const tabs = h('div.side-tabs', { role: 'tablist', 'aria-label': 'Beside the list' }, [...this.#bodies.keys()].map((name) => this.#tab(name)));
    tabs.addEventListener('keydown', ({ key }) => ['ArrowLeft', 'ArrowRight'].includes(key) && this.#next());
    for (const [name, body] of this.#bodies) Object.assign(body, { id: this.#idOf(name), role: 'tabpanel', tabIndex: 0, ariaLabel: name });
    element.append(tabs, ...this.#bodies.values());
    this.show('Activity');
  }

  #idOf(name) {
    return `side-${name.replace(' ', '-').toLowerCase()}`;
  }

  #tab(name) {
    const tab = h('button', { type: 'button', role: 'tab', 'aria-controls': this.#idOf(name), onClick: () => this.show(name) }, name);
    this.#tabs.set(name, tab);
    return tab;
  }

  #next() {
    const other = [...this.#tabs].find(([, tab]) => tab.getAttribute('aria-selected') === 'false');
    this.show(other[0]);
    other[1].focus();
  }

  show(name) {
    for (const [one, tab] of this.#tabs) {
      tab.setAttribute('aria-selected', String(one === name));
      tab.tabIndex = one === name ? 0 : -1;
      this.#bodies.get(one).hidden = one !== name;
    }
  }
}
