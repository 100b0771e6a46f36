// The view at /inspector: the raw stream of any scope, what happens to its connection, and requests to send.
import { h, onceAFrame, setText } from '../elements/dom.js';
import { button, chip, empty } from '../elements/elements.js';
import { asNumber } from '../elements/format.js';
import { asBytes, asDuration } from '../elements/units.js';
import { ChoiceForm } from './choice_form.js';
import { EventRows } from './event_rows.js';
import { EventStore } from './event_store.js';
import { EventView } from './event_view.js';
import { InspectedStream, STATES } from './inspected_stream.js';
import { fillEventRow, LIVE_MS, makeEventRow, ROW_PX } from './row.js';
import { Tabs } from './tabs.js';
import { Toolbar } from './toolbar.js';

const TICK_MS = 500;
const DELAYS = 50;

/** @param {import('../shell/shell.js').Shell} shell */
export async function start(shell) {
  await new Inspector(shell).start();
}

class Inspector {
  #shell;
  #store = new EventStore();
  #view = new EventView(this.#store, () => this.#refresh());
  #narrow = matchMedia('(max-width: 60rem)');
  #state = chip('Connecting', 'warn');
  #facts = h('p.facts.quiet-text.numeric');
  #none = h('div.no-events', { role: 'status' });
  #noneShown = '';
  #received = 0;
  #tickReceived = 0;
  #rows;
  #toolbar;

