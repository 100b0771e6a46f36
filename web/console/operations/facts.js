// A list of names and values, of which only what differs is changed.
import { h, setText } from '../elements/dom.js';

export class Facts {
  #shown = '';
  #values = [];
  #list = h('dl.pairs');

  constructor(title) {
    this.element = h('section.card.facts-card', { 'aria-label': title }, h('h3', {}, title), this.#list);
  }

  /** @param {[name: string, value: string][]} pairs */
  set(pairs) {
    const names = JSON.stringify(pairs.map(([name]) => name));
    if (names !== this.#shown) {
      this.#shown = names;
      this.#values = pairs.map(() => h('dd.numeric'));
      this.#list.replaceChildren(...pairs.flatMap(([name], index) => [h('dt', {}, name), this.#values[index]]));
    }
    pairs.forEach(([, value], index) => setText(this.#values[index], String(value)));
    this.element.hidden = !pairs.length;
  }
}
