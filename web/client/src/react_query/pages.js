// The forms that lists have in a cache: an array of records, `{records, next}`, and the pages of an infinite query of either.

/** @typedef {import('../records/record.js').StoredRecord} StoredRecord */
/** @typedef {readonly StoredRecord[]} Page */

/**
 * The pages of a list; null for something else.
 * @param {any} data
 * @returns {Page[] | null}
 */
export function pagesOf(data) {
  const whole = Array.isArray(data?.pages) ? data.pages : [data];
  const pages = whole.map((/** @type {any} */ page) => (Array.isArray(page) ? page : page?.records));
  return pages.length && pages.every(Array.isArray) ? pages : null;
}

/**
 * The same list with other pages. Pages that are the same stay the same objects.
 * @param {any} data
 * @param {Page[]} pages
 */
export function withPages(data, pages) {
  const put = (/** @type {any} */ page, /** @type {Page} */ records) => {
    if (Array.isArray(page)) return records;
    return page.records === records ? page : { ...page, records };
  };
  if (!Array.isArray(data.pages)) return put(data, pages[0]);
  return { ...data, pages: data.pages.map((/** @type {any} */ page, /** @type {number} */ n) => put(page, pages[n])) };
}

/**
 * The end of what is loaded of a list: its last record, and the cursor of what follows, if something does.
 * @param {any} data
 * @returns {{last: StoredRecord | undefined, next: unknown}}
 */
export function endOf(data) {
  const page = Array.isArray(data?.pages) ? data.pages.at(-1) : data;
  return { last: pagesOf(data)?.flat().at(-1), next: page?.next || null };
}

/**
 * Replaces a record, or removes it.
 * @param {Page[]} pages
 * @param {string} id
 * @param {StoredRecord | null} record
 */
export function replaced(pages, id, record) {
  return pages.map((page) => {
    const at = page.findIndex((one) => one.id === id);
    if (at < 0) return page;
    return [...page.slice(0, at), ...(record ? [record] : []), ...page.slice(at + 1)];
  });
}

/**
 * Adds a record at its place.
 * @param {Page[]} pages
 * @param {StoredRecord} record
 * @param {(a: StoredRecord, b: StoredRecord) => number} compare
 */
export function inserted(pages, record, compare) {
  let isIn = false;
  return pages.map((page, n) => {
    if (isIn) return page;
    const at = page.findIndex((one) => compare(record, one) < 0);
    if (at < 0 && n < pages.length - 1) return page;
    isIn = true;
    const place = at < 0 ? page.length : at;
    return [...page.slice(0, place), record, ...page.slice(place)];
  });
}

/**
 * In order again, if a change has moved a record.
 * @param {Page[]} pages
 * @param {(a: StoredRecord, b: StoredRecord) => number} compare
 */
export function sorted(pages, compare) {
  const all = pages.flat();
  if (all.every((record, n) => n === 0 || compare(all[n - 1], record) <= 0)) return pages;
  all.sort(compare);
  let from = 0;
  return pages.map(({ length }) => all.slice(from, from += length));
}
