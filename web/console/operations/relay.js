// Changes of watched tables on their way to the log, and those that could not become events.
import { openDialog } from '../elements/dialog.js';
import { h } from '../elements/dom.js';
import { banner, button, empty, skeletons } from '../elements/elements.js';
import { asNumber, plural } from '../elements/format.js';
import { asDuration } from '../elements/units.js';
import { noteOf } from './connections.js';
import { Facts } from './facts.js';
import { fillOnce, KeyedTable } from './keyed_table.js';
import { Pages } from './pages.js';
import { Repeated } from './repeated.js';

const LIMIT = 50;
const MOST_COUNTED = 10_000;

export class RelayPart {
  #shell;
  #feed;
  #facts = new Facts('On their way');
  #table;
  #pages = new Pages(() => this.#repeated.refresh());
  #none = h('div', {}, skeletons(3));
  #note = h('div');
  #repeated;

  constructor(shell, { feed }) {
    this.#shell = shell;
    this.#feed = feed;
    this.#repeated = new Repeated(() => this.#load(), (loaded, error) => this.#show(loaded, error));
    this.#table = this.#makeTable();
    this.element = h('div.part', {}, h('h2', {}, 'Relay'), h('p', {}, 'Changes that others write to watched tables become events here.'), h('div.fact-cards', {}, this.#facts.element),
      h('div.part-head', {}, h('h2', {}, 'Set aside'), this.#pages.element), this.#note, this.#none, this.#table.element);
    this.#table.set([]);
  }

  show() {
    this.refresh();
    return this.#repeated.start();
  }

  hide() {
    this.#repeated.stop();
  }

  refresh() {
    const relay = this.#feed.store.getSnapshot().overview?.relay;
    if (!relay) return;
    const { waiting, oldestSeconds, bulkChanges } = relay;
    this.#facts.set([
      ['Changes that wait', waiting >= MOST_COUNTED ? `${asNumber(MOST_COUNTED)} or more` : asNumber(waiting)],
      ['The oldest waits', oldestSeconds === null ? '–' : `for ${asDuration(oldestSeconds * 1_000)}`],
      ['Large changes, of all brokerages', asNumber(bulkChanges)],
    ]);
  }

  async #load() {
    return (await this.#shell.client.request('GET', '/admin/poison', { query: { limit: LIMIT, cursor: this.#pages.cursor } })).body;
  }

  #show(loaded, error) {
    const more = loaded?.withoutBrokerage ? [banner(`${plural(loaded.withoutBrokerage, 'row')} without a valid brokerage: see the table porchlight.poison.`, [], { kind: 'warn' })] : [];
    this.#note.replaceChildren(...noteOf(loaded, error), ...more);
    if (!loaded) return;
    this.#pages.show(loaded.next, plural(loaded.total, 'row'));
    this.#table.set(loaded.rows);
    this.#none.hidden = loaded.rows.length > 0;
    this.#none.replaceChildren(empty('Nothing is set aside', 'Each change has become an event. One that cannot is shown here with its reason, and blocks nothing.'));
  }

  #makeTable() {
    return new KeyedTable({
      label: 'Changes that were set aside',
      key: ({ id }) => id,
      columns: [
        { label: 'Event', className: 'mono', text: ({ type }) => type ?? 'none' },
        { label: 'Record', className: 'mono', text: ({ module, recordId }) => (recordId ? `${module}/${recordId}` : '–') },
        { label: 'For', className: 'mono', text: ({ audience }) => audience ?? '–' },
        { label: 'Reason', className: 'reason', text: ({ reason }) => reason },
        { label: 'Set aside', text: ({ setAsideAt }) => `${asDuration(Date.now() - Date.parse(setAsideAt))} ago` },
        { label: '', className: 'acts-cell', fill: (cell, row) => fillOnce(cell, row.id, () => this.#acts(row)) },
      ],
    });
  }

  #acts(row) {
    const about = row.recordId ? `${row.module}/${row.recordId}` : `row ${row.id}`;
    return h('div.acts', {},
      row.canRetry ? button('Retry', () => this.#send(row.id, 'retry', `${about} is on its way again.`), { kind: 'small', 'aria-label': `Retry ${about}` }) : null,
      button('Discard', () => this.#ask(row.id, about), { kind: 'small danger', 'aria-label': `Discard ${about}` }));
  }

  #ask(id, about) {
    openDialog({
      title: `Discard ${about}?`, isNarrow: true, body: h('p', {}, 'The change stays in its table. Its event is never published.'),
      acts: [{ label: 'Keep' }, { label: 'Discard', kind: 'danger', run: () => this.#send(id, 'discard', `${about} was discarded.`) }],
    });
  }

  async #send(id, act, done) {
    try {
      await this.#shell.client.request('POST', `/admin/poison/${encodeURIComponent(id)}/${act}`, { body: {} });
      this.#shell.toast(done, { kind: 'good' });
    } catch (error) {
      this.#shell.toast(error.message, { kind: 'bad' });
    }
    return this.#repeated.refresh();
  }
}
