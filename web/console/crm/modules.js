// How the dashboards show the records of each module. Modules without an entry are shown by what the catalogue says of their fields.
import { asDay, asMoment, asMoney, asNumber, words } from '../elements/format.js';

export const FIRST = 'escrows';

/** `name` is the heading of a record, `under` what stands below it, `columns` are fields with their labels. */
const LOOKS = {
  escrows: {
    name: ({ address }) => address, under: place,
    columns: [['purchasePrice', 'Price'], ['closeDate', 'Closes'], ['buyerName', 'Buyer']],
    first: ['address', 'city', 'purchasePrice', 'closeDate', 'buyerName', 'status'],
  },
  listings: {
    name: ({ address }) => address, under: place,
    columns: [['listPrice', 'Price'], ['squareFeet', 'Sq ft'], ['listedOn', 'Listed']],
    first: ['address', 'city', 'listPrice', 'bedrooms', 'status'],
  },
  clients: {
    name: ({ name }) => name, under: ({ email, phone }) => email ?? phone ?? '',
    columns: [['budgetMax', 'Budget up to'], ['kind', 'Kind'], ['phone', 'Phone']],
    first: ['name', 'email', 'phone', 'kind', 'budgetMax', 'status'],
  },
  appointments: {
    name: ({ title }) => title, under: ({ location }) => location ?? '',
    columns: [['startsAt', 'Starts'], ['kind', 'Kind'], ['endsAt', 'Ends']],
    first: ['title', 'startsAt', 'endsAt', 'location', 'kind', 'status'],
  },
  leads: {
    name: ({ name }) => name, under: ({ interest, source }) => interest ?? source ?? '',
    columns: [['budget', 'Budget'], ['score', 'Score'], ['followUpOn', 'Follow up']],
    first: ['name', 'email', 'phone', 'source', 'budget', 'status'],
  },
};

function place({ city, state }) {
  return [city, state].filter(Boolean).join(', ');
}

export function lookOf(module) {
  const known = LOOKS[module];
  return known ?? { name: ({ name, title, address, id }) => name ?? title ?? address ?? id, under: () => '', columns: [], first: [] };
}

export const MODULES = Object.keys(LOOKS);

/** The words for one record of a module: `escrow`. */
export const oneOf = (module) => module.replace(/s$/, '');

const TONES = {
  open: 'good', active: 'good', confirmed: 'good', qualified: 'good', scheduled: 'info', new: 'info', pending: 'warn', contingent: 'warn', contacted: 'warn',
  coming_soon: 'info', closed: 'violet', sold: 'violet', completed: 'violet', converted: 'violet', cancelled: 'bad', lost: 'bad', expired: 'bad', no_show: 'bad',
};

export const toneOf = (status) => TONES[status] ?? '';

const MONEY = /price|money|budget|amount|commission$/i;
const SHARE = /rate$|percent/i;
const TIME = /^\d{4}-\d\d-\d\dT/;
const DAY = /^\d{4}-\d\d-\d\d$/;
const MASKED = '[REDACTED]';

export const isMasked = (value) => value === MASKED;
export const isMoney = (name) => MONEY.test(name) && !SHARE.test(name);

/** A value as a person reads it: the name and the form say what it is. */
export function shown(name, value) {
  if (value === null || value === undefined || value === '') return '';
  if (isMasked(value)) return 'Private';
  if (Array.isArray(value)) return value.join(', ');
  if (typeof value === 'number') return isMoney(name) ? asMoney(value) : SHARE.test(name) ? `${asNumber(value)} %` : /year/i.test(name) ? String(value) : asNumber(value);
  if (typeof value !== 'string') return String(value);
  if (TIME.test(value)) return asMoment(value);
  if (DAY.test(value)) return asDay(value);
  return /^(status|kind)$/.test(name) ? words(value) : value;
}
