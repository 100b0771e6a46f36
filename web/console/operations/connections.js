// What is open: whose it is, from where, since when, and how far behind; and a button that ends it.
import { openDialog } from '../elements/dialog.js';
import { h } from '../elements/dom.js';
import { avatar, banner, button, chip, empty, field, skeletons } from '../elements/elements.js';
import { asNumber, plural } from '../elements/format.js';
import { asBytes, asDayAndClock, asDuration } from '../elements/units.js';
import { fillOnce, KeyedTable } from './keyed_table.js';
import { Pages } from './pages.js';
import { Repeated } from './repeated.js';

const LIMIT = 100;
const KINDS = { stream: 'Stream', output: 'Output of a task', waiting: 'Request that waits' };
const ago = (time) => asDuration(Date.now() - Date.parse(time));

export class ConnectionsPart {
  #shell;
  #user = h('input.input', { type: 'search', placeholder: 'Id of a user', spellcheck: false, autocomplete: 'off' });
  #pages = new Pages(() => this.#repeated.refresh());
  #table;
  #none = h('div');
  #repeated;
  #note = h('div');

  constructor(shell) {
    this.#shell = shell;
    this.#repeated = new Repeated(() => this.#load(), (loaded, error) => this.#show(loaded, error));
    this.#table = this.#makeTable();
    const form = h('form.filters', {}, field('User', this.#user), button('Find', null, { type: 'submit', kind: 'small' }));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#find();
    });
    this.#user.addEventListener('search', () => this.#find());
    this.#none.append(skeletons(4));
    this.element = h('div.part', {}, h('h2', {}, 'Open connections'), h('div.part-head', {}, form, this.#pages.element), this.#note, this.#none, this.#table.element);
    this.#table.element.hidden = true;
  }

  show() {
    return this.#repeated.start();
  }

  hide() {
    this.#repeated.stop();
  }

  #find() {
    this.#pages.first();
    return this.#repeated.refresh();
  }

  async #load() {
    const user = this.#user.value.trim() || undefined;
    const { body } = await this.#shell.client.request('GET', '/admin/connections', { query: { user, limit: LIMIT, cursor: this.#pages.cursor } });
    return body;
  }

  #show(loaded, error) {
    this.#note.replaceChildren(...noteOf(loaded, error));
    if (!loaded) return;
    const { connections, total, next } = loaded;
    for (const { userId, userName } of connections) this.#shell.people.learn(userId, userName);
    this.#pages.show(next, plural(total, 'connection'));
    this.#table.set(connections);
    this.#none.hidden = connections.length > 0;
    this.#none.replaceChildren(this.#user.value ? empty('Nothing is open', `${this.#user.value} has no connection at the moment.`) : empty('Nothing is open', 'Nobody of your brokerage is connected at the moment.'));
  }

  #makeTable() {
    return new KeyedTable({
      label: 'Open connections',
      key: ({ id }) => id,
      columns: [
        { label: 'User', className: 'who', fill: (cell, { userId, userName, role }) => fillOnce(cell, `${userId} ${userName}`, () => [avatar(userId, userName ?? userId, { isSmall: true }), h('span', {}, userName ?? userId, h('span.quiet-text', {}, ` ${userId}, ${role}`))]) },
        { label: 'What', fill: (cell, { kind, scope }) => fillOnce(cell, kind + scope, () => [KINDS[kind], h('span.quiet-text.mono', {}, ` ${scope}`)]) },
        { label: 'Address', className: 'mono', text: ({ address }) => address ?? 'not known' },
        { label: 'Since', fill: (cell, { since }) => withTitle(cell, `${ago(since)} ago`, asDayAndClock(Date.parse(since))) },
        { label: 'Token ends', fill: (cell, { expiresAt }) => withTitle(cell, `in ${asDuration(Math.max(0, Date.parse(expiresAt) - Date.now()))}`, asDayAndClock(Date.parse(expiresAt))) },
        { label: 'Sent', text: ({ events, bytes }) => (events === null ? 'not counted' : `${plural(events, 'event')}, ${asBytes(bytes ?? 0)}`) },
        { label: 'Behind', fill: (cell, item) => fillOnce(cell, `${item.behindEvents} ${item.isBlocked}`, () => behind(item)) },
        { label: 'Instance', className: 'mono', text: ({ instance }) => instance },
        { label: '', className: 'acts-cell', fill: (cell, item) => fillOnce(cell, item.id, () => button('Disconnect', () => this.#ask(item), { kind: 'small danger', 'aria-label': `Disconnect ${item.userName ?? item.userId}` })) },
      ],
    });
  }

  #ask({ id, userId, userName, kind }) {
    const name = userName ?? userId;
    openDialog({
      title: `Disconnect ${name}?`, isNarrow: true,
      body: h('p', {}, kind === 'stream' ? 'The stream ends now. The page of the user connects again after two to four minutes, and misses nothing.' : 'The request ends now.'),
      acts: [{ label: 'Keep' }, { label: 'Disconnect', kind: 'primary', run: () => this.#disconnect(id, name) }],
    });
  }

  async #disconnect(id, name) {
    try {
      await this.#shell.client.request('POST', `/admin/connections/${encodeURIComponent(id)}/disconnect`, { body: {} });
      this.#shell.toast(`${name} was disconnected.`, { kind: 'good' });
    } catch (error) {
      const isGone = error.status === 404;
      this.#shell.toast(isGone ? `${name} had left already.` : `${name} was not disconnected: ${error.message}`, { kind: isGone ? '' : 'bad' });
    }
    return this.#repeated.refresh();
  }
}

function withTitle(cell, text, title) {
  if (cell.textContent !== text) cell.textContent = text;
  cell.title = title;
}

function behind({ behindEvents, isBlocked }) {
  if (isBlocked) return chip(`Does not read${behindEvents ? `, ${plural(behindEvents, 'event')} behind` : ''}`, 'bad');
  if (behindEvents === null) return 'not counted';
  return behindEvents ? chip(`${asNumber(behindEvents)} events`, 'warn') : 'up to date';
}

/** What an answer does not show: instances that are missing, or that it is old. */
export function noteOf(loaded, error) {
  if (error) return [banner(`This list could not be loaded: ${error.message} It is tried again every few seconds.`, [], { kind: 'bad' })];
  const silent = loaded.instances?.filter(({ answered }) => !answered) ?? [];
  return silent.length ? [banner(`Without ${silent.map(({ instance }) => instance).join(', ')}: it did not answer.`, [], { kind: 'warn' })] : [];
}
