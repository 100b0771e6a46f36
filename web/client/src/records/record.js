// One record and its events.
import { same } from '../same.js';

const ACTIONS = new Set(['created', 'updated', 'archived', 'restored', 'deleted']);
const TIME = /^\d{4}-\d\d-\d\dt[\d:.]+z$/;

/**
 * @typedef {{id: string, version: number, [field: string]: any}} StoredRecord
 */

/** Whether an event changes a record. @param {any} event */
export const isChange = ({ action, recordId, version }) => ACTIONS.has(action) && recordId !== undefined && version !== undefined;

/**
 * The record after an event: null if it was deleted, undefined if something was missed.
 * @param {StoredRecord} record
 * @param {any} event
 * @returns {StoredRecord | null | undefined}
 */
export function advance(record, event) {
  if (event.action === 'deleted') return event.version < record.version ? record : null;
  if (event.version < record.version) return record;
  if (event.version === record.version) {
    // Known already, or a second change that did not raise the version.
    const next = { ...record, ...event.changes };
    return same(next, record) ? record : next;
  }
  if (event.truncated) return undefined;
  if (event.data?.id === record.id) return event.data;
  if (event.version > record.version + 1 || !event.changes) return undefined;
  return { ...record, ...event.changes, version: event.version };
}

/**
 * The value that a list is sorted by, as the service compares it.
 * @param {any} value
 */
function keyOf(value) {
  if (typeof value !== 'string') return value ?? null;
  const text = value.toLowerCase();
  // A time with more digits is later: without the `z`, texts compare like times.
  return TIME.test(text) ? text.slice(0, -1) : text;
}

/**
 * Compares as `sort` says: records without a value come last in both directions, and equal ones in the order of their ids.
 * @param {string} sort
 * @returns {(a: StoredRecord, b: StoredRecord) => number}
 */
export function comparator(sort) {
  const isDescending = sort.startsWith('-');
  const field = isDescending ? sort.slice(1) : sort;
  return (a, b) => {
    const [x, y] = [keyOf(a[field]), keyOf(b[field])];
    if (x === y) return a.id < b.id ? -1 : Number(a.id > b.id);
    if (x === null || y === null) return x === null ? 1 : -1;
    return x < y === isDescending ? 1 : -1;
  };
}

/**
 * @typedef {object} Filter
 * @property {string} [status]
 * @property {string} [q] words that a record must have
 * @property {string} [owner]
 * @property {string} [team]
 * @property {boolean | 'all'} [archived]
 */

/**
 * @param {StoredRecord} record
 * @param {Filter} filter
 * @param {((record: StoredRecord) => boolean) | null} hasWords of `q`
 */
export function fits(record, { status, q, owner, team, archived = false }, hasWords) {
  return (archived === 'all' || Boolean(record.archivedAt) === archived)
    && (status === undefined || record.status === status)
    && (owner === undefined || record.ownerId === owner)
    && (team === undefined || record.teamId === team)
    && (!q || !hasWords || hasWords(record));
}

/**
 * Whether a change of a record that is not in the list may bring it into the list.
 * @param {any} event
 * @param {Filter} filter
 */
export function mayEnter({ changes, truncated }, { status, q, owner, archived = false }) {
  if (truncated || !changes || q || 'teamId' in changes) return true;
  return (archived !== 'all' && 'archivedAt' in changes) || (status !== undefined && 'status' in changes)
    || (owner !== undefined && 'ownerId' in changes);
}
