// The selected event: what it says, when it came, and what can be done from here.
import { h, setText } from '../elements/dom.js';
import { button, empty, iconButton } from '../elements/elements.js';
import { asDayAndClock, asDuration } from '../elements/units.js';
import { copyButton, jsonElement } from './json.js';

const frameOf = ({ type, raw, position }) => `event: ${type}\ndata: ${raw}\n${position ? `id: ${position}\n` : ''}\n`;

/** The position before this one: a stream that begins there has the event. */
function before(position) {
  const [number, epoch] = position.split('-');
  return `${BigInt(number) - 1n}-${epoch}`;
}

export class EventPanel {
  #shell;
  #inspector;
  #shown = null;
  #type = h('h2.mono');
  #by = h('dd');
  #content = h('div.event-content');
  #head;
  element = h('div.event-panel', {}, empty('No event is selected', 'Choose one in the list, or press the arrow keys there.'));

  constructor(shell, inspector) {
    this.#shell = shell;
    this.#inspector = inspector;
    // Made once: who steps from event to event keeps the focus.
    this.#head = h('div.event-head', {}, this.#type,
      iconButton('back', 'The event before', () => inspector.step(-1)),
      iconButton('back', 'The next event', () => inspector.step(1), { kind: 'quiet is-next' }));
    shell.people.store.subscribe(() => this.#showName());
  }

  /** @param {import('./event_store.js').StoredEvent} event */
  showEvent(event) {
    if (event.n === this.#shown?.n) return;
    this.#shown = event;
    setText(this.#type, event.type);
    this.#content.replaceChildren(this.#facts(event), this.#acts(event), jsonElement(event.data, 'The data of the event'), this.#wire(event));
    this.#showName();
    if (!this.#head.isConnected) this.element.replaceChildren(this.#head, this.#content);
  }

  /** The name may come later. */
  #showName() {
    const userId = this.#shown?.data.userId;
    if (userId) setText(this.#by, `${this.#shell.nameOf(userId)} (${userId})`);
  }

  #facts({ position, committedAt, receivedAt, data, raw }) {
    const facts = [
      ['Position', position ?? 'none: it is not in the log, and is never replayed'],
      ['Committed', committedAt === null ? null : asDayAndClock(committedAt)],
      ['Received', committedAt === null ? asDayAndClock(receivedAt) : `${asDayAndClock(receivedAt)}, ${asDuration(receivedAt - committedAt)} later`],
      ['Record', data.recordId ? `${data.module}/${data.recordId}` : null],
      ['Version', data.version ?? null],
      ['By', data.userId ? this.#by : null],
      ['Size', `${new TextEncoder().encode(raw).length} bytes of data`],
    ].filter(([, value]) => value !== null);
    return h('dl.pairs', {}, facts.flatMap(([name, value]) => [h('dt', {}, name), value === this.#by ? value : h('dd', {}, String(value))]));
  }

  #acts(event) {
    const { form } = this.#inspector;
    const { type, position, data, raw } = event;
    return h('div.acts', {},
      copyButton(this.#shell, () => raw, 'Copy the data'),
      position ? button('Replay from here', () => form.set({ from: 'position', start: before(position) }), { kind: 'small' }) : null,
      button('Only this type', () => form.set({ types: type }), { kind: 'small' }),
      data.recordId ? button('Only this record', () => form.set({ scope: 'record', record: `${data.module}/${data.recordId}` }), { kind: 'small' }) : null);
  }

  #wire(event) {
    return h('details', {}, h('summary', {}, 'As it is on the wire'), h('pre.json', { tabIndex: 0, role: 'group', 'aria-label': 'The event on the wire' }, frameOf(event)));
  }
}
