// One record: its fields, and edits that never overwrite unseen changes of others.
import { ask, attempt, problemOf, SILENCE } from './api.js';
import { advance } from './record_list.js';
import { button, find, say, wordsOf } from './elements.js';
import { editorRow, fieldRow, readable, shown, typed } from './fields.js';
import { turnTo } from './record.js';

export class Opened {
  #kind = null;
  #record = null;
  /** The field that is being edited, and the version from which the edit started. */
  #edit = null;
  /** The version of the newest event, and who wrote it. */
  #newest = {};
  /** The fields that someone else has just changed. */
  #fresh = [];
  #onMissing;

  /** `onMissing(module, id)`: an event about a record was missed. */
  constructor(onMissing) {
    this.#onMissing = onMissing;
    find('opened').addEventListener('submit', (submit) => {
      submit.preventDefault();
      this.#save(submit.submitter);
    });
  }

  open(kind, record) {
    [this.#kind, this.#record, this.#edit, this.#fresh, this.#newest] = [kind, record, null, [], {}];
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

  /** The record may be out of date. */
  refresh() {
    if (this.#record) this.#onMissing(this.#kind.name, this.#record.id);
  }

  /** Takes an event. */
  take(event) {
    if (!this.#isThis(event.module, event.recordId)) return;
    const record = advance(this.#record, event);
    if (record === undefined) return this.#onMissing(event.module, event.recordId);
    if (record !== this.#record) this.#newest = { version: event.version, by: event.userId };
    return this.#become(record);
  }

  /** The record was requested. */
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
      return say('changed', 'The record was deleted, or moved to a team that you are not on.', false);
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

  async #archiveOrRestore() {
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

  /** Someone else saved first: their value is shown, and the user decides whether to save again. */
  #collide({ code, detail, record, fields }) {
    if (code !== 'stale') return say('changed', detail, false);
    const { field } = this.#edit;
    const who = (this.#newest.version === record.version && this.#newest.by) || 'Someone';
    const what = fields.length > 0 ? fields.map(wordsOf).join(', ') : 'other fields';
    this.put(this.#kind.name, record.id, record);
    this.#edit.version = record.version;
    const now = `It is ${shown(field, record[field.name])} now.`;
    return say('changed', `${who} changed ${what} meanwhile. ${now} Save again to write yours.`, false);
  }

  #draw() {
    const form = find('opened');
    form.hidden = !this.#record;
    if (!this.#record) return;
    const { id, version, archivedAt } = this.#record;
    find('opened-title').textContent = this.#record[this.#kind.label] ?? id;
    find('opened-version').textContent = `${this.#kind.name}/${id}, version ${version}${archivedAt ? ', archived' : ''}`;
    find('opened-acts').replaceChildren(
      button(archivedAt ? 'Restore' : 'Archive', () => this.#archiveOrRestore()),
      button('Close', () => this.close()),
    );
    find('fields').replaceChildren(...readable(this.#kind).flatMap((field) => this.#rowOf(field)));
    this.#fresh = [];
  }

  /** The row that is being edited stays as it is, whatever others change. */
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
