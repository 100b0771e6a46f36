// An open record: its fields, each edited in place, with who else is here, what collides, and what happened.
import { h, keepFocus, onceAFrame, setText } from '../elements/dom.js';
import { button, empty, iconButton, skeletons } from '../elements/elements.js';
import { words } from '../elements/format.js';
import { menu } from '../elements/popover.js';
import { ActivityList } from './activity.js';
import { showConflict } from './conflict.js';
import { FieldRow } from './field_row.js';
import { readable } from './fields.js';
import { lookOf, oneOf, toneOf } from './modules.js';
import { NoteBox } from './note.js';
import { RecordLock } from './record_lock.js';
import { showViewers } from './viewers.js';

export class RecordPanel {
  #crm;
  #module;
  #id;
  #live;
  #lock;
  #rows = new Map();
  #offs = [];
  #parts = {};
  #note;
  #activity;
  #isClosed = false;

  constructor(crm, module, id) {
    this.#crm = crm;
    this.#module = module;
    this.#id = id;
    const { client, presence } = crm.shell;
    this.#live = client.record(module, id);
    this.#lock = new RecordLock(crm.shell, module, id, { onChange: () => this.#lockChanged(), onHandOver: () => this.#handOver() });
    this.element = this.#build();
    for (const type of ['input', 'keydown', 'pointerdown']) this.element.addEventListener(type, () => this.#lock.wake());
    const draw = onceAFrame(() => !this.#isClosed && this.#draw());
    for (const store of [this.#live, presence, crm.shell.people.store, client.connection, client.outbox]) this.#offs.push(store.subscribe(draw));
    this.#offs.push(crm.changes.observe((path) => path === `${module}/${id}` && draw()));
    this.#tellPresence();
    this.#draw();
    this.#load();
  }

  /** As the service has it; until that has answered, as the list has it, so that it can be read and edited without a connection too. */
  get record() {
    return this.#now.record;
  }

  get #now() {
    const now = this.#live.getSnapshot();
    if (now.record || now.status === 'missing') return now;
    const record = this.#crm.dashboard.record(this.#module, this.#id);
    return record ? { ...now, record } : now;
  }

  #build() {
    const p = this.#parts;
    p.title = h('h2', { tabIndex: -1 });
    p.under = h('p.quiet-text');
    p.status = h('span.chip');
    p.viewers = h('div.viewers');
    p.conflict = h('div');
    p.fields = h('dl.pairs');
    p.body = h('div.record-body', {}, skeletons(5));
    p.acts = h('div.record-acts');
    this.#activity = new ActivityList(this.#crm, { module: this.#module, recordId: this.#id });
    this.#note = new NoteBox(this.#crm, { module: this.#module, id: this.#id, record: () => this.record });
    return h('section.record', { 'aria-label': words(oneOf(this.#module)) },
      h('div.record-head-bar', {}, iconButton('back', 'Back to the list', () => this.#crm.close(), { kind: 'quiet back' }),
        h('div.record-title', {}, p.title, p.under), p.status, p.acts, iconButton('close', 'Close the record', () => this.#crm.close(), { kind: 'quiet close' })),
      p.viewers, this.#lock.element, p.conflict, p.body);
  }

  async #load() {
    const kind = await this.#crm.kindOf(this.#module).catch(() => null);
    if (this.#isClosed || !kind) return;
    const order = lookOf(this.#module).first;
    const place = ({ name }) => (order.indexOf(name) + 1 || order.length + 1);
    const fields = readable(kind).filter(({ name }) => name !== 'notes').sort((a, b) => place(a) - place(b));
    for (const field of fields) this.#rows.set(field.name, new FieldRow(this.#crm, field, this.#edits(field)));
    this.#parts.fields.append(...[...this.#rows.values()].map(({ element }) => element));
    const hasNotes = kind.fields.some(({ name }) => name === 'notes');
    this.#parts.body.replaceChildren(this.#parts.fields, hasNotes ? this.#note.element : '', h('section.record-activity', {}, h('h3', {}, 'Activity'), this.#activity.element));
    this.#draw();
    this.#parts.title.focus({ preventScroll: true });
  }

  /** What a row of a field needs of its record. */
  #edits(field) {
    return {
      begin: () => this.#begin(field),
      save: (value) => this.#save(field, value),
      end: () => this.#end(),
    };
  }

  /** Editing takes the lock. The editor opens at once; if somebody else has the lock, it closes again. */
  #begin(field) {
    if (this.#isClosed || this.#lock.heldByOther) return false;
    this.#tellPresence(true);
    this.#lock.take().then((isMine) => {
      if (isMine || this.#isClosed) return;
      this.#rows.get(field.name)?.cancel();
      this.#crm.shell.toast(`${this.#lock.holderName} was faster and is editing this ${oneOf(this.#module)}.`, { kind: 'warn' });
    });
    return true;
  }

  async #save(field, value) {
    const { record } = this;
    if (!record) return null;
    const { done } = this.#crm.shell.client.update(this.#module, this.#id, { [field.name]: value }, { isImmediate: true, record });
    try {
      await done;
      return null;
    } catch (error) {
      return error;
    }
  }

  #end() {
    if (this.#isEditing || this.#isClosed) return;
    this.#tellPresence();
    this.#lock.giveBack();
  }

  /** What was typed is saved, and then the lock is given back. */
  #handOver() {
    const isEditing = this.#isEditing;
    for (const row of this.#rows.values()) row.finish();
    if (!isEditing) this.#lock.giveBack();
  }

  get #isEditing() {
    return [...this.#rows.values()].some(({ isOpen }) => isOpen);
  }

  #tellPresence(isEditing = false) {
    const here = { module: this.#module, recordId: this.#id };
    this.#crm.shell.presence.show({ viewing: here, editing: isEditing ? here : null });
  }

  #lockChanged() {
    for (const row of this.#rows.values()) row.warn(this.#lock.isLost ? this.#lock.lostText : '');
    this.#draw();
  }

  #draw() {
    const { status, record, error } = this.#now;
    const { shell, changes } = this.#crm;
    const pending = shell.client.outbox.pending().filter((write) => write.module === this.#module && write.recordId === this.#id);
    if (!record) return this.#drawNothing(status, error);
    const p = this.#parts;
    const look = lookOf(this.#module);
    setText(p.title, look.name(record) ?? 'Without a name');
    setText(p.under, [look.under(record), record.archivedAt ? 'Archived' : ''].filter(Boolean).join(' · '));
    setText(p.status, record.status ? words(record.status) : '');
    p.status.className = `chip ${toneOf(record.status)}`;
    const change = changes.of(this.#module, this.#id);
    const hasConflict = pending.some(({ state }) => state === 'conflict');
    for (const [name, row] of this.#rows) {
      const waiting = waitingFor(pending.filter((write) => name in write.changes), { isConnected: shell.isConnected, hasConflict });
      row.draw({ value: record[name], isLocked: this.#lock.heldByOther, waiting, changedBy: change?.fields.includes(name) ? shell.nameOf(change.userId) : null });
    }
    this.#note.draw(record, this.#lock.heldByOther);
    this.#drawActs(record);
    showViewers(shell, p.viewers, this.#module, this.#id);
    showConflict(this.#crm, p.conflict, pending.find(({ state }) => state === 'conflict'));
    return undefined;
  }

  #drawNothing(status, error) {
    if (status === 'loading') return;
    const { body, title } = this.#parts;
    setText(title, 'Not here');
    const text = status === 'missing' ? 'It was deleted, or moved to a team that you are not on.' : error?.message;
    if (body.dataset.status === status) return;
    body.dataset.status = status;
    body.replaceChildren(empty(status === 'missing' ? 'This record is gone' : 'The record could not be loaded', text, button('Back to the list', () => this.#crm.close())));
  }

  #drawActs(record) {
    const key = `${Boolean(record.archivedAt)} ${record.status}`;
    const { acts } = this.#parts;
    if (acts.dataset.key === key) return;
    acts.dataset.key = key;
    const { actions } = this.#crm;
    const module = this.#module;
    const now = () => this.record ?? record;
    const more = iconButton('more', 'More', null);
    const items = () => [
      record.archivedAt ? { label: 'Restore', run: () => actions.restore(module, now()) } : { label: 'Archive', run: () => actions.archive(module, now()) },
      { label: 'Delete', run: () => { actions.delete(module, now()); this.#crm.close(); } },
    ];
    const isOpen = module === 'appointments' && ['scheduled', 'confirmed'].includes(record.status);
    keepFocus(acts, () => acts.replaceChildren(isOpen ? button('Complete', () => actions.complete(now()), { kind: 'small primary' }) : '', menu(more, items, 'More')));
  }

  close() {
    this.#isClosed = true;
    for (const off of this.#offs.splice(0)) off();
    this.#note.close();
    this.#activity.close();
    this.#lock.close();
    this.#crm.shell.presence.show({});
    this.element.remove();
  }
}

/** For what the changes of a field wait, if that is worth a word. What comes after a collision waits for its end. */
function waitingFor(writes, { isConnected, hasConflict }) {
  if (!writes.length) return '';
  if (hasConflict) return 'Waits for your decision';
  return !isConnected || writes.some(({ attempts }) => attempts > 1) ? 'Waiting to be sent' : '';
}
