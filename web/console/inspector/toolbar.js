// Above the list: search, kinds, pause, follow, clear.
import { h, icon, setText } from '../elements/dom.js';
import { button } from '../elements/elements.js';
import { asNumber } from '../elements/format.js';
import { KINDS } from './kinds.js';

export class Toolbar {
  #view;
  #store;
  #rows;
  #search = h('input.input', { type: 'search', placeholder: 'Search', 'aria-label': 'Search in the events', spellcheck: false, autocomplete: 'off' });
  #kinds;
  #pause = button('Pause', () => this.pause(), { kind: 'small', 'aria-pressed': 'false' });
  #follow = button('Follow', () => this.follow(), { kind: 'small', 'aria-pressed': 'true' });

  /**
   * @param {import('./event_view.js').EventView} view
   * @param {import('./event_store.js').EventStore} store
   * @param {import('./event_rows.js').EventRows} rows
   */
  constructor(view, store, rows) {
    this.#view = view;
    this.#store = store;
    this.#rows = rows;
    this.#search.addEventListener('input', () => view.search(this.#search.value));
    this.#kinds = KINDS.map(({ name, label }, kind) => this.#kind(name, label, kind));
    this.element = h('div.tools', {},
      h('div.search', {}, icon('search'), this.#search),
      h('div.kinds', { role: 'group', 'aria-label': 'Kinds of events' }, this.#kinds.map(({ toggle }) => toggle)),
      h('div.tool-buttons', {}, this.#pause, this.#follow, button('Clear', () => this.clear(), { kind: 'small' })));
    this.show();
  }

  #kind(name, label, kind) {
    const count = h('span.numeric.kind-count');
    const toggle = h('button.kind', { type: 'button', 'aria-pressed': 'true', dataset: { kind: name }, onClick: () => {
      this.#view.showKind(kind, !this.#view.isShown(kind));
      this.show();
    } }, h('span.kind-mark', { 'aria-hidden': 'true' }), label, count);
    return { toggle, count };
  }

  /** What has changed. */
  show() {
    this.#kinds.forEach(({ toggle, count }, kind) => {
      toggle.setAttribute('aria-pressed', String(this.#view.isShown(kind)));
      setText(count, asNumber(this.#store.counts[kind]));
    });
    this.#follow.setAttribute('aria-pressed', String(this.#rows.isFollowing));
    this.#pause.setAttribute('aria-pressed', String(this.#view.isPaused));
    setText(this.#pause, this.#view.isPaused ? `Go on (${asNumber(this.#view.waiting)} new)` : 'Pause');
  }

  pause() {
    this.#view.pause(!this.#view.isPaused);
    this.show();
  }

  follow() {
    this.#rows.follow(!this.#rows.isFollowing);
  }

  focusSearch() {
    this.#search.focus();
  }

  clear() {
    this.#store.clear();
    this.#view.advance();
    this.#rows.refresh();
  }

  /** Everything is shown again. */
  showAll() {
    this.#search.value = '';
    this.#view.reset();
    this.show();
  }
}