  constructor(shell) {
    this.#shell = shell;
    this.stream = new InspectedStream(shell, (deliveries) => this.#take(deliveries));
    this.#rows = new EventRows(this.#view, {
      label: 'Events, newest last',
      height: () => (this.#narrow.matches ? ROW_PX.narrow : ROW_PX.wide),
      make: makeEventRow,
      update: (row, n) => fillEventRow(row, this.#store.get(n)),
      onSelect: (n) => this.#selected(n),
      onFollow: () => this.#toolbar?.show(),
    });
    this.#toolbar = new Toolbar(this.#view, this.#store, this.#rows);
    this.form = new ChoiceForm(shell, (choice) => this.#open(choice), this.#state);
    this.tabs = this.#makeTabs();
    this.stream.changed = onceAFrame(() => this.#connectionChanged());
  }

  async start() {
    const list = h('section.inspected', { 'aria-label': 'The stream' }, this.form.element, this.#toolbar.element, this.#facts, h('div.list', {}, this.#rows.element, this.#none));
    const element = h('div.inspector', {}, this.tabs.list, list, h('section.beside', { 'aria-label': 'Details' }, this.tabs.panel));
    this.#shell.main.append(element);
    this.#addKeys();
    this.#narrow.addEventListener('change', () => this.#rows.refresh());
    setInterval(() => this.#tick(), TICK_MS);
    await Promise.all([this.tabs.open(this.#narrow.matches ? 'events' : 'connection'), this.form.submit()]);
  }

  #makeTabs() {
    const make = (Part) => new Part(this.#shell, this);
    return new Tabs([
      { name: 'events', label: 'Events', load: async () => ({ element: h('div') }) },
      { name: 'event', label: 'Event', load: async () => make((await import('./event_panel.js')).EventPanel) },
      { name: 'connection', label: 'Connection', load: async () => make((await import('./connection_panel.js')).ConnectionPanel) },
      { name: 'send', label: 'Send', load: async () => (await import('./send_panel.js')).openSendPanel(this.#shell) },
      { name: 'token', label: 'Token', load: async () => make((await import('./token_panel.js')).TokenPanel) },
      { name: 'outbox', label: 'Outbox', load: async () => make((await import('./outbox_panel.js')).OutboxPanel) },
    ], 'Parts of the inspector', (name) => { this.#shell.main.dataset.tab = name; });
  }

  #addKeys() {
    const { keys } = this.#shell;
    keys.add('/', 'Search in the events', () => this.#toolbar.focusSearch());
    keys.add('p', 'Pause, or go on', () => this.#toolbar.pause());
    keys.add('f', 'Follow the newest event', () => this.#toolbar.follow());
    keys.add('x', 'Clear the list', () => this.#toolbar.clear());
  }

  // ---- the stream

  #open(choice) {
    this.#store.clear();
    this.#view.pause(false);
    this.#received = 0;
    this.#tickReceived = 0;
    this.#rows.selected = null;
    this.#rows.follow(true);
    this.stream.open(choice);
    this.#refresh();
  }

  #take(deliveries) {
    const now = Date.now();
    for (const delivery of deliveries) this.#store.add(delivery, now);
    this.#received += deliveries.length;
    this.#view.advance();
  }

  #connectionChanged() {
    const { state } = this.stream.state ?? { state: 'offline' };
    const [text, tone] = STATES[state];
    setText(this.#state, text);
    this.#state.className = `chip ${tone}`;
    this.#shell.main.dataset.stream = state;
    this.tabs.made('connection')?.refresh();
    this.#refresh();
  }

  // ---- what is shown

  #refresh = onceAFrame(() => {
    this.#rows.refresh();
    this.#showNone();
  });

  #tick() {
    const perSecond = Math.round((this.#received - this.#tickReceived) * 1_000 / TICK_MS);
    this.#tickReceived = this.#received;
    const { size } = this.#store;
    const parts = [
      `${asNumber(this.#received)} received`,
      size < this.#received ? `the last ${asNumber(size)} kept` : '',
      this.#view.progress < 1 ? `searching, ${Math.round(this.#view.progress * 100)} %` : this.#view.isFiltered ? `${asNumber(this.#view.count)} shown` : '',
      `${asNumber(perSecond)} a second`,
      asBytes(this.stream.line.bytes),
      this.#medianDelay(),
    ];
    setText(this.#facts, parts.filter(Boolean).join(' · '));
    this.#toolbar.show();
    this.tabs.made('connection')?.refresh();
  }

  /** Of the newest events; replayed ones say nothing about the line. */
  #medianDelay() {
    const delays = [];
    for (let n = Math.max(this.#store.first, this.#store.end - DELAYS); n < this.#store.end; n += 1) {
      const delay = this.#store.delay(n);
      if (delay <= LIVE_MS) delays.push(delay);
    }
    if (!delays.length) return '';
    return `median delay ${asDuration(delays.sort((a, b) => a - b)[delays.length >> 1])}`;
  }

  #showNone() {
    const state = this.stream.state?.state ?? 'offline';
    const key = this.#view.count ? '' : this.#view.isFiltered && this.#store.size ? 'filtered' : state;
    if (key === this.#noneShown) return;
    this.#noneShown = key;
    this.#none.replaceChildren(...(key ? [this.#noneOf(key)] : []));
    this.#none.hidden = !key;
  }

  #noneOf(key) {
    if (key === 'filtered') return empty('Nothing matches', 'No event has this text and one of these kinds.', button('Show all', () => this.#toolbar.showAll()));
    if (key === 'connected') return empty('Waiting for events', 'Change a record in the CRM, or send something.', button('Send something', () => this.tabs.open('send')));
    if (key === 'connecting' || key === 'reconnecting') return empty('Connecting …', 'Events appear here as soon as the stream is open.');
    return empty('Not connected', 'The part “Connection” says why.', button('Try again', () => this.stream.retry(), { kind: 'primary' }));
  }

  // ---- one event

  async #selected(n) {
    await this.tabs.open('event');
    if (this.#store.first <= n) this.tabs.made('event').showEvent(this.#store.get(n));
  }

  /** Moves the selection, for the panel of the event. */
  step(by) {
    const now = this.#rows.selected === null ? -1 : this.#view.rowOf(this.#rows.selected);
    const next = now + by;
    if (now < 0 || next < 0 || next >= this.#view.count) return;
    this.#rows.follow(false);
    this.#rows.select(this.#view.at(next));
  }
}
