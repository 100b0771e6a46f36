// Tasks: how many wait, run and fail, by type; and a list of them.
import { h } from '../elements/dom.js';
import { button, chip, empty, field, select, skeletons } from '../elements/elements.js';
import { asNumber, words } from '../elements/format.js';
import { asDuration } from '../elements/units.js';
import { noteOf } from './connections.js';
import { Facts } from './facts.js';
import { fillOnce, KeyedTable } from './keyed_table.js';
import { Pages } from './pages.js';
import { Repeated } from './repeated.js';

const LIMIT = 50;
const STATES = [
  { value: 'running', label: 'Running' }, { value: 'queued', label: 'Waiting' }, { value: 'failed', label: 'Failed' },
  { value: 'cancelling', label: 'Being cancelled' }, { value: 'completed', label: 'Completed' }, { value: 'cancelled', label: 'Cancelled' }, { value: '', label: 'All' },
];
const TONES = { running: 'info', queued: 'warn', failed: 'bad', completed: 'good', cancelling: 'warn' };
const CAN_CANCEL = new Set(['queued', 'running']);
const CAN_RETRY = new Set(['failed', 'cancelled']);
const NONE = { running: 'No task is running', queued: 'No task waits', failed: 'No task has failed' };

export class TasksPart {
  #shell;
  #feed;
  #state = select(STATES, { value: 'running' });
  #totals = new Facts('All types');
  #types;
  #table;
  #pages = new Pages(() => this.#repeated.refresh());
  #none = h('div', {}, skeletons(3));
  #note = h('div');
  #repeated;

  constructor(shell, { feed }) {
    this.#shell = shell;
    this.#feed = feed;
    this.#repeated = new Repeated(() => this.#load(), (loaded, error) => this.#show(loaded, error));
    this.#types = typesTable();
    this.#table = this.#makeTable();
    this.#state.addEventListener('change', () => { this.#pages.first(); this.#repeated.refresh(); });
    this.element = h('div.part', {}, h('h2', {}, 'Tasks'), h('div.fact-cards', {}, this.#totals.element, this.#types.element),
      h('div.part-head', {}, field('Tasks that are', this.#state), this.#pages.element), this.#note, this.#none, this.#table.element);
    this.#types.set([]);
    this.#table.set([]);
  }

  show() {
    this.refresh();
    return this.#repeated.start();
  }

  hide() {
    this.#repeated.stop();
  }

  refresh() {
    const tasks = this.#feed.store.getSnapshot().overview?.tasks;
    if (!tasks) return;
    const { waiting, resting, running, failedLastHour, oldestWaitingSeconds, byType } = tasks;
    this.#totals.set([
      ['Waiting', asNumber(waiting)], ['The oldest waits', oldestWaitingSeconds === null ? '–' : `for ${asDuration(oldestWaitingSeconds * 1_000)}`],
      ['Between two attempts', asNumber(resting)], ['Running', asNumber(running)], ['Failed in the last hour', asNumber(failedLastHour)],
    ]);
    this.#types.set(byType);
  }

  async #load() {
    const query = { state: this.#state.value || undefined, limit: LIMIT, cursor: this.#pages.cursor };
    return (await this.#shell.client.request('GET', '/tasks', { query })).body;
  }

  #show(loaded, error) {
    this.#note.replaceChildren(...noteOf(loaded, error));
    if (!loaded) return;
    this.#pages.show(loaded.next, '');
    this.#table.set(loaded.tasks);
    this.#none.hidden = loaded.tasks.length > 0;
    this.#none.replaceChildren(empty(NONE[this.#state.value] ?? 'There are none', 'Tasks are what users ask workers to do, like an import.'));
  }

  #makeTable() {
    const name = (id) => this.#shell.nameOf(id);
    return new KeyedTable({
      label: 'Tasks',
      key: ({ id }) => id,
      columns: [
        { label: 'Task', fill: (cell, { title, type }) => fillOnce(cell, `${title} ${type}`, () => [h('strong', {}, title ?? words(type)), h('span.quiet-text.mono', {}, ` ${type}`)]) },
        { label: 'State', fill: (cell, { state }) => fillOnce(cell, state, () => chip(words(state === 'queued' ? 'waiting' : state), TONES[state] ?? '')) },
        { label: 'Progress', fill: progress },
        { label: 'User', text: ({ userId }) => name(userId) },
        { label: 'Attempt', text: ({ attempt, maxAttempts }) => `${attempt} of ${maxAttempts}` },
        { label: 'Created', text: ({ createdAt }) => `${asDuration(Date.now() - Date.parse(createdAt))} ago` },
        { label: 'Error', text: ({ error }) => (error ? `${error.code}: ${error.message}` : '') },
        { label: '', className: 'acts-cell', fill: (cell, task) => fillOnce(cell, task.state, () => this.#act(task)) },
      ],
    });
  }

  #act(task) {
    const about = task.title ?? task.type;
    if (CAN_CANCEL.has(task.state)) return button('Cancel', () => this.#send(task, 'cancel'), { kind: 'small', 'aria-label': `Cancel ${about}` });
    if (!CAN_RETRY.has(task.state)) return null;
    if (task.userId !== this.#shell.userId) return h('span.quiet-text', {}, 'Its user can retry it');
    return button('Retry', () => this.#send(task, 'retry'), { kind: 'small', 'aria-label': `Retry ${about}` });
  }

  async #send({ id, title, type }, act) {
    try {
      await this.#shell.client.request('POST', `/tasks/${encodeURIComponent(id)}/${act}`, { body: {} });
    } catch (error) {
      this.#shell.toast(`${title ?? type}: ${error.message}`, { kind: 'bad' });
    }
    return this.#repeated.refresh();
  }
}

/** The bar stays the same element. */
function progress(cell, { percent, step, steps, message, state }) {
  const text = [steps ? `${step ?? 0} of ${steps}` : '', message ?? ''].filter(Boolean).join(': ');
  fillOnce(cell, `${percent === undefined || state === 'queued'}`, () => (percent === undefined || state === 'queued' ? h('span') : [h('progress.bar', { max: 100 }), h('span.quiet-text')]));
  const [bar, label = bar] = cell.children;
  if (bar.localName === 'progress') {
    bar.value = percent;
    bar.setAttribute('aria-label', `${percent} %`);
  }
  if (label.textContent !== text) label.textContent = text;
}

function typesTable() {
  const count = (name, label) => ({ label, className: 'numeric', text: (item) => asNumber(item[name]) });
  return new KeyedTable({
    label: 'Tasks by type',
    key: ({ type }) => type,
    columns: [{ label: 'Type', className: 'mono', text: ({ type }) => type }, count('waiting', 'Waiting'), count('resting', 'Between attempts'), count('running', 'Running'), count('failedLastHour', 'Failed in an hour')],
  });
}
