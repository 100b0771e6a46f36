// Which stream is looked at: its scope, its types, and where it begins. The choice is in the address, so that it can be passed on.
import { h, setText } from '../elements/dom.js';
import { button, field, select } from '../elements/elements.js';
import { positionAt } from './position_at.js';

const SCOPES = [
  { value: 'all', label: 'Everything I may see' },
  { value: 'user', label: 'Only for me' },
  { value: 'team', label: 'A team' },
  { value: 'broker', label: 'The whole brokerage' },
  { value: 'record', label: 'One record' },
  { value: 'worker', label: 'Workers' },
];
const STARTS = [
  { value: 'last', label: 'the last events' },
  { value: 'now', label: 'now' },
  { value: 'all', label: 'the oldest event' },
  { value: 'position', label: 'a position' },
  { value: 'time', label: 'a time' },
];
const LAST = 100;
const MOST_LAST = 10_000;
const POSITION = /^\d{1,19}(-[A-Za-z0-9]{1,16})?$/;
const RECORD = /^[^/\s]+\/[^/\s]+$/;

/** The values of the form as they are in the address. */
function fromAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const read = (name, otherwise) => given.get(name) ?? otherwise;
  return { scope: read('scope', 'all'), team: read('team', ''), record: read('record', ''), types: read('types', ''), from: read('from', 'last'), start: read('start', String(LAST)) };
}

export class ChoiceForm {
  #shell;
  #open;
  #inputs;
  #error = h('p.field-error', { role: 'alert' });
  #said = h('span');
  #startField;
  #search = null;

  /**
   * @param {import('../shell/shell.js').Shell} shell
   * @param {(choice: import('./inspected_stream.js').StreamChoice) => void} open
   * @param {HTMLElement} state shown beside the choice
   */
  constructor(shell, open, state) {
    this.#shell = shell;
    this.#open = open;
    const given = fromAddress();
    const teams = shell.session.teams.map((team) => ({ value: team, label: team }));
    this.#inputs = {
      scope: select(SCOPES, { value: given.scope }),
      team: select([{ value: '', label: 'All of my teams' }, ...teams], { value: given.team }),
      record: h('input.input.mono', { value: given.record, placeholder: 'escrows/e-1', spellcheck: false, autocomplete: 'off' }),
      types: h('input.input.mono', { value: given.types, placeholder: 'all, or escrow:*, ai:*', spellcheck: false, autocomplete: 'off' }),
      from: select(STARTS, { value: given.from }),
      start: h('input.input.mono', { value: given.start, spellcheck: false, autocomplete: 'off' }),
    };
    this.element = this.#make(state);
    this.#show();
    addEventListener('hashchange', () => this.set(fromAddress()));
  }

  #make(state) {
    const { scope, team, record, types, from, start } = this.#inputs;
    this.#startField = field('Start', start);
    const fields = [field('Stream', scope), field('Team', team), field('Record', record), field('Types', types), field('From', from), this.#startField];
    const form = h('form.choice-fields', { noValidate: true }, fields, button('Open', null, { kind: 'primary', type: 'submit' }), this.#error);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.submit();
    });
    for (const input of [scope, from]) input.addEventListener('change', () => this.#show());
    from.addEventListener('change', () => { start.value = from.value === 'last' ? String(LAST) : ''; });
    const isWide = matchMedia('(min-width: 60rem)').matches;
    return h('details.choice', { open: isWide }, h('summary', {}, state, this.#said), form);
  }

  /** Only the fields that matter for this choice. */
  #show() {
    const { scope, team, record, from, start } = this.#inputs;
    team.parentElement.hidden = scope.value !== 'team';
    record.parentElement.hidden = scope.value !== 'record';
    this.#startField.hidden = ['now', 'all'].includes(from.value);
    start.type = from.value === 'time' ? 'datetime-local' : 'text';
    if (from.value === 'time') start.step = '1';
    start.inputMode = from.value === 'last' ? 'numeric' : 'text';
    setText(this.#startField.firstChild, { last: 'How many', position: 'Position', time: 'Time' }[from.value] ?? 'Start');
  }

  /** Changes some values, and opens the stream. */
  set(values) {
    for (const [name, value] of Object.entries(values)) this.#inputs[name].value = value;
    this.#show();
    // A field that was of another type has dropped the value.
    if (values.start !== undefined) this.#inputs.start.value = values.start;
    return this.submit();
  }

  async submit() {
    const values = Object.fromEntries(Object.entries(this.#inputs).map(([name, { value }]) => [name, value.trim()]));
    this.#search?.abort();
    this.#search = new AbortController();
    setText(this.#error, '');
    try {
      const choice = await this.#choice(values, this.#search.signal);
      this.#remember(values);
      this.#open(choice);
    } catch (error) {
      if (error.code !== 'aborted') setText(this.#error, error.message);
      this.element.open = true;
    }
  }

  async #choice({ scope, team, record, types: listed, from, start }, signal) {
    const types = listed.split(/[\s,]+/).filter(Boolean);
    if (scope === 'record' && !RECORD.test(record)) throw new Error('Write the record as module/id, like escrows/e-1.');
    const choice = { scope, team, record, types, since: null };
    if (from === 'all') choice.since = '0';
    if (from === 'last') {
      if (!(Number(start) >= 1 && Number(start) <= MOST_LAST)) throw new Error(`Write a number of events from 1 to ${MOST_LAST}.`);
      choice.since = `-${Math.floor(Number(start))}`;
    }
    if (from === 'position') {
      if (!POSITION.test(start)) throw new Error('Write a position, like 1042 or 1042-k7q2mw.');
      choice.since = start;
    }
    if (from === 'time') choice.since = await this.#sinceTime(choice, start, signal);
    return choice;
  }

  async #sinceTime({ scope, team, record, types }, start, signal) {
    const time = Date.parse(start);
    if (Number.isNaN(time)) throw new Error('Choose a day and a time.');
    const isRecord = scope === 'record';
    const query = { scope: isRecord ? undefined : scope, records: isRecord ? record : undefined, team: (scope === 'team' && team) || undefined, types: types.join(',') || undefined };
    return positionAt(this.#shell.client.request, time, query, signal);
  }

  #remember(values) {
    const kept = { scope: values.scope, ...(values.scope === 'team' && { team: values.team }), ...(values.scope === 'record' && { record: values.record }), ...(values.types && { types: values.types }) };
    if (values.from !== 'last' || values.start !== String(LAST)) Object.assign(kept, { from: values.from, start: values.start });
    history.replaceState(null, '', `#${new URLSearchParams(kept)}`);
    const scope = SCOPES.find(({ value }) => value === values.scope).label;
    const what = { team: values.team || 'All of my teams', record: values.record }[values.scope] ?? scope;
    const from = STARTS.find(({ value }) => value === values.from).label;
    const start = { last: `the last ${values.start} events`, position: `position ${values.start}`, time: values.start.replace('T', ' ') }[values.from] ?? from;
    setText(this.#said, `${what} · ${values.types || 'all types'} · from ${start}`);
  }
}
