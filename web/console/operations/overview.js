// The first part: charts, instances, and what was refused.
import { h } from '../elements/dom.js';
import { chip } from '../elements/elements.js';
import { asNumber, words } from '../elements/format.js';
import { asBytes, asDuration } from '../elements/units.js';
import { Chart } from './chart.js';
import { Facts } from './facts.js';
import { CHARTS, databaseFacts } from './figures.js';
import { Histogram } from './histogram.js';
import { fillOnce, KeyedTable } from './keyed_table.js';

/** What the width of a chart stands for at least, and at most. */
const LEAST_SPAN_MS = 60_000;
const MOST_SPAN_MS = 600_000;

const of = (get) => (item) => (item.answered ? get(item) : '–');
const share = ({ open, most, waiting }) => `${asNumber(open)} of ${asNumber(most)}${waiting ? `, ${asNumber(waiting)} wait` : ''}`;

export class OverviewPart {
  #feed;
  #charts;
  #instances;
  #histogram = new Histogram('Latency of the last minute');
  #database = new Facts('Database');
  #closed = new Facts('Streams that the service ended');
  #refused = new Facts('Refused requests');

  constructor(shell, { feed }) {
    this.#feed = feed;
    const point = (at) => this.#charts.forEach((chart) => chart.showAt(at));
    this.#charts = CHARTS.map((rules) => new Chart({ ...rules, point }));
    this.#instances = instancesTable();
    this.element = h('div.overview', {},
      h('section', { 'aria-label': 'Instances' }, h('h2', {}, 'Instances'), this.#instances.element),
      h('section', { 'aria-label': 'Charts' }, h('h2', {}, 'Now, and up to ten minutes back'), h('div.charts', {}, this.#charts.map(({ element }) => element))),
      h('section', { 'aria-label': 'Totals' }, h('h2', {}, 'Since the instances started'), h('div.fact-cards', {}, this.#histogram.element, this.#database.element, this.#closed.element, this.#refused.element)));
  }

  refresh() {
    const { overview, samples } = this.#feed.store.getSnapshot();
    if (!overview) return;
    const known = samples.at(-1).at - samples[0].at;
    const span = Math.min(MOST_SPAN_MS, Math.max(LEAST_SPAN_MS, known));
    for (const chart of this.#charts) chart.set(samples, span);
    this.#instances.set(overview.instances);
    this.#histogram.set(overview.latency.buckets);
    this.#database.set(databaseFacts(overview));
    this.#closed.set(counts(overview.streams.closed, 'None yet'));
    this.#refused.set(counts(overview.refusals.byCode, 'None yet'));
  }
}

function counts(byName, none) {
  const pairs = Object.entries(byName).sort(([, a], [, b]) => b - a).map(([name, count]) => [words(name), asNumber(count)]);
  return pairs.length ? pairs : [[none, '']];
}

function instancesTable() {
  return new KeyedTable({
    label: 'Instances',
    key: ({ instance }) => instance,
    columns: [
      { label: 'Instance', fill: (cell, { instance, isThis }) => fillOnce(cell, `${instance}${isThis}`, () => [h('span.mono', {}, instance), isThis ? h('span.quiet-text', {}, ' answers this page') : null]) },
      { label: 'State', fill: (cell, { answered }) => fillOnce(cell, String(answered), () => (answered ? chip('Answers', 'good') : chip('Does not answer', 'bad'))) },
      { label: 'Version', text: of(({ version }) => version) },
      { label: 'Up for', text: of(({ startedAt }) => asDuration(Date.now() - Date.parse(startedAt))) },
      { label: 'Streams', text: of(({ streams, mostStreams }) => `${asNumber(streams)} of ${asNumber(mostStreams)}`) },
      { label: 'Memory', text: of(({ memory }) => (memory.residentBytes === null ? 'not known' : asBytes(memory.residentBytes))) },
      { label: 'Lag', text: of(({ follower }) => `${asDuration(follower.lagMs)}${follower.behindEvents ? `, ${asNumber(follower.behindEvents)} events behind` : ''}`) },
      { label: 'Last read', text: of(({ follower }) => `${asDuration(follower.readSecondsAgo * 1_000)} ago`) },
      { label: 'Connections to the database', text: of(({ pool }) => share(pool)) },
    ],
  });
}
