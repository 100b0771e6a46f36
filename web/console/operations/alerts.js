// Alerts that are firing, with what to do about them, and the rules.
import { h } from '../elements/dom.js';
import { chip, empty } from '../elements/elements.js';
import { asNumber, words } from '../elements/format.js';
import { asDuration } from '../elements/units.js';
import { fillOnce, KeyedTable } from './keyed_table.js';

const SPACED = new Set(['s', 'ms', 'min', 'MB', 'rows', 'requests', 'clients', '%']);

/** "5 s", "3/min" */
export const withUnit = (value, unit) => `${asNumber(value)}${SPACED.has(unit) ? ' ' : ''}${unit}`;

export class AlertsPart {
  #feed;
  #firing = h('ul.alerts');
  #shown = '';
  #since = new Map();
  #rules;

  constructor(shell, { feed }) {
    this.#feed = feed;
    this.#rules = new KeyedTable({
      label: 'Rules',
      key: ({ name }) => name,
      columns: [
        { label: 'Rule', fill: (cell, { name }) => fillOnce(cell, name, () => h('strong', {}, words(name))) },
        { label: 'State', fill: (cell, { isFiring, threshold }) => fillOnce(cell, `${isFiring} ${threshold === 0}`, () => stateOf(isFiring, threshold)) },
        { label: 'Fires at', className: 'numeric', text: ({ threshold, unit }) => (threshold === 0 ? '–' : withUnit(threshold, unit)) },
        { label: 'What it means', text: ({ text }) => text },
        { label: 'What to do', text: ({ action }) => action },
        { label: 'Setting', className: 'mono', text: ({ setting }) => setting },
      ],
    });
    this.element = h('div.part', {}, h('h2', {}, 'Firing'), this.#firing, h('h2', {}, 'Rules'), this.#rules.element);
    this.refresh();
  }

  refresh() {
    const { overview } = this.#feed.store.getSnapshot();
    if (!overview) return;
    const key = JSON.stringify(overview.alerts);
    if (key !== this.#shown) this.#draw(overview.alerts);
    this.#shown = key;
    for (const [element, since] of this.#since) element.textContent = `for ${asDuration(Date.now() - since)}`;
    this.#rules.set(overview.rules);
  }

  #draw(alerts) {
    this.#since.clear();
    this.#firing.replaceChildren(...(alerts.length ? alerts.map((alert) => this.#alert(alert)) : [h('li', {}, empty('Nothing is firing', 'The service looks at the rules below all the time.'))]));
  }

  #alert({ name, instance, since, value, threshold, unit, text, action, subjects }) {
    const age = h('span.quiet-text.numeric');
    this.#since.set(age, Date.parse(since));
    return h('li.alert.card', {},
      h('div.figure-head', {}, h('h3', {}, words(name)), chip('Firing', 'bad')),
      h('p', {}, text), h('p', {}, h('strong', {}, 'What to do: '), action),
      subjects.length ? h('p.mono', {}, subjects.join(', ')) : null,
      h('p.quiet-text.numeric', {}, `${withUnit(value, unit)} · fires at ${withUnit(threshold, unit)} · ${instance ?? 'the whole brokerage'} · `, age));
  }
}

function stateOf(isFiring, threshold) {
  if (threshold === 0) return chip('Switched off');
  return isFiring ? chip('Firing', 'bad') : chip('OK', 'good');
}
