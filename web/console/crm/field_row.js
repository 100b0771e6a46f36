// A field of an open record: its value, or its editor. Changes of others never touch an open editor: they are said beside it.
import { h, icon, setText } from '../elements/dom.js';
import { button } from '../elements/elements.js';
import { words } from '../elements/format.js';
import { inputOf, NOT_A_NUMBER, typed } from './fields.js';
import { isMasked, shown } from './modules.js';

/** A save that takes longer is said beside the field. */
const SLOW_MS = 1_000;
const SAVED_MS = 2_000;
const KEPT_MS = 60_000;

const same = (a, b) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);

export class FieldRow {
  #crm;
  #field;
  #edits;
  #value = null;
  /** What was drawn last. */
  #now = {};
  /** How the last save goes, while that is worth a word. */
  #saving = '';
  #savingTimer = null;
  #warning = '';
  #text = h('span.value-text');
  #mark = h('span.field-mark', { role: 'status' });
  #open;
  #editor = null;
  #before = null;
  #error = h('span.field-error', { role: 'alert', hidden: true });

  /**
   * @param {object} crm
   * @param {object} field of the catalogue
   * @param {{begin: () => boolean, save: (value: any) => Promise<Error | null>, end: () => void}} edits
   */
  constructor(crm, field, edits) {
    this.#crm = crm;
    this.#field = field;
    this.#edits = edits;
    const label = words(field.name);
    const isFixed = field.writer === 'database' || field.writer === 'creator';
    this.#open = isFixed ? h('span.value', {}, this.#text) : h('button.value', { type: 'button', onClick: () => this.edit() }, this.#text, h('span.hidden', {}, `, edit ${label.toLowerCase()}`), icon('edit'));
    this.#place = h('dd', { dataset: { field: field.name } }, this.#open, this.#mark);
    this.element = h('div.pair', {}, h('dt', {}, field.name === 'ownerId' ? 'Owner' : label), this.#place);
  }

  #place;

  get isOpen() {
    return this.#editor !== null;
  }

  /** @param {{value: any, isLocked: boolean, waiting: string, changedBy: string | null}} now `waiting` says for what a change of it waits */
  draw(now) {
    const { value, isLocked, waiting, changedBy } = now;
    const text = this.#field.name === 'ownerId' ? (value ? this.#crm.shell.nameOf(value) : '') : shown(this.#field.name, value);
    const isChanged = !same(this.#value, value);
    this.#value = value;
    this.#now = now;
    setText(this.#text, text || 'Add');
    this.#text.classList.toggle('none', !text);
    this.element.classList.toggle('flash', Boolean(changedBy));
    if (this.#open.tagName === 'BUTTON') this.#open.disabled = isLocked || isMasked(value);
    if (this.isOpen && isChanged && !same(this.#before, value)) setText(this.#mark, changedBy ? `${changedBy} changed this to ${text || 'nothing'}` : `It is ${text || 'empty'} now`);
    this.#drawMark();
    this.#mark.classList.toggle('warn', Boolean(waiting));
  }

  /** While the editor is open, the mark says what others do. */
  #drawMark() {
    if (this.isOpen) return;
    const { waiting, changedBy } = this.#now;
    setText(this.#mark, waiting || this.#saving || (changedBy ? `Changed by ${changedBy}` : ''));
  }

  #say(text, afterMs, next) {
    clearTimeout(this.#savingTimer);
    this.#saving = text;
    this.#drawMark();
    this.#savingTimer = afterMs && setTimeout(next, afterMs);
  }

  /** Opens the editor, with what was typed before if there is a refusal. */
  edit({ text, error } = {}) {
    if (this.isOpen || !this.#edits.begin()) return;
    this.#before = this.#value;
    const input = inputOf(this.#field, this.#value, this.#people());
    if (text !== undefined) input.value = text;
    const form = h('form.editor', { noValidate: true }, input, h('span.editor-acts', {}, button('Save', null, { kind: 'primary small', type: 'submit' }), button('Cancel', () => this.cancel(), { kind: 'small' })));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#save();
    });
    form.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') {
        event.stopPropagation();
        this.cancel();
      } else if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) this.#save();
    });
    this.#editor = { form, input };
    this.#open.replaceWith(form);
    form.after(this.#error);
    this.#refuse(error);
    this.#warning = '';
    setText(this.#mark, '');
    // A refusal opens an editor again while another one may be in use.
    if (document.activeElement?.closest('.editor')) return;
    input.focus();
    if (input.select && input.type !== 'date') input.select();
  }

  #people() {
    if (this.#field.name !== 'ownerId') return null;
    const { shell } = this.#crm;
    const ids = new Set([this.#value, shell.userId, ...shell.presence.getSnapshot().people.map(({ userId }) => userId), ...this.#crm.owners()].filter(Boolean));
    return [...ids].map((id) => ({ value: id, label: shell.nameOf(id) }));
  }

  async #save() {
    const { input } = this.#editor;
    const { value: text } = input;
    if (input.validity?.badInput) return this.#refuse('This is not a date.');
    const value = typed(this.#field, text);
    if (Number.isNaN(value)) return this.#refuse(NOT_A_NUMBER);
    if (same(value, this.#before)) return this.cancel();
    const saving = this.#edits.save(value);
    this.#close();
    this.#say('', SLOW_MS, () => this.#say('Saving …'));
    const error = await saving;
    this.#edits.end();
    this.#say(error ? '' : 'Saved', SAVED_MS, () => this.#say(''));
    if (!error || ['discarded', 'closed'].includes(error.code)) return undefined;
    this.#sayRefusal(text, error);
    return undefined;
  }

  /** What was typed is kept: in the editor, or, while somebody else is editing, behind a button. */
  #sayRefusal(text, error) {
    const again = () => this.edit({ text, error: error.message });
    again();
    const act = this.isOpen ? undefined : { label: 'Edit again', run: again };
    this.#crm.shell.toast(`${words(this.#field.name)} was not saved: ${error.message}`, { kind: 'bad', act, forMs: act && KEPT_MS });
  }

  #refuse(text) {
    this.#error.hidden = !text;
    setText(this.#error, text ?? '');
    this.#editor?.input.setAttribute('aria-invalid', String(Boolean(text)));
  }

  /** A word beside an open editor. */
  warn(text) {
    if (!this.isOpen || text === this.#warning) return;
    this.#warning = text;
    setText(this.#mark, text);
  }

  /** Saves what was typed, if it differs. */
  finish() {
    if (this.isOpen) this.#save();
  }

  cancel() {
    if (!this.isOpen) return;
    this.#close();
    this.#edits.end();
  }

  #close() {
    const hadFocus = this.#place.contains(document.activeElement);
    this.#editor.form.replaceWith(this.#open);
    this.#editor = null;
    this.#error.remove();
    setText(this.#mark, '');
    if (hadFocus) this.#open.focus();
  }
}
