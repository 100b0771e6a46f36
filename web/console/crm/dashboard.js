// A dashboard: the records of a module with filters, as rows that change in place.
import { h, icon, onceAFrame, setText } from '../elements/dom.js';
import { button, empty, select, skeletons } from '../elements/elements.js';
import { plural, words } from '../elements/format.js';
import { VirtualRows } from '../elements/virtual_rows.js';
import { lookOf, MODULES, oneOf } from './modules.js';
import { makeRow, ROW_PX, updateRow } from './rows.js';

const PAGE = 100;
const SEARCH_MS = 200;
const NARROW = matchMedia('(max-width: 44rem)');

export class Dashboard {
  #crm;
  #module = null;
  #list = null;
  #off = () => {};
  #rows;
  #filter = {};
  #parts = {};
  #searching = null;
  #shown = Promise.withResolvers?.() ?? { resolve() {} };
  #draw = onceAFrame(() => this.#show());

  constructor(crm) {
    this.#crm = crm;
    this.#rows = new VirtualRows({
      key: ({ id }) => id,
      height: () => (NARROW.matches ? ROW_PX.narrow : ROW_PX.wide),
      make: (record) => makeRow(this.#context, record),
      update: (row, record, index) => updateRow(this.#context, row, record, index),
      onEnd: () => this.#list?.loadMore(),
      onFocusLost: ({ id }) => this.focusRow(id),
      label: 'Records', role: 'rowgroup', innerRole: 'presentation',
    });
    this.element = this.#build();
    NARROW.addEventListener('change', () => this.#rows.refresh());
    crm.changes.observe((path) => this.#renew(path));
    crm.actions.observe(() => this.#draw());
    for (const store of [crm.shell.presence, crm.shell.people.store, crm.shell.client.outbox]) store.subscribe(onceAFrame(() => this.#rows.refresh()));
    this.#rows.element.addEventListener('keydown', (event) => this.#move(event));
  }

  get #context() {
    return { ...this.#crm, module: this.#module, open: (id) => this.#crm.open(this.#module, id) };
  }

  #build() {
    const p = this.#parts;
    p.tabs = h('nav.tabs', { 'aria-label': 'Dashboards' }, MODULES.map((module) => h('a', { href: `#${module}`, dataset: { module } }, words(module))), h('a.only-narrow', { href: '#activity', dataset: { module: 'activity' } }, 'Activity'));
    p.search = h('input.input', { type: 'search', placeholder: 'Search', 'aria-label': 'Search', autocomplete: 'off', onInput: () => this.#searchSoon() });
    p.status = h('div.filter');
    p.owner = h('div.filter');
    p.sort = h('div.filter');
    p.count = h('p.quiet-text', { role: 'status' });
    p.createLabel = h('span.label', {}, 'New');
    p.create = button(p.createLabel, () => this.#crm.create(this.#module), { kind: 'primary', picture: 'plus' });
    p.importing = button(h('span.label', {}, 'Import'), () => this.#crm.importFile(this.#module), { picture: 'upload', title: 'Import a CSV file', 'aria-label': 'Import' });
    p.head = h('div', { role: 'row', className: 'record-head' });
    p.table = h('div.records', { role: 'table', 'aria-label': 'Records' }, h('div', { role: 'rowgroup' }, p.head), this.#rows.element);
    p.note = h('div.note');
    return h('section.dashboard', { 'aria-label': 'Dashboard' }, p.tabs,
      h('div.toolbar', {}, h('div.search', {}, icon('search'), p.search), h('div.toolbar-end', {}, p.importing, p.create)),
      h('div.filters', {}, p.status, p.owner, p.sort, p.count), p.table, p.note);
  }

  /** Marks the tab of a module, or of the activity on a narrow screen. */
  mark(name) {
    for (const link of this.#parts.tabs.children) {
      if (link.dataset.module === name) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
  }

  /** What the rows show beside their records has changed. */
  refresh() {
    this.#rows.refresh();
  }

  focusSearch() {
    this.#parts.search.focus();
  }

  focusRow(id) {
    this.#rows.reveal(id);
    this.#rows.row(id)?.querySelector('.open')?.focus();
  }

  /** Resolves when the first records are shown, or cannot be loaded at the moment. */
  get isShown() {
    return this.#shown.promise;
  }

  /** The records that are loaded, in their order. */
  get records() {
    return this.#rows.items;
  }

  /** A record as the list has it. */
  record(module, id) {
    return module === this.#module ? this.#list.getSnapshot().records.find((one) => one.id === id) : undefined;
  }

  get module() {
    return this.#module;
  }

  show(module) {
    if (module === this.#module) return;
    this.#module = module;
    this.#filter = { sort: '-createdAt' };
    this.#parts.search.value = '';
    this.mark(module);
    this.#parts.table.setAttribute('aria-label', words(module));
    this.#parts.table.dataset.module = module;
    setText(this.#parts.createLabel, `New ${oneOf(module)}`);
    this.#parts.create.setAttribute('aria-label', `New ${oneOf(module)}`);
    this.#drawHead();
    // What is asked for first is answered first.
    this.#follow();
    this.#drawFilters();
  }

  /** Filters by status, owner, words and order. */
  #follow() {
    this.#off();
    const { status, owner, q, sort } = this.#filter;
    const isArchived = status === 'archived';
    const filter = { status: isArchived ? undefined : status, owner, q: q || undefined, archived: isArchived ? true : undefined };
    this.#list = this.#crm.shell.client.records(this.#module, { filter, sort, limit: PAGE });
    this.#rows.scrollToTop();
    this.#off = this.#list.subscribe(this.#draw);
    this.#show();
  }

  #show() {
    const { status, records, hasMore, error } = this.#list.getSnapshot();
    const module = this.#module;
    const shown = records.filter(({ id }) => !this.#crm.actions.isLeaving(module, id));
    if (status !== 'loading' || error) this.#shown.resolve();
    this.#parts.table.hidden = status === 'loading' || shown.length === 0;
    if (status !== 'loading') this.#rows.set(shown);
    else if (this.#rows.items.length) this.#rows.set([]);
    this.#parts.table.setAttribute('aria-rowcount', String(hasMore ? -1 : shown.length + 1));
    this.element.dataset.status = status;
    setText(this.#parts.count, status === 'ready' ? `${plural(shown.length, oneOf(module), module)}${hasMore ? ' and more' : ''}` : '');
    this.#note(status, shown.length, error);
  }

  #note(status, count, error) {
    const { note } = this.#parts;
    const key = status === 'ready' && count ? '' : `${this.#module} ${status} ${JSON.stringify(this.#filter)} ${error?.message}`;
    if (note.dataset.key === key) return;
    note.dataset.key = key;
    if (!key) note.replaceChildren();
    else if (status === 'loading' && error) note.replaceChildren(empty('No connection', 'These records are shown as soon as the service can be reached.'));
    else if (status === 'loading') note.replaceChildren(skeletons(8));
    else if (status === 'error') note.replaceChildren(empty('These records could not be loaded', error.message, button('Try again', () => this.#list.reload(), { kind: 'primary' })));
    else note.replaceChildren(this.#emptiness());
  }

  #emptiness() {
    const { status, owner, q } = this.#filter;
    const one = oneOf(this.#module);
    if (status || owner || q) return empty('Nothing matches', 'Change the search or the filters.', button('Show all', () => this.#clear()));
    return empty(`No ${this.#module} yet`, `Create the first ${one}, or drop a CSV file here.`, button(`New ${one}`, () => this.#crm.create(this.#module), { kind: 'primary' }));
  }

  #clear() {
    this.#filter = { sort: this.#filter.sort };
    this.#parts.search.value = '';
    this.#drawFilters();
    this.#follow();
  }

  #searchSoon() {
    clearTimeout(this.#searching);
    this.#searching = setTimeout(() => this.#set({ q: this.#parts.search.value.trim() }), SEARCH_MS);
  }

  #set(change) {
    this.#filter = { ...this.#filter, ...change };
    this.#follow();
  }

  async #drawFilters() {
    const module = this.#module;
    const { shell } = this.#crm;
    this.#drawSort();
    this.#drawOwners();
    // The list itself says that it cannot be loaded.
    const kind = await this.#crm.kindOf(module).catch(() => null);
    if (module !== this.#module) return;
    // The values of the status are known now.
    this.refresh();
    const values = kind?.fields.find(({ name }) => name === 'status')?.values ?? [];
    const options = [{ value: '', label: 'Any status' }, ...values.map((value) => ({ value, label: words(value) })), { value: 'archived', label: 'Archived' }];
    this.#parts.status.replaceChildren(select(options, { value: this.#filter.status ?? '', 'aria-label': 'Status', onChange: ({ target }) => this.#set({ status: target.value || undefined }) }));
    shell.people.nameOf(shell.userId);
  }

  /** The owners of the records that are loaded, and the people who are online. */
  #drawOwners() {
    const { shell } = this.#crm;
    const box = select([], { 'aria-label': 'Owner', onChange: ({ target }) => this.#set({ owner: target.value || undefined }) });
    const fill = () => {
      const chosen = this.#filter.owner ?? '';
      const ids = new Set([chosen, ...this.#rows.items.map(({ ownerId }) => ownerId), ...shell.presence.getSnapshot().people.map(({ userId }) => userId)].filter(Boolean));
      const others = [...ids].filter((id) => id !== shell.userId).map((id) => ({ value: id, label: shell.nameOf(id) })).sort((a, b) => a.label.localeCompare(b.label));
      const all = [{ value: '', label: 'Every owner' }, { value: shell.userId, label: 'Mine' }, ...others];
      box.replaceChildren(...all.map(({ value, label }) => h('option', { value }, label)));
      box.value = chosen;
    };
    fill();
    box.addEventListener('pointerdown', fill);
    box.addEventListener('focus', fill);
    this.#parts.owner.replaceChildren(box);
  }

  #sortOptions() {
    const columns = lookOf(this.#module).columns.map(([field, label]) => [field, label]);
    return [['-createdAt', 'Newest first'], ['-updatedAt', 'Changed last'], ...columns.flatMap(([field, label]) => [[field, `${label} ↑`], [`-${field}`, `${label} ↓`]])];
  }

  #drawSort() {
    const options = this.#sortOptions().map(([value, label]) => ({ value, label }));
    this.#parts.sort.replaceChildren(select(options, { value: this.#filter.sort, 'aria-label': 'Sort', onChange: ({ target }) => { this.#set({ sort: target.value }); this.#drawHead(); } }));
  }

  #drawHead() {
    const cells = [['Name'], ...lookOf(this.#module).columns.map(([field, label]) => [label, field]), ['Status', 'status'], ['Owner'], ['']];
    this.#parts.head.replaceChildren(...cells.map(([label, field], index) => this.#headCell(label, field, index)));
  }

  #headCell(label, field, index) {
    const { sort } = this.#filter;
    const order = sort === field ? 'ascending' : sort === `-${field}` ? 'descending' : null;
    const arrow = { ascending: ' ↑', descending: ' ↓' }[order] ?? '';
    const content = field ? h('button', { type: 'button', onClick: () => this.#sortBy(field) }, label, arrow) : label || h('span.hidden', {}, 'What happens');
    return h('div', { role: 'columnheader', className: `cell-${index}`, 'aria-sort': order }, content);
  }

  #sortBy(field) {
    this.#set({ sort: this.#filter.sort === field ? `-${field}` : field });
    this.#drawHead();
    this.#drawSort();
    this.#parts.head.querySelectorAll('button').forEach((one) => one.textContent.startsWith(lookOf(this.#module).columns.find(([name]) => name === field)?.[1] ?? 'Status') && one.focus());
  }

  /** Arrow keys move from row to row, and to the control of a row and back. */
  #move(event) {
    if (event.key === 'ArrowRight' || event.key === 'ArrowLeft') return this.#moveAcross(event);
    const step = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    if (!step || event.target.closest('select')) return undefined;
    event.preventDefault();
    const { items } = this.#rows;
    const id = event.target.closest('.row')?.dataset.id;
    const at = id === undefined ? (step > 0 ? -1 : 0) : this.#rows.indexOf(id);
    const next = items[Math.min(items.length - 1, Math.max(0, at + step))];
    if (next) this.focusRow(next.id);
    return undefined;
  }

  #moveAcross(event) {
    const wanted = event.target.closest('.row')?.querySelector(event.key === 'ArrowRight' ? 'select, .act' : '.open');
    if (!wanted || event.target.closest('select')) return;
    event.preventDefault();
    wanted.focus();
  }

  /** One row whose highlight has begun or ended. */
  #renew(path) {
    const [module, ...rest] = path.split('/');
    const id = rest.join('/');
    const row = module === this.#module && this.#rows.row(id);
    if (row) updateRow(this.#context, row, this.#rows.items[this.#rows.indexOf(id)], this.#rows.indexOf(id));
  }
}
