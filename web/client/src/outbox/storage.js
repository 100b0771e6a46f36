// Where writes wait: one row each in IndexedDB, or memory where there is none.

/** A tab that is frozen may block the database for all others. */
const OPEN_MS = 3_000;
const TABLE = 'writes';

/** @typedef {import('../records/pending.js').Write} Write */

/**
 * @typedef {object} WriteStorage
 * @property {'indexeddb' | 'memory'} kind
 * @property {() => Promise<Write[]>} all
 * @property {(write: Write) => Promise<void>} put
 * @property {(id: string) => Promise<void>} remove
 * @property {() => void} close
 */

/** @returns {WriteStorage} */
export function memoryStorage() {
  return { kind: 'memory', all: async () => [], put: async () => {}, remove: async () => {}, close() {} };
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
const answered = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

/**
 * @param {import('../environment.js').Environment} env
 * @param {string} name
 * @param {() => void} onLost the database was closed or deleted under it
 * @returns {Promise<WriteStorage>} memory, if the database cannot be opened
 */
export async function openStorage(env, name, onLost) {
  if (!env.indexedDB) return memoryStorage();
  /** @type {any} */
  let timer;
  try {
    const opening = open(env.indexedDB, name);
    const late = new Promise((_, reject) => {
      timer = env.setTimeout(() => reject(new Error('the database is blocked')), OPEN_MS);
    });
    // A database that opens too late is closed again.
    let isLate = false;
    opening.then((database) => isLate && database.close(), () => {});
    const database = await Promise.race([opening, late]).catch((error) => {
      isLate = true;
      throw error;
    });
    return overDatabase(/** @type {IDBDatabase} */ (database), onLost);
  } catch {
    return memoryStorage();
  } finally {
    env.clearTimeout(timer);
  }
}

/**
 * @param {IDBFactory} factory
 * @param {string} name
 * @returns {Promise<IDBDatabase>}
 */
function open(factory, name) {
  const request = factory.open(name, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(TABLE, { keyPath: 'id' });
  return answered(request);
}

/**
 * @param {IDBDatabase} database
 * @param {() => void} onLost
 * @returns {WriteStorage}
 */
function overDatabase(database, onLost) {
  database.onclose = onLost;
  database.onversionchange = () => {
    database.close();
    onLost();
  };
  /** @param {(table: IDBObjectStore) => void} change @returns {Promise<void>} */
  const change = (change) => new Promise((resolve, reject) => {
    const transaction = database.transaction(TABLE, 'readwrite', { durability: 'strict' });
    transaction.oncomplete = () => resolve();
    transaction.onerror = () => reject(transaction.error);
    transaction.onabort = () => reject(transaction.error);
    change(transaction.objectStore(TABLE));
    transaction.commit?.();
  });
  return {
    kind: 'indexeddb',
    all: () => answered(database.transaction(TABLE, 'readonly').objectStore(TABLE).getAll()),
    put: (write) => change((table) => table.put(write)),
    remove: (id) => change((table) => table.delete(id)),
    close() {
      database.onclose = null;
      database.close();
    },
  };
}
