// What an event does to the data of a query.
import { advance, comparator, fits, mayEnter } from '../records/record.js';
import { same } from '../same.js';
import { endOf, inserted, pagesOf, replaced, sorted, withPages } from './pages.js';

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
 * A list in the cache. Its filter is null if the key does not tell it.
 * @typedef {object} List
 * @property {any} data
 * @property {import('./pages.js').Page[]} pages
 * @property {Record<string, any> | null} filter
 * @property {(a: StoredRecord, b: StoredRecord) => number} order
 * @property {boolean} hasMore whether records follow that are not loaded
 * @property {(record: StoredRecord) => boolean} isLoaded whether the place of a record is in what is loaded
 */

/**
 * @param {readonly unknown[]} key
 * @param {any} data
 * @param {any} event
 * @param {StoredRecord} [edge] the last record when the last page was loaded: the next page begins after its place
 * @returns {Patched}
 */
export function patch(key, data, event, edge = endOf(data).last) {
  if (data === undefined || data === null) return { data };
  const pages = pagesOf(data);
  if (!pages) return data.id === event.recordId ? patchOne(data, event) : { data };
  const known = pages.flat().find(({ id }) => id === event.recordId);
  const filter = filterOf(key);
  const order = comparator(filter?.sort ?? USUAL_SORT);
  const hasMore = endOf(data).next !== null;
  // What comes after the last record of the last page belongs to a page that is not loaded.
  const isLoaded = (/** @type {StoredRecord} */ record) => !hasMore || !edge || order(record, edge) <= 0;
  const list = { data, pages, filter, order, hasMore, isLoaded };
  return known ? patchKnown(list, known, event) : patchNew(list, event);
}

/**
 * The record after an event. Records without a version take what comes.
 * @param {StoredRecord} record
 * @param {any} event
 */
function after(record, event) {
  if (record.version !== undefined && event.version !== undefined) {
    // It was asked for because of a change that did not raise the version.
    if (event.action === 'fetched' && event.version === record.version) return same(event.data, record) ? record : event.data;
    // A record that changes its team may have left what this user may see.
    return event.changes && 'teamId' in event.changes && event.version >= record.version ? undefined : advance(record, event);
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
 * @param {List} list
 * @param {StoredRecord} known
 * @param {any} event
 * @returns {Patched}
 */
function patchKnown({ data, pages, filter, order, isLoaded }, known, event) {
  const next = after(known, event);
  if (next === known) return { data };
  if (next === undefined) return { data, needs: 'ask' };
  const stays = next && (!filter || fits(next, filter, null)) && (!filter?.sort || isLoaded(next)) ? next : null;
  const put = replaced(pages, known.id, stays);
  return { data: withPages(data, stays && filter?.sort ? sorted(put, order) : put) };
}

/**
 * @param {List} list
 * @param {any} event
 * @returns {Patched}
 */
function patchNew(list, event) {
  const { data, pages, filter, order, isLoaded } = list;
  const isNew = event.action === 'created';
  if (event.action === 'deleted') return { data };
  // Nobody but the service knows which records this list has.
  if (!filter) return { data, ...(isNew && { needs: 'refetch' }) };
  const isWhole = event.data?.id === event.recordId;
  if (!isWhole) return { data, ...((isNew || mayCome(list, filter, event)) && { needs: 'ask' }) };
  if (!fits(event.data, filter, null) || !isLoaded(event.data)) return { data };
  return { data: withPages(data, inserted(pages, event.data, order)) };
}

/**
 * Whether a change may bring a record into what is loaded: by the filter, or by another place in the order.
 * @param {List} list
 * @param {Record<string, any>} filter
 * @param {any} event
 */
function mayCome({ hasMore, isLoaded }, filter, event) {
  const field = (filter.sort ?? USUAL_SORT).replace('-', '');
  const moves = hasMore && event.changes && field in event.changes;
  if (moves) return isLoaded({ id: event.recordId, version: 0, [field]: event.changes[field] });
  return mayEnter(event, filter);
}
