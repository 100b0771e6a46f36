// The card "Notifications": messages to the user, and which were read on any device.
import { ask, attempt } from './api.js';
import { button, element, find, onceAFrame, say, timeElement } from './elements.js';
import { Inbox } from './inbox.js';

const refuse = (text) => say('notified', text, false);

export class Notifications {
  #inbox = new Inbox();
  #draw = onceAFrame(() => this.#drawNow());

  constructor() {
    find('read-all').addEventListener('click', () => this.#post('read-all'));
    this.forget();
  }

  forget() {
    this.#inbox = new Inbox();
    say('notified');
    this.#draw();
  }

  /** A stream has opened, or was reset. */
  async begin() {
    const response = await attempt(ask('GET', '/notifications?limit=30'), refuse);
    if (!response) return;
    const { notifications, unread } = await response.json();
    this.#inbox.answer(notifications, unread, response.headers.get('Stream-Position'));
    this.#draw();
  }

  take(data, position) {
    if (data.type === 'stream:reset') this.begin();
    if (this.#inbox.take(data, position)) this.#draw();
  }

  /** The stream shows the result, here and on other devices. */
  async #post(path) {
    if (await attempt(ask('POST', `/notifications/${path}`, {}), refuse)) say('notified');
  }

  #drawNow() {
    const { unread } = this.#inbox;
    const list = this.#inbox.list();
    find('unread').textContent = unread;
    find('unread').className = unread > 0 ? 'news' : '';
    find('unread-here').textContent = unread > 0 ? `${unread} unread` : '';
    find('read-all').hidden = unread === 0;
    find('inbox').replaceChildren(...list.map((one) => this.#row(one)));
    find('no-news').textContent = list.length === 0 ? 'Nothing yet.' : '';
  }

  #row({ id, level, title, body, count, at, read }) {
    const row = element('li', `${level} ${read ? 'read' : 'unread'}`);
    row.dataset.notification = id;
    const head = element('div', 'head');
    head.append(element('strong', '', title));
    if (count > 1) head.append(element('span', 'chip', `×${count}`));
    const end = element('span', 'row-acts');
    if (!read) end.append(button('Read', () => this.#post(`${id}/read`)));
    end.append(timeElement(new Date(at)));
    head.append(end);
    row.append(head);
    if (body) row.append(element('span', 'words hint', body));
    return row;
  }
}
