// The connection of the inspected stream: its state, its history, and buttons that break it. They break this stream only.
import { h, setText } from '../elements/dom.js';
import { button } from '../elements/elements.js';
import { asNumber, plural } from '../elements/format.js';
import { asBytes, asClock, asDuration } from '../elements/units.js';
import { streamAsCode } from './as_code.js';
import { addressOf, STATES } from './inspected_stream.js';
import { codeDialog } from './code_dialog.js';

const BREAKS = [
  { label: 'Cut', hint: 'The connection ends without a word. The client connects again, and misses nothing.', run: (line) => line.cut() },
  { label: 'Silence', hint: 'Nothing comes any more. The client notices after more than a heartbeat, and connects again.', run: (line) => line.silence() },
  { label: 'Expire', hint: 'The service says that the token has expired. The client asks for another one.', run: (line) => line.expire() },
  { label: 'Reset', hint: 'The client comes back with a position that the service does not know, and is told to load again.', run: (line) => line.reset() },
];
const FACTS = ['State', 'Connected', 'Position', 'Received', 'Last byte', 'Connections', 'Resets', 'Next attempt'];

export class ConnectionPanel {
  #stream;
  #facts = {};
  #history = h('ol.history', { tabIndex: 0, 'aria-label': 'What has happened, newest first' });
  #shownHistory = null;
  #shownEntries = 0;
  #offline = button('Go offline', () => this.#toggleOffline(), { 'aria-pressed': 'false' });
  #retry = button('Try again now', () => this.#stream.retry(), { kind: 'primary', hidden: true });

  constructor(shell, { stream }) {
    this.#stream = stream;
    const breaks = BREAKS.map(({ label, hint, run }) => h('li', {}, button(label, () => stream.break(label, run)), h('p.quiet-text', {}, hint)));
    const facts = FACTS.flatMap((name) => {
      this.#facts[name] = h('dd.numeric');
      return [h('dt', {}, name), this.#facts[name]];
    });
    const asCode = button('As curl and JavaScript', () => codeDialog(shell, 'This stream', streamAsCode(shell.client.url, addressOf(stream.choice))), { kind: 'small' });
    this.element = h('div.connection-panel', {},
      h('h2', {}, 'Connection'), h('dl.pairs', {}, facts), h('div.acts', {}, this.#retry, asCode),
      h('h3', {}, 'Break it'), h('p.quiet-text', {}, 'Only this stream: the rest of the page stays connected.'),
      h('ul.breaks', {}, h('li', {}, this.#offline, h('p.quiet-text', {}, 'No request gets through until you go online again.')), breaks),
      h('h3', {}, 'History'), this.#history);
    this.refresh();
  }

  #toggleOffline() {
    const { isOffline } = this.#stream.line;
    this.#stream.break(isOffline ? 'Go online' : 'Go offline', (line) => line.goOffline(!isOffline));
  }

  refresh() {
    const { state, line, history } = this.#stream;
    if (!state) return;
    const isConnected = state.state === 'connected';
    const wait = state.nextRetryAt ? Math.max(0, state.nextRetryAt - Date.now()) : null;
    const shown = {
      State: STATES[state.state][0] + (line.isSilent ? ', but the line is silent' : ''),
      Connected: isConnected && history.since ? `for ${asDuration(Date.now() - history.since)}` : 'no',
      Position: state.position ?? 'not known yet',
      Received: `${plural(history.events, 'event')}, ${asBytes(line.bytes)}`,
      'Last byte': line.heardAt ? `${asDuration(Date.now() - line.heardAt)} ago` : 'none yet',
      Connections: `${asNumber(history.connects)}, after ${plural(history.disconnects, 'break')}`,
      Resets: asNumber(history.resets),
      'Next attempt': wait === null ? 'none is planned' : `in ${asDuration(wait)}`,
    };
    for (const name of FACTS) setText(this.#facts[name], shown[name]);
    setText(this.#offline, line.isOffline ? 'Go online' : 'Go offline');
    this.#offline.setAttribute('aria-pressed', String(line.isOffline));
    this.#retry.hidden = isConnected || line.isOffline;
    this.#drawHistory(history);
  }

  /** Entries are added; those that are shown stay the same elements. */
  #drawHistory(history) {
    if (this.#shownHistory !== history) {
      this.#history.replaceChildren();
      this.#shownHistory = history;
      this.#shownEntries = 0;
    }
    for (const { n, at, level, text } of history.entries) {
      if (n <= this.#shownEntries) continue;
      this.#shownEntries = n;
      this.#history.prepend(h('li', { className: `history-${level}` }, h('time.numeric', {}, asClock(at)), h('span', {}, text)));
    }
    while (this.#history.children.length > history.entries.length) this.#history.lastChild.remove();
  }
}
