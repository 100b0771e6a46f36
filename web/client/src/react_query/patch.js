// What an event does to the data of a query.
import { advance, comparator, fits, mayEnter } from '../records/record.js';
import { hasMore, inserted, pagesOf, replaced, sorted, withPages } from './pages.js';

/** @typedef {import('../records/record.js').StoredRecord} StoredRecord */

/**
 * `ask`: the record must be fetched. `refetch`: only the service knows what the query is now.
 * @typedef {{data: any, needs?: 'ask' | 'refetch'}} Patched
 */

/** What a key says of a list by itself, beside the filter: these are known. */
const FILTERS = new Set(['status', 'owner', 'team', 'archived', 'sort', 'limit']);

/** The order in which the service sends a list without `sort`. */
const USUAL_SORT = '-createdAt';

/**
 * The filter of a list by its key: `['escrows']`, or `['escrows', {status: 'open', sort: '-closeDate'}]`. Null if the key says something else.
 * @param {readonly unknown[]} key
 * @returns {Record<string, any> | null}
 */
export function filterOf(key) {
  const [, filter = {}] = key;
  const isKnown = key.length <= 2 && typeof filter === 'object' && filter !== null && Object.keys(filter).every((name) => FILTERS.has(name));
  return isKnown ? /** @type {Record<string, any>} */ (filter) : null;
}

/**
 * @param {readonly unknown[]} key
 * @param {any} data
 * @param {any} event
 * @returns {Patched}
 */
export function patch(key, data, event) {
  if (data === undefined || data === null) return { data };
  const pages = pagesOf(data);
  if (!pages) return data.id === event.recordId ? patchOne(data, event) : { data };
  const known = pages.flat().find(({ id }) => id === event.recordId);
  return known ? patchKnown(key, data, known, event) : patchNew(key, data, event);
}

/**
 * The record after an event. Records without a version take what comes.
 * @param {StoredRecord} record
 * @param {any} event
 */
function after(record, event) {
  if (record.version !== undefined && event.version !== undefined) {
    // A record that changes its team may have left what this user may see.
    return event.changes && 'teamId' in event.changes && event.version > record.version ? undefined : advance(record, event);
  }
  if (event.action === 'deleted') return null;
  if (event.truncated) return undefined;
  return event.data || event.changes ? { ...record, ...event.data, ...event.changes } : record;
}

/**
 * @param {StoredRecord} record
 * @param {any} event
 * @returns {Patched}
 */
function patchOne(record, event) {
  const next = after(record, event);
  if (next === undefined) return { data: record, needs: 'ask' };
  return next === null ? { data: record, needs: 'refetch' } : { data: next };
}

/**
 * @param {readonly unknown[]} key
 * @param {any} data
 * @param {StoredRecord} known
 * @param {any} event
 * @returns {Patched}
 */
function patchKnown(key, data, known, event) {
  const filter = filterOf(key);
  const next = after(known, event);
  if (next === known) return { data };
  if (next === undefined) return { data, needs: 'ask' };
  const stays = next && (!filter || fits(next, filter, null)) ? next : null;
  let pages = replaced(pagesOf(data) ?? [], known.id, stays);
  if (stays && filter?.sort) pages = sorted(pages, comparator(filter.sort));
  return { data: withPages(data, pages) };
}

/**
 * @param {readonly unknown[]} key
 * @param {any} data
 * @param {any} event
 * @returns {Patched}
 */
function patchNew(key, data, event) {
  const filter = filterOf(key);
  const isNew = event.action === 'created';
  if (event.action === 'deleted') return { data };
  // Nobody but the service knows which records this list has.
  if (!filter) return { data, ...(isNew && { needs: 'refetch' }) };
  const isWhole = event.data?.id === event.recordId;
  if (!isWhole) return { data, ...((isNew || mayEnter(event, filter)) && { needs: 'ask' }) };
  if (!fits(event.data, filter, null)) return { data };
  const compare = comparator(filter.sort ?? USUAL_SORT);
  const pages = pagesOf(data) ?? [];
  const last = pages.flat().at(-1);
  // What comes after the last record of the last page belongs to a page that is not loaded.
  if (hasMore(data) && last && compare(event.data, last) > 0) return { data };
  return { data: withPages(data, inserted(pages, event.data, compare)) };
}
