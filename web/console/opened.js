// One record: its fields, and changes to them that never overwrite somebody else's unseen.
import { ask, attempt, problemOf, SILENCE } from './api.js';
import { advance } from './book.js';
import { button, find, say, wordsOf } from './elements.js';
import { editorRow, fieldRow, readable, shown, typed } from './fields.js';
import { turnTo } from './record.js';

export class Opened {
  #kind = null;
  #record = null;
  /** The field that is being changed, and the version that its change begins from. */
  #edit = null;
  /** Which version was told of last, and who wrote it. */
  #told = {};
  /** The fields that somebody else has just changed. */
  #fresh = [];
  #onMissing;

  /** `onMissing(module, id)`: something was missed of a record. */
  constructor(onMissing) {
    this.#onMissing = onMissing;
    find('opened').addEventListener('submit', (submit) => {
      submit.preventDefault();
      this.#save(submit.submitter);
    });
  }

  open(kind, record) {
    [this.#kind, this.#record, this.#edit, this.#fresh, this.#told] = [kind, record, null, [], {}];
    say('changed');
    this.#draw();
    find('opened').scrollIntoView({ block: 'nearest' });
    turnTo(kind.name, record.id);
  }

  close() {
    this.#record = null;
    this.#edit = null;
    this.#draw();
  }

  /** What is known of it may be old. */
  refresh() {
    if (this.#record) this.#onMissing(this.#kind.name, this.#record.id);
  }

  /** Takes an event. */
  take(event) {
    if (!this.#isThis(event.module, event.recordId)) return;
    const record = advance(this.#record, event);
    if (record === undefined) return this.#onMissing(event.module, event.recordId);
    if (record !== this.#record) this.#told = { version: event.version, by: event.userId };
    return this.#become(record);
  }

  /** It was asked for. */
  put(module, id, record) {
    if (this.#isThis(module, id) && !(record?.version < this.#record.version)) this.#become(record);
  }

  #isThis(module, id) {
    return this.#record?.id === id && this.#kind.name === module;
  }

  #become(record) {
    if (record === this.#record) return;
    if (!record) {
      this.close();
      return say('changed', 'The record is gone, or no longer with a team of yours.', false);
    }
    const isOther = ([name, value]) => JSON.stringify(value) !== JSON.stringify(this.#record[name]);
    this.#fresh = Object.entries(record).filter(isOther).map(([name]) => name);
    this.#record = record;
    this.#draw();
  }

  #send(method, path, body, version) {
    const url = `/records/${this.#kind.name}/${encodeURIComponent(this.#record.id)}${path}`;
    return ask(method, url, body, { headers: { 'If-Match': `"${version}"` } });
  }

  async #putAway() {
    const verb = this.#record.archivedAt ? 'restore' : 'archive';
    const { name } = this.#kind;
    const asked = this.#send('POST', `/${verb}`, undefined, this.#record.version);
    const response = await attempt(asked, (text) => say('changed', text, false));
    if (!response) return;
    const record = await response.json();
    this.put(name, record.id, record);
    say('changed', `${record.archivedAt ? 'Archived' : 'Restored'}, version ${record.version}`);
  }

  async #save(submitter) {
    const edit = this.#edit;
    const { field, version } = edit;
    const value = typed(field, find('opened').elements.value.value);
    submitter.disabled = true;
    const response = await this.#send('PATCH', '', { [field.name]: value }, version).catch(() => null);
    submitter.disabled = false;
    if (this.#edit !== edit) return undefined;
    if (!response) return say('changed', SILENCE, false);
    if (response.status === 409) return this.#collide(await response.json());
    if (!response.ok) return say('changed', await problemOf(response), false);
    const record = await response.json();
    this.#edit = null;
    this.put(this.#kind.name, record.id, record);
    this.#draw();
    return say('changed', `Saved: version ${record.version}`);
  }

  /** Somebody was quicker: what they wrote is shown, and saving once more is a decision. */
  #collide({ code, detail, record, fields }) {
    if (code !== 'stale') return say('changed', detail, false);
    const { field } = this.#edit;
    const who = (this.#told.version === record.version && this.#told.by) || 'Somebody';
    const what = fields.length > 0 ? fields.map(wordsOf).join(', ') : 'other fields';
    this.put(this.#kind.name, record.id, record);
    this.#edit.version = record.version;
    const now = `It is ${shown(field, record[field.name])} now.`;
    return say('changed', `${who} has changed ${what} since you began. ${now} Save again to write yours.`, false);
  }

  #draw() {
    const form = find('opened');
    form.hidden = !this.#record;
    if (!this.#record) return;
    const { id, version, archivedAt } = this.#record;
    find('opened-title').textContent = this.#record[this.#kind.label] ?? id;
    find('opened-version').textContent = `${this.#kind.name}/${id}, version ${version}${archivedAt ? ', archived' : ''}`;
    find('opened-acts').replaceChildren(
      button(archivedAt ? 'Restore' : 'Archive', () => this.#putAway()),
      button('Close', () => this.close()),
    );
    find('fields').replaceChildren(...readable(this.#kind).flatMap((field) => this.#rowOf(field)));
    this.#fresh = [];
  }

  /** The row in which somebody is typing stays as it is, whatever others change. */
  #rowOf(field) {
    const value = this.#record[field.name];
    if (this.#edit?.field.name === field.name) {
      this.#edit.row ??= editorRow(field, value, () => this.#stopEditing());
      return this.#edit.row;
    }
    const onEdit = this.#edit || this.#record.archivedAt ? null : () => this.#beginEditing(field);
    return fieldRow(field, value, { isFresh: this.#fresh.includes(field.name), onEdit });
  }

  #beginEditing(field) {
    this.#edit = { field, version: this.#record.version };
    say('changed');
    this.#draw();
    find('opened').elements.value.focus();
  }

  #stopEditing() {
    this.#edit = null;
    this.#draw();
  }
}
