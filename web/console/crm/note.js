// The notes of a record, and a box to add one. Others see that somebody is typing.
import { typing } from '../../client/src/collaboration.js';
import { h, setText } from '../elements/dom.js';
import { button } from '../elements/elements.js';
import { asDay } from '../elements/format.js';
import { isMasked } from './modules.js';

export class NoteBox {
  #crm;
  #target;
  #signal;
  #text = h('p.notes');
  #input;
  #form;

  constructor(crm, target) {
    this.#crm = crm;
    this.#target = target;
    this.#signal = typing(crm.shell.client, { module: target.module, recordId: target.id });
    this.#input = h('textarea.input', { rows: 2, placeholder: 'Add a note', 'aria-label': 'Add a note', onInput: () => this.#signal.type(), onBlur: () => this.#signal.stop() });
    this.#input.addEventListener('keydown', ({ key, ctrlKey, metaKey }) => key === 'Enter' && (ctrlKey || metaKey) && this.#add());
    this.#form = h('form', {}, this.#input, button('Add note', null, { kind: 'small', type: 'submit' }));
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#add();
    });
    this.element = h('section.note-box', {}, h('h3', {}, 'Notes'), this.#text, this.#form);
  }

  draw(record, isLocked) {
    const { notes } = record;
    setText(this.#text, isMasked(notes) ? 'Notes are for the owner and administrators.' : notes || 'No notes yet.');
    this.#form.hidden = isMasked(notes);
    this.#input.disabled = isLocked;
  }

  async #add() {
    const text = this.#input.value.trim();
    const record = this.#target.record();
    if (!text || !record) return;
    this.#signal.stop();
    const { shell, actions } = this.#crm;
    const line = `${asDay(new Date().toISOString())}, ${shell.nameOf(shell.userId)}: ${text}`;
    this.#input.value = '';
    const isDone = await actions.update(this.#target.module, record, { notes: [record.notes, line].filter(Boolean).join('\n') });
    if (!isDone && !this.#input.value) this.#input.value = text;
  }

  close() {
    this.#signal.stop();
  }
}
