// Task cards at the bottom right, and the list of recent AI actions. A card is made once: its buttons stay while progress arrives.
import { tasks } from '../../client/src/feeds.js';
import { h, onceAFrame, setText } from '../elements/dom.js';
import { button, chip, empty, iconButton } from '../elements/elements.js';
import { asAgo, plural, words } from '../elements/format.js';
import { KeyedRows } from '../elements/keyed_rows.js';

const GONE_MS = 3_000;
const RENEW_MS = 30_000;
const MOST_CARDS = 4;
const RECENT = 20;
/** Where a card would cover what the user works with, it begins small. */
const NARROW = matchMedia('(max-width: 44rem)');
const ENDED = new Set(['completed', 'failed', 'cancelled']);
const STATES = { queued: 'Waiting', running: 'Working', cancelling: 'Cancelling', completed: 'Done', failed: 'Failed', cancelled: 'Cancelled' };
const TONES = { completed: 'good', failed: 'bad', cancelled: '', running: 'info', queued: 'info', cancelling: 'warn' };

export function followTasks(crm) {
  const list = tasks(crm.shell.client, { limit: RECENT });
  const place = document.body.appendChild(h('div.task-cards', { role: 'region', 'aria-label': 'Tasks', hidden: true }));
  const cards = new Map();
  /** What had ended before this page was opened has no card. */
  let isFirst = true;
  const seen = new Set();
  const drawRecent = recentActions(crm, list);
  const draw = onceAFrame(() => {
    const { status, tasks: all } = list.getSnapshot();
    if (status !== 'ready') return;
    for (const task of all.filter(({ parentId }) => !parentId)) {
      const isNew = !seen.has(task.id);
      seen.add(task.id);
      const isWanted = cards.has(task.id) || (isNew && !(isFirst && ENDED.has(task.state)) && cards.size < MOST_CARDS);
      if (!isWanted) continue;
      if (!cards.has(task.id)) add(task);
      cards.get(task.id).draw(task);
    }
    isFirst = false;
    drawRecent(all);
  });
  function add(task) {
    const card = new TaskCard(crm, list, task.id, () => {
      cards.delete(task.id);
      place.hidden = cards.size === 0;
    });
    cards.set(task.id, card);
    place.append(card.element);
    place.hidden = false;
  }
  list.subscribe(draw);
  // How long ago a task has ended.
  setInterval(draw, RENEW_MS);
  draw();
}

class TaskCard {
  #crm;
  #list;
  #id;
  #onGone;
  #p = {};
  #leaving = null;
  #reading = null;
  #isSmall = NARROW.matches;
  #state = '';

