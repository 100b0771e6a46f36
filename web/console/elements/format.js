// Values as people read them. Making a formatter takes longer than a thousand uses: each is made once, when it is first used.
import { once } from './once.js';

const ACRONYMS = /\b(ai|mls|url)\b/g;
const DAY_MS = 86_400_000;
const money = once(() => new Intl.NumberFormat('en-US', { style: 'currency', currency: 'USD', maximumFractionDigits: 0 }));
const cents = once(() => new Intl.NumberFormat('en-US', { style: 'currency', currency: 'USD' }));
const numbers = once(() => new Intl.NumberFormat('en-US'));
const days = once(() => new Intl.DateTimeFormat('en-US', { month: 'short', day: 'numeric', year: 'numeric', timeZone: 'UTC' }));
const daysOfThisYear = once(() => new Intl.DateTimeFormat('en-US', { month: 'short', day: 'numeric', timeZone: 'UTC' }));
const thisYear = String(new Date().getFullYear());
const moments = once(() => new Intl.DateTimeFormat('en-US', { month: 'short', day: 'numeric', hour: 'numeric', minute: '2-digit' }));
const clock = once(() => new Intl.DateTimeFormat('en-US', { hour: 'numeric', minute: '2-digit', second: '2-digit' }));
const ago = once(() => new Intl.RelativeTimeFormat('en', { numeric: 'auto' }));

export const asNumber = (value) => numbers().format(value);
export const asMoney = (value) => (Number.isInteger(Number(value)) ? money : cents)().format(value);
export const asDay = (text) => (text.startsWith(thisYear) ? daysOfThisYear : days)().format(new Date(`${text.slice(0, 10)}T00:00:00Z`));
export const asMoment = (time) => moments().format(new Date(time));
export const asTime = (time) => clock().format(new Date(time));

/** "3 minutes ago" */
export function asAgo(time, now = Date.now()) {
  const seconds = Math.round((now - new Date(time).valueOf()) / 1_000);
  if (seconds < 5) return 'just now';
  if (seconds < 60) return ago().format(-seconds, 'second');
  if (seconds < 3_600) return ago().format(-Math.round(seconds / 60), 'minute');
  if (seconds * 1_000 < DAY_MS) return ago().format(-Math.round(seconds / 3_600), 'hour');
  return asDay(new Date(time).toISOString());
}

/** `purchasePrice` as "Purchase price", `mlsNumber` as "MLS number" */
export function words(name) {
  const text = name.replace(/[_-]+/g, ' ').replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase().replace(ACRONYMS, (acronym) => acronym.toUpperCase());
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export const plural = (count, one, many = `${one}s`) => `${numbers().format(count)} ${count === 1 ? one : many}`;
