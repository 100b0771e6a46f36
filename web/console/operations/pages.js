// Goes through a list by its pages, and keeps the way back.
import { h, setText } from '../elements/dom.js';
import { button } from '../elements/elements.js';

export class Pages {
  #cursors = [null];
  #next = null;
  #said = h('span.quiet-text.numeric', { role: 'status' });
  #back;
  #more;

  /** @param {() => void} turned told that another page is wanted */
  constructor(turned) {
    this.#back = button('Back', () => { this.#cursors.pop(); turned(); }, { kind: 'small' });
    this.#more = button('Next', () => { this.#cursors.push(this.#next); turned(); }, { kind: 'small' });
    this.element = h('div.pages', {}, this.#said, this.#back, this.#more);
  }

  /** Of the page that is wanted; undefined: the first. */
  get cursor() {
    return this.#cursors.at(-1) ?? undefined;
  }

  first() {
    this.#cursors = [null];
  }

  show(next, text) {
    this.#next = next;
    setText(this.#said, text);
    this.#back.hidden = this.#cursors.length === 1;
    this.#more.hidden = next === null;
  }
}