  constructor(crm, list, id, onGone) {
    this.#crm = crm;
    this.#list = list;
    this.#id = id;
    this.#onGone = onGone;
    const p = this.#p;
    p.name = h('strong');
    p.state = h('span.chip');
    p.bar = h('progress.bar', { max: 100 });
    p.message = h('span', { role: 'status' });
    p.step = h('span.numeric');
    p.partial = h('p.quiet-text', { hidden: true });
    p.output = h('pre.task-output', { tabIndex: 0, hidden: true, 'aria-label': 'Output' });
    p.cancel = button('Cancel', () => this.#act('cancel'), { kind: 'small' });
    p.retry = button('Retry', () => this.#act('retry'), { kind: 'small primary', hidden: true });
    p.rows = button('Show bad rows', () => this.#showRows(), { kind: 'small', hidden: true });
    p.read = button('Output', () => this.#toggleOutput(), { kind: 'small quiet', 'aria-expanded': 'false' });
    p.size = h('span');
    p.dismiss = button('Dismiss', () => this.#gone(), { kind: 'small quiet', hidden: true });
    this.element = h('section.task-card', { dataset: { task: id } }, h('div.task-head', {}, p.name, p.state, p.size), p.bar, h('div.task-line', {}, p.message, p.step), p.partial, p.output,
      h('div.task-acts', {}, p.cancel, p.retry, p.rows, p.read, p.dismiss));
  }

  draw(task) {
    const p = this.#p;
    this.task = task;
    const { state, percent, message, error, step, steps } = task;
    const hasEnded = ENDED.has(state);
    // Why it failed is said without being asked.
    if (hasEnded && state !== this.#state) this.#isSmall = false;
    this.#state = state;
    this.#drawSize();
    this.element.setAttribute('aria-label', nameOf(task));
    setText(p.name, nameOf(task));
    p.name.title = nameOf(task);
    setText(p.state, STATES[state]);
    p.state.className = `chip ${TONES[state]}`;
    if (state === 'completed') p.bar.value = 100;
    else if (percent === undefined) p.bar.removeAttribute('value');
    else p.bar.value = percent;
    p.bar.hidden = state === 'failed' || state === 'cancelled';
    p.bar.setAttribute('aria-label', `Progress of ${nameOf(task)}`);
    setText(p.message, error ? error.message : summaryOf(task) ?? message ?? (state === 'queued' ? 'Waiting for a worker' : ''));
    setText(p.step, steps ? `Step ${step ?? 0} of ${steps}` : percent === undefined || hasEnded ? '' : `${percent} %`);
    p.partial.hidden = !partialOf(task);
    setText(p.partial, partialOf(task) ?? '');
    p.cancel.hidden = hasEnded;
    p.cancel.disabled = state === 'cancelling';
    p.retry.hidden = !['failed', 'cancelled'].includes(state);
    p.rows.hidden = !badRows(task).length;
    p.dismiss.hidden = !hasEnded;
    if (state === 'completed' && !badRows(task).length) this.#leaveSoon();
  }

  #drawSize() {
    const isSmall = this.#isSmall;
    this.element.className = `task-card ${this.#state}${isSmall ? ' is-small' : ''}`;
    const { size } = this.#p;
    if (size.dataset.isSmall === String(isSmall)) return;
    size.dataset.isSmall = String(isSmall);
    const hadFocus = size.contains(document.activeElement);
    const toggle = iconButton(isSmall ? 'up' : 'down', isSmall ? 'Show more' : 'Show less', () => {
      this.#isSmall = !isSmall;
      this.#drawSize();
    }, { kind: 'quiet small', 'aria-expanded': String(!isSmall) });
    size.replaceChildren(toggle);
    if (hadFocus) toggle.focus();
  }

  #leaveSoon() {
    this.#leaving ??= setTimeout(() => this.#gone(), GONE_MS);
    for (const type of ['pointerenter', 'focusin']) {
      this.element.addEventListener(type, () => { clearTimeout(this.#leaving); }, { once: true });
    }
    this.element.addEventListener('pointerleave', () => { this.#leaving = setTimeout(() => this.#gone(), GONE_MS); }, { once: true });
  }

  #gone() {
    this.#reading?.abort();
    const hadFocus = this.element.contains(document.activeElement);
    this.element.remove();
    this.#onGone();
    if (hadFocus) document.querySelector('.task-card button, .records .rows')?.focus({ preventScroll: true });
  }

  /** A press is never lost: it is said at once, and sent until the service has it. */
  async #act(verb) {
    const { cancel, retry } = this.#p;
    const pressed = verb === 'cancel' ? cancel : retry;
    // A button that is disabled loses the focus.
    if (document.activeElement === pressed) this.#p.read.focus({ preventScroll: true });
    pressed.disabled = true;
    if (verb === 'cancel') setText(this.#p.state, STATES.cancelling);
    try {
      await this.#list[verb](this.#id);
      if (verb === 'retry') this.#gone();
    } catch (error) {
      this.#crm.shell.toast(`${verb === 'cancel' ? 'Not cancelled' : 'Not started again'}: ${error.message}`, { kind: 'bad', act: { label: 'Try again', run: () => this.#act(verb) } });
    }
    pressed.disabled = false;
  }

  /** The output as the worker writes it; read only while it is shown. */
  async #toggleOutput() {
    const { output, read } = this.#p;
    const isShown = output.hidden;
    output.hidden = !isShown;
    read.setAttribute('aria-expanded', String(isShown));
    this.#reading?.abort();
    if (!isShown) return;
    this.#reading = new AbortController();
    output.textContent = '';
    try {
      for await (const one of this.#list.follow(this.#id, { signal: this.#reading.signal })) {
        if (one.is === 'restart') output.textContent = '';
        if (one.is === 'output') output.append(one.text);
        output.scrollTop = output.scrollHeight;
      }
    } catch (error) {
      output.append(`\n${error.message}`);
    }
    if (!output.textContent) output.textContent = 'This task has written nothing.';
  }

  async #showRows() {
    const { showBadRows } = await import('./bad_rows.js');
    // A list of tasks is without results.
    const { body } = await this.#crm.shell.client.request('GET', `/tasks/${encodeURIComponent(this.#id)}`);
    showBadRows(body);
  }
}

const nameOf = ({ title, type }) => title ?? words(type);
const countsOf = ({ result, partial }) => result ?? partial ?? null;

export function badRows(task) {
  const counts = countsOf(task);
  return counts?.bad ? counts.errors ?? [{}] : [];
}

function summaryOf(task) {
  if (task.state !== 'completed') return null;
  const { result, message } = task;
  if (typeof result?.created !== 'number') return message ?? 'Done';
  return `${plural(result.created, 'record')} imported${result.bad ? `, ${plural(result.bad, 'row')} not` : ''}`;
}

function partialOf({ partial, state }) {
  if (!partial || state === 'completed') return null;
  if (typeof partial.created === 'number') return `${plural(partial.created, 'record')} so far${partial.bad ? `, ${plural(partial.bad, 'bad row')}` : ''}`;
  return typeof partial === 'string' ? partial : Object.entries(partial).slice(0, 3).map(([name, value]) => `${words(name)}: ${value}`).join(' · ');
}

const nothing = { key: 'nothing', make: () => h('li', {}, empty('No AI actions yet', 'Import a CSV file, and its progress is shown here.')) };

/** What was done lately, beside the list of records. */
function recentActions({ side, shell }, list) {
  const element = h('ul.task-rows');
  const rows = new KeyedRows(element);
  side.actions.replaceChildren(element);
  const retry = (id) => list.retry(id).catch(({ message }) => shell.toast(`Not started again: ${message}`, { kind: 'bad' }));
  return (all) => rows.set(all.length ? all.map((task) => ({ key: task.id, make: () => recent(() => retry(task.id)), update: (row) => updateRecent(row, task) })) : [nothing]);
}

function recent(retry) {
  return h('li', {}, h('strong'), chip(''), h('span.quiet-text'), button('Retry', retry, { kind: 'small' }));
}

function updateRecent({ children: [name, state, text, retry] }, task) {
  setText(name, nameOf(task));
  setText(state, STATES[task.state]);
  state.className = `chip ${TONES[task.state]}`;
  setText(text, `${task.error?.message ?? ''} ${asAgo(task.endedAt ?? task.createdAt)}`.trim());
  retry.hidden = !['failed', 'cancelled'].includes(task.state);
}
