// Words are searched in texts that people write.

const IDS = ['id', 'teamId', 'ownerId'];

/**
 * @param {{modules: any[]}} catalogue
 * @param {string} module
 * @returns {Set<string>}
 */
export function searchedFields({ modules }, module) {
  const fields = modules.find(({ name }) => name === module)?.fields ?? [];
  const searched = fields.filter((/** @type {any} */ { name, type, values, private: isPrivate }) =>
    (type === 'text' || type === 'texts') && !values && !isPrivate && !IDS.includes(name));
  return new Set(searched.map((/** @type {any} */ { name }) => name));
}
