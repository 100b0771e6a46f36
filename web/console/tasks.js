// The card "Tasks": live progress, and the import of a CSV file.
import { ask, attempt } from './api.js';
import { button, element, find, onceAFrame, say } from './elements.js';
import { Jobs, viewOf } from './jobs.js';

const refuse = (text) => say('tasked', text, false);

export class Tasks {
  #jobs = new Jobs();
  #rows = new Map();
  #draw = onceAFrame(() => this.#drawNow());

  constructor() {
    find('import').addEventListener('submit', async (submit) => {
      submit.preventDefault();
      submit.submitter.disabled = true;
      await this.#import(new FormData(submit.target));
      submit.submitter.disabled = false;
    });
    this.forget();
  }

  forget() {
    this.#jobs = new Jobs();
    say('tasked');
    this.#draw();
  }

  /** A stream has opened, or was reset. */
  async begin() {
    const response = await attempt(ask('GET', '/tasks?limit=20'), refuse);
    if (!response) return;
    this.#jobs.answer((await response.json()).tasks, response.headers.get('Stream-Position'));
    this.#draw();
  }

  take(data, position) {
    if (data.type === 'stream:reset') this.begin();
    if (this.#jobs.take(data, position)) this.#draw();
  }

  /** Uploads a file, and creates a task that imports it. */
  async #import(form) {
    const [file, module] = [form.get('file'), find('records').elements.kind.value];
    if (!file.size) return refuse('Choose a CSV file first; it must not be empty.');
    const uploaded = await attempt(ask('POST', '/uploads', file, { type: 'text/csv' }), refuse);
    if (!uploaded) return undefined;
    const { id } = await uploaded.json();
    const task = { type: 'import_csv', title: `Import ${file.name} into ${module}`, params: { module, upload: id } };
    if (!(await attempt(ask('POST', '/tasks', task), refuse))) return undefined;
    find('import').reset();
    return say('tasked', `Importing ${file.name} into ${module}`);
  }

  async #act(id, verb) {
    if (await attempt(ask('POST', `/tasks/${encodeURIComponent(id)}/${verb}`, {}), refuse)) say('tasked');
  }

  #drawNow() {
    const views = this.#jobs.list().map(viewOf);
    const rows = views.map((view) => this.#row(view));
    find('jobs').replaceChildren(...rows);
    for (const id of this.#rows.keys()) if (!views.some((view) => view.id === id)) this.#rows.delete(id);
    find('no-jobs').textContent = views.length === 0 ? 'No tasks yet.' : '';
  }

  /** A row is reused while its task exists, so that its bar grows without a jump. */
  #row(view) {
    const row = this.#rows.get(view.id) ?? newRow(view.id);
    this.#rows.set(view.id, row);
    row.className = view.state;
    row.querySelector('strong').textContent = view.name;
    row.querySelector('.chip').textContent = view.state;
    row.querySelector('.words').textContent = view.words;
    const bar = row.querySelector('progress');
    if (view.percent === null) bar.removeAttribute('value');
    else bar.value = view.percent;
    bar.hidden = view.percent === null && view.state !== 'running';
    bar.ariaLabel = `Progress of ${view.name}`;
    const acts = [];
    if (view.isCancellable) acts.push(button('Cancel', () => this.#act(view.id, 'cancel')));
    if (view.isRetryable) acts.push(button('Retry', () => this.#act(view.id, 'retry')));
    row.querySelector('.row-acts').replaceChildren(...acts);
    return row;
  }
}

function newRow(id) {
  const row = element('li');
  row.dataset.task = id;
  const bar = element('progress');
  bar.max = 100;
  const head = element('div', 'head');
  head.append(element('strong'), element('span', 'chip'), element('span', 'row-acts'));
  row.append(head, bar, element('span', 'words hint'));
  return row;
}
