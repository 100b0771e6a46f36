// The card "Records": the records of a module, live.
import { ask, attempt } from './api.js';
import { RecordList, isOfRecord, MOST_RECORDS } from './record_list.js';
import { button, element, find, onceAFrame, say, wordsOf } from './elements.js';
import { Opened } from './opened.js';

const PAGE = 25;
const TYPING_MS = 250;
const ARCHIVED = 'archived';

export class Records {
  #form = find('records');
  #kinds = [];
  #recordList = new RecordList('');
  #next = null;
  /** The number of the newest request: answers to older ones are ignored. */
  #asked = 0;
  #opened = new Opened((module, id) => this.#fetch(module, id));
  #draw = onceAFrame(() => this.#drawNow());

  constructor() {
    let typing;
    this.#form.addEventListener('submit', (submit) => submit.preventDefault());
    this.#form.elements.kind.addEventListener('change', () => this.#choose());
    this.#form.elements.status.addEventListener('change', () => this.#list());
    this.#form.elements.words.addEventListener('input', () => {
      clearTimeout(typing);
      typing = setTimeout(() => this.#list(), TYPING_MS);
    });
    find('more').addEventListener('click', () => this.#list(this.#next));
    this.forget();
  }

  /** The user has changed. */
  forget() {
    this.#asked += 1;
    this.#recordList = new RecordList('');
    this.#next = null;
    this.#opened.close();
    say('listed');
    this.#draw();
  }

  /** A stream has opened, or was reset: the list may be out of date. */
  async begin() {
    const response = await attempt(ask('GET', '/records'), (text) => say('listed', text, false));
    if (!response) return;
    this.#kinds = (await response.json()).modules;
    const { kind } = this.#form.elements;
    const chosen = this.#kinds.find(({ name }) => name === kind.value) ?? this.#kinds[0];
    kind.replaceChildren(...this.#kinds.map(({ name }) => element('option', '', name)));
    if (!chosen) return;
    kind.value = chosen.name;
    await this.#choose(this.#form.elements.status.value);
  }

  /** Takes a message of the stream. */
  take(data, position) {
    if (data.type === 'stream:reset') {
      this.begin();
      this.#opened.refresh();
    }
    if (!position || !isOfRecord(data)) return;
    this.#opened.take(data);
    const { isChange, missing } = this.#recordList.take(data, position);
    if (missing) this.#fetch(data.module, missing);
    if (isChange) this.#draw();
  }

  get #kind() {
    return this.#kinds.find(({ name }) => name === this.#form.elements.kind.value);
  }

  #choose(status = '') {
    const { elements } = this.#form;
    const values = this.#kind.fields.find(({ name }) => name === 'status')?.values ?? [];
    const options = [['', 'any'], ...values.map((value) => [value, wordsOf(value)]), [ARCHIVED, 'archived']];
    elements.status.replaceChildren(...options.map(([value, text]) => Object.assign(element('option', '', text), { value })));
    elements.status.value = options.some(([value]) => value === status) ? status : '';
    return this.#list();
  }

  /** Requests the first page, or the one at a cursor. */
  async #list(cursor = null) {
    const { kind, status, words } = this.#form.elements;
    const isArchived = status.value === ARCHIVED;
    const wanted = { status: isArchived ? '' : status.value, words: words.value.trim(), isArchived };
    const query = new URLSearchParams({ limit: PAGE, archived: isArchived });
    if (wanted.status) query.set('status', wanted.status);
    if (wanted.words) query.set('q', wanted.words);
    if (cursor) query.set('cursor', cursor);
    else this.#recordList = new RecordList(kind.value, wanted);
    this.#asked += 1;
    const [asked, list] = [this.#asked, this.#recordList];
    const response = await attempt(ask('GET', `/records/${kind.value}?${query}`), (text) => say('listed', text, false));
    const page = await response?.json();
    if (!page || asked !== this.#asked) return;
    this.#next = page.next;
    list.answer(page.records, response.headers.get('Stream-Position'), !cursor);
    this.#draw();
  }

  /** Requests one record, about which an event was missed. */
  async #fetch(module, id) {
    const list = this.#recordList;
    const response = await ask('GET', `/records/${module}/${encodeURIComponent(id)}`).catch(() => null);
    const record = response?.ok ? await response.json() : null;
    if (!record && response?.status !== 404) return;
    this.#opened.put(module, id, record);
    if (list === this.#recordList && module === this.#kind?.name && response.ok) {
      list.put(id, record, response.headers.get('Stream-Position'));
      this.#draw();
    }
  }

  /** Opens the record as the list has it now: the row may be older. */
  #open(id) {
    const record = this.#recordList.get(id);
    if (record) this.#opened.open(this.#kind, record);
  }

  #drawNow() {
    const records = this.#recordList.all();
    const rows = find('rows');
    const focused = document.activeElement.closest('#rows li')?.dataset.id;
    const drawn = new Map([...rows.children].map((row) => [row.dataset.key, row]));
    rows.dataset.module = this.#kind?.name ?? '';
    rows.replaceChildren(...records.map((record) => drawn.get(this.#keyOf(record)) ?? this.#row(record)));
    if (focused) rows.querySelector(`[data-id="${focused}"] button`)?.focus({ preventScroll: true });
    find('more').hidden = !this.#next || this.#recordList.isFull;
    if (this.#recordList.isFull) say('listed', `Only the first ${MOST_RECORDS} are shown.`);
    else say('listed', this.#kind && records.length === 0 ? 'No records.' : '');
  }

  /** Identifies what a row shows: a row that stays the same is not drawn again. */
  #keyOf({ id, version }) {
    return `${this.#kind.name}/${id} v${version}`;
  }

  #row(record) {
    const row = element('li');
    row.dataset.id = record.id;
    row.dataset.key = this.#keyOf(record);
    const open = button('', () => this.#open(record.id), '');
    open.append(
      element('span', 'label', record[this.#kind.label] ?? record.id),
      element('span', `chip ${record.status ?? ''}`, wordsOf(record.status ?? '')),
      element('span', 'owner', record.ownerId ?? ''),
      element('span', 'record', `${record.id} v${record.version}`),
    );
    row.append(open);
    return row;
  }
}
