// What the charts show of `GET /admin/overview`.
import { asNumber } from '../elements/format.js';
import { asBytes, asDuration, asShort } from '../elements/units.js';

const rate = (value) => (value < 10 ? value.toFixed(1) : asShort(value));
const answered = ({ instances }) => instances.filter(({ answered: has }) => has);
const sum = (values) => values.reduce((total, value) => total + (value ?? 0), 0);
const worst = (values) => values.reduce((most, value) => (value === null || value === undefined || value <= most ? most : value), 0);
const MEGABYTE = 2 ** 20;

/** @type {Omit<import('./chart.js').ChartRules, 'point'>[]} */
export const CHARTS = [
  {
    title: 'Streams', format: asShort, least: 4,
    series: [{ label: 'open', of: ({ streams }) => streams.open }, { label: 'users', of: ({ streams }) => streams.users }],
  },
  {
    title: 'Events a second', format: rate, least: 1,
    series: [{ label: 'in', of: ({ events }) => events.in.perSecond }, { label: 'out', of: ({ events }) => events.out.perSecond }],
  },
  {
    title: 'Latency', hint: 'From the commit of an event to its write to a stream, of the last minute.', format: asDuration, least: 5,
    series: [{ label: 'median', of: ({ latency }) => latency.p50Ms }, { label: '90 %', of: ({ latency }) => latency.p90Ms }, { label: '99 %', of: ({ latency }) => latency.p99Ms }],
  },
  {
    title: 'Replayed events a second', hint: 'Streams got them from the table, because they were no longer in memory.', format: rate, least: 1,
    series: [{ label: 'replayed', of: ({ replays }) => replays.perSecond }],
  },
  {
    title: 'Resets and refusals a minute', format: asShort, least: 4,
    series: [{ label: 'resets', of: ({ resets }) => resets.lastMinute }, { label: 'refusals', of: ({ refusals }) => refusals.lastMinute }],
  },
  {
    title: 'Memory', format: asBytes, least: 16 * MEGABYTE, unit: MEGABYTE,
    series: [
      { label: 'all instances', of: (overview) => sum(answered(overview).map(({ memory }) => memory.residentBytes)) || null },
      { label: 'recent events', of: (overview) => sum(answered(overview).map(({ memory }) => memory.frameBytes)) },
    ],
  },
  {
    title: 'Follower lag', hint: 'The slowest instance: from the commit of an event until it is in memory.', format: asDuration, least: 5,
    series: [{ label: 'slowest', of: (overview) => worst(answered(overview).map(({ follower }) => follower.lagMs)) }],
  },
  {
    title: 'Database', hint: 'The time of a request to it.', format: asDuration, least: 2,
    series: [{ label: 'round trip', of: ({ database }) => database.roundTripMs }],
  },
  {
    title: 'Database connections', format: asShort, least: 10,
    series: [{ label: 'open', of: ({ database }) => database.connections }, { label: 'requests that wait', of: (overview) => sum(answered(overview).map(({ pool }) => pool.waiting)) }],
  },
  {
    title: 'Tasks and relay', format: asShort, least: 4,
    series: [{ label: 'tasks waiting', of: ({ tasks }) => tasks?.waiting }, { label: 'tasks running', of: ({ tasks }) => tasks?.running }, { label: 'changes waiting', of: ({ relay }) => relay?.waiting }],
  },
];

/** Pairs of a name and a value, for what is no chart. */
export function databaseFacts({ database }) {
  if (!database.reachable) return [['State', 'It does not answer']];
  return [['State', 'It answers'], ['Version', database.version], ['Size', asBytes(database.bytes)], ['Connections', `${asNumber(database.connections)} of ${asNumber(database.mostConnections)}`]];
}
