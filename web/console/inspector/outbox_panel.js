// The writes of this user that wait, in all tabs of this browser: why, and what can be done about them.
import { h, onceAFrame, setText } from '../elements/dom.js';
import { banner, button, chip, empty } from '../elements/elements.js';
import { plural, words } from '../elements/format.js';
import { asClock } from '../elements/units.js';
import { jsonElement } from './json.js';

const STORAGES = { indexeddb: 'They survive a reload.', memory: 'This browser keeps nothing: a reload loses them.', none: '' };
const TONES = { conflict: 'bad', sending: 'info' };

export class OutboxPanel {
  #shell;
  #list = h('ul.writes-list');
  #summary = h('p.quiet-text');
  #flush;
  #none = empty('Nothing waits', 'What is changed in the CRM while it is offline waits here until it is sent.', h('a.button', { href: '/' }, 'Open the CRM'));
  #rows = new Map();
  refresh = onceAFrame(() => this.#draw());

  constructor(shell) {
    this.#shell = shell;
    const { outbox } = shell.client;
    this.#flush = button('Send now', () => outbox.flush(), { kind: 'small' });
    this.element = h('div.outbox-panel', {}, h('h2', {}, 'Outbox'), this.#summary, this.#none, this.#list, this.#flush);
    outbox.subscribe(this.refresh);
    this.#draw();
  }

  #draw() {
    const { writes, storage } = this.#shell.client.outbox.getSnapshot();
    this.#none.hidden = writes.length > 0;
    this.#flush.hidden = !writes.length;
    setText(this.#summary, writes.length ? `${plural(writes.length, 'write')} wait${writes.length === 1 ? 's' : ''}, in this order. ${STORAGES[storage]}` : '');
    const known = new Set(writes.map(({ id }) => id));
    for (const [id, { row }] of this.#rows) if (!known.has(id)) row.remove();
    for (const id of this.#rows.keys()) if (!known.has(id)) this.#rows.delete(id);
    for (const write of writes) this.#show(write);
  }

  /** A row is made again only when its write has changed, so that a button is not lost under the pointer. */
  #show(write) {
    const shown = this.#rows.get(write.id);
    if (shown?.write === write) return;
    const row = this.#row(write);
    if (shown) shown.row.replaceWith(row);
    else this.#list.append(row);
    this.#rows.set(write.id, { row, write });
  }

  #row(write) {
    const { id, kind, module, recordId, state, attempts, reason, at, changes, conflict } = write;
    const { outbox } = this.#shell.client;
    return h('li.write', {},
      h('div.write-head', {}, h('strong.mono', {}, `${kind} ${module}/${recordId}`), chip(words(state), TONES[state] ?? '')),
      h('p.quiet-text', {}, `Since ${asClock(at)} · ${plural(attempts, 'attempt')}${reason ? ` · ${reason}` : ''}`),
      Object.keys(changes).length ? jsonElement(changes, 'What it changes') : null,
      conflict ? banner(`Somebody else has changed ${conflict.fields.join(', ')} meanwhile.`, [
        button('Keep mine', () => outbox.resolve(id, 'mine'), { kind: 'small' }), button('Keep theirs', () => outbox.resolve(id, 'theirs'), { kind: 'small' }),
      ], { kind: 'warn' }) : null,
      button('Discard', () => outbox.discard(id), { kind: 'small danger' }));
  }
}
