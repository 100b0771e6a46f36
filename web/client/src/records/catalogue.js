// The modules and their fields, and what follows from them: in which texts words are searched.

/** @typedef {import('../request.js').SendRequest} SendRequest */
/** @typedef {import('./record.js').StoredRecord} StoredRecord */

const IDS = ['id', 'teamId', 'ownerId'];

/** What each client has asked for. @type {WeakMap<SendRequest, Promise<{modules: any[]}>>} */
const known = new WeakMap();

/**
 * As `GET /records` describes them; it is asked once.
 * @param {SendRequest} request
 */
export function catalogueOf(request) {
  let catalogue = known.get(request);
  if (!catalogue) {
    catalogue = request('GET', '/records').then(({ body }) => body);
    known.set(request, catalogue);
    catalogue.catch(() => known.delete(request));
  }
  return catalogue;
}

/**
 * Whether a record has all these words, in the texts that people write.
 * @param {SendRequest} request
 * @param {string} module
 * @param {string} q
 * @returns {Promise<(record: StoredRecord) => boolean>}
 */
export async function searcher(request, module, q) {
  return searcherOf(searchedFields(await catalogueOf(request), module), q);
}

/**
 * @param {string[]} fields
 * @param {string} q
 * @returns {(record: StoredRecord) => boolean}
 */
export function searcherOf(fields, q) {
  const words = q.toLowerCase().split(/\s+/);
  return (record) => {
    const texts = fields.flatMap((field) => record[field]).filter((value) => typeof value === 'string');
    const text = texts.join('\n').toLowerCase();
    return words.every((word) => text.includes(word));
  };
}

/**
 * @param {{modules: any[]}} catalogue
 * @param {string} module
 * @returns {string[]}
 */
function searchedFields({ modules }, module) {
  const fields = modules.find(({ name }) => name === module)?.fields ?? [];
  return fields.filter((/** @type {any} */ { name, type, values, private: isPrivate }) =>
    (type === 'text' || type === 'texts') && !values && !isPrivate && !IDS.includes(name))
    .map((/** @type {any} */ { name }) => name);
}
