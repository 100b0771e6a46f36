// A row of the list: made once, and then filled with one event after the other.
import { h, setText } from '../elements/dom.js';
import { asClock, asDuration } from '../elements/units.js';
import { KINDS } from './kinds.js';
import { summaryOf } from './summary.js';

/** A replayed event is older than this; its delay says nothing about the line. */
export const LIVE_MS = 10_000;
const SLOW_MS = 1_000;
/** More of an event is in the panel beside the list. */
const MOST_CHARACTERS = 300;

export const ROW_PX = { wide: 28, narrow: 52 };

export const makeEventRow = () => h('div.event-row', {},
  h('span.at.numeric'), h('span.position.numeric'), h('span.type'), h('span.about'), h('span.summary'), h('span.delay.numeric'));

/** @param {HTMLElement} row @param {import('./event_store.js').StoredEvent} event */
export function fillEventRow(row, { type, data, position, kind, receivedAt, committedAt }) {
  const [at, where, what, about, summary, delay] = row.children;
  const delayMs = committedAt === null ? null : receivedAt - committedAt;
  row.dataset.kind = KINDS[kind].name;
  setText(at, asClock(committedAt ?? receivedAt));
  setText(where, position ? position.split('-')[0] : '–');
  setText(what, type);
  setText(about, data.recordId ? `${data.module}/${data.recordId}` : data.userId ?? '');
  setText(summary, summaryOf(data).slice(0, MOST_CHARACTERS));
  setText(delay, delayMs === null ? '' : asDuration(delayMs));
  delay.className = `delay numeric${delayMs > LIVE_MS ? ' is-replayed' : delayMs > SLOW_MS ? ' is-slow' : ''}`;
}
