// Times, durations and sizes as engineers read them. Making a formatter takes longer than a thousand uses: each is made once, when it is first used.
import { once } from './once.js';

const clock = once(() => new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' }));
const millis = once(() => new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3 }));
const days = once(() => new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3 }));
const compact = once(() => new Intl.NumberFormat('en-US', { notation: 'compact', maximumFractionDigits: 1 }));
const UNITS = [[86_400_000, 'd'], [3_600_000, 'h'], [60_000, 'min'], [1_000, 's']];
const SIZES = [[2 ** 30, 'GB'], [2 ** 20, 'MB'], [2 ** 10, 'KB']];

/** "14:03:07" */
export const asSeconds = (time) => clock().format(time);
/** "14:03:07.123" */
export const asClock = (time) => millis().format(time);
/** "3 Nov, 14:03:07.123" */
export const asDayAndClock = (time) => days().format(time);
/** "1.2K" */
export const asShort = (value) => compact().format(value);

/** "3 ms", "1.4 s", "2 h" */
export function asDuration(ms) {
  const unit = UNITS.find(([size]) => Math.abs(ms) >= size);
  if (!unit) return `${Math.abs(ms) < 10 && !Number.isInteger(ms) ? ms.toFixed(1) : Math.round(ms)} ms`;
  const value = ms / unit[0];
  return `${Math.abs(value) < 10 && unit[1] === 's' ? value.toFixed(1) : Math.round(value)} ${unit[1]}`;
}

/** "3.2 MB" */
export function asBytes(count) {
  const size = SIZES.find(([least]) => count >= least);
  return size ? `${(count / size[0]).toFixed(1)} ${size[1]}` : `${count} B`;
}
