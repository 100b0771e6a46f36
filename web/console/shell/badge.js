// The state of the connection, in the header; more of it on hover or focus.
import { h, onceAFrame, setText } from '../elements/dom.js';
import { button } from '../elements/elements.js';
import { asAgo, plural } from '../elements/format.js';

const SHOWN = {
  connected: { label: 'Live', dot: 'live' },
  connecting: { label: 'Connecting', dot: 'connecting' },
  reconnecting: { label: 'Connecting', dot: 'connecting' },
  offline: { label: 'Offline', dot: 'offline' },
  error: { label: 'Error', dot: 'error' },
  'needs-auth': { label: 'Signed out', dot: 'error' },
};
const TRANSPORTS = { fetch: 'A stream', eventsource: 'A stream (EventSource)', poll: 'Repeated requests' };
const CLOSE_MS = 150;

/** Before the first attempt nobody is offline. */
const shownOf = ({ state, reason }) => SHOWN[reason === 'not-started' ? 'connecting' : state];

export class Badge {
  #shell;
  #dot = h('span.dot', { 'aria-hidden': 'true' });
  #label = h('span', {}, 'Connecting');
  #writes = h('span.writes');
  #facts = {};
  #panel;
  #tick = null;
  #closing = null;
  #wasConnected = false;
  /** When the last connection was lost. */
  #syncedAt = null;

  constructor(shell) {
    this.#shell = shell;
    const rows = ['State', 'Online', 'Last sync', 'Transport', 'Waiting to be sent'].map((name) => {
      this.#facts[name] = h('dd.numeric');
      return [h('dt', {}, name), this.#facts[name]];
    });
    this.#panel = h('div.popover', { id: 'badge-facts', hidden: true }, h('dl', {}, rows));
    const toggle = h('button.badge-button', { type: 'button', 'aria-describedby': 'badge-facts', onClick: () => this.#open() },
      this.#dot, h('span', { role: 'status' }, this.#label), this.#writes);
    this.retry = button('Retry', () => shell.client.retry(), { kind: 'small', hidden: true });
    this.element = h('div.badge', {}, toggle, this.retry, this.#panel);
    this.element.addEventListener('pointerenter', () => this.#open());
    this.element.addEventListener('pointerleave', () => this.#closeSoon());
    toggle.addEventListener('focus', () => this.#open());
    toggle.addEventListener('blur', () => this.#closeSoon());
    toggle.addEventListener('keydown', ({ key }) => key === 'Escape' && this.#close());
    const draw = onceAFrame(() => this.#draw());
    shell.client.connection.subscribe(draw);
    shell.presence.subscribe(draw);
    this.#draw();
  }

  #draw() {
    const { connection } = this.#shell.client;
    const now = connection.getSnapshot();
    if (now.state === 'connected') this.#wasConnected = true;
    else if (this.#wasConnected) {
      this.#wasConnected = false;
      this.#syncedAt = Date.now();
    }
    const { label, dot } = shownOf(now);
    setText(this.#label, label);
    this.#dot.className = `dot ${dot}`;
    setText(this.#writes, now.pendingWrites ? `· ${now.pendingWrites} waiting` : '');
    this.retry.hidden = !['error', 'offline'].includes(now.state) || now.reason === 'not-started';
    this.element.dataset.state = now.state;
    document.body.dataset.connection = now.state;
    if (!this.#panel.hidden) this.#drawFacts(now);
  }

  #drawFacts(now) {
    const { online, isKnown, isStale } = this.#shell.presence.getSnapshot();
    const wait = now.nextRetryAt ? `, next attempt in ${Math.max(0, Math.ceil((now.nextRetryAt - Date.now()) / 1_000))} s` : '';
    setText(this.#facts.State, `${shownOf(now).label}${wait}`);
    setText(this.#facts.Online, isKnown ? `${plural(online, 'person', 'people')}${isStale ? ' (may be out of date)' : ''}` : 'not known yet');
    setText(this.#facts['Last sync'], now.state === 'connected' ? 'now' : this.#syncedAt ? asAgo(this.#syncedAt) : 'never');
    setText(this.#facts.Transport, TRANSPORTS[now.transport] ?? now.transport);
    setText(this.#facts['Waiting to be sent'], plural(now.pendingWrites, 'change'));
  }

  #open() {
    clearTimeout(this.#closing);
    this.#panel.hidden = false;
    this.#drawFacts(this.#shell.client.connection.getSnapshot());
    this.#tick ??= setInterval(() => this.#drawFacts(this.#shell.client.connection.getSnapshot()), 1_000);
  }

  #closeSoon() {
    clearTimeout(this.#closing);
    this.#closing = setTimeout(() => this.#close(), CLOSE_MS);
  }

  #close() {
    clearInterval(this.#tick);
    this.#tick = null;
    this.#panel.hidden = true;
  }
}
