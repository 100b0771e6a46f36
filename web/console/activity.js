// The card "Activity": what people did last, as sentences from the service.
import { ask, attempt } from './api.js';
import { element, find, say, timeElement } from './elements.js';

/** A burst of events causes one request. */
const PAUSE_MS = 400;

export class Activity {
  #next;
  #asked = 0;

  forget() {
    clearTimeout(this.#next);
    this.#next = undefined;
    this.#asked += 1;
    this.#draw([]);
    say('acted');
  }

  /** A stream has opened, or was reset. */
  async begin() {
    this.#next = undefined;
    this.#asked += 1;
    const asked = this.#asked;
    const response = await attempt(ask('GET', '/activity'), (text) => say('acted', text, false));
    const page = await response?.json();
    if (!page || asked !== this.#asked) return;
    say('acted');
    this.#draw(page.activity);
  }

  /** Any event of the log may be an activity: only the service knows. */
  take(data, position) {
    if (data.type === 'stream:reset') this.begin();
    if (!position || data.type.startsWith('stream:') || data.type.endsWith(':progress')) return;
    this.#next ??= setTimeout(() => this.begin(), PAUSE_MS);
  }

  #draw(acts) {
    const rows = acts.map(({ position, text, at }) => {
      const row = element('li');
      row.dataset.position = position;
      row.append(element('span', '', text), timeElement(new Date(at)));
      return row;
    });
    find('acts').replaceChildren(...rows);
    find('no-acts').textContent = rows.length === 0 ? 'Nothing yet.' : '';
  }
}
