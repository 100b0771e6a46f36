// Records of the fake service.
import { searcherOf } from '../records/catalogue.js';
import { comparator, fits } from '../records/record.js';
import { same } from '../same.js';
import { Problem } from './problem.js';

/** @typedef {import('./service.js').FakeService} FakeService */
/** @typedef {import('./service.js').FakeRequest} FakeRequest */
/** @typedef {import('../records/record.js').StoredRecord} StoredRecord */

const MODULES = /** @type {Record<string, string>} */ ({ escrows: 'escrow', listings: 'listing', clients: 'client', appointments: 'appointment', leads: 'lead' });
const SEARCHED = ['address', 'city', 'notes'];
const READ_ONLY = new Set(['id', 'version', 'createdAt', 'updatedAt', 'archivedAt']);

/** @typedef {{record: StoredRecord, fieldVersions: Record<string, number>}} Row */

/** @param {FakeService} service @param {string} module @returns {Map<string, Row>} */
function tableOf(service, module) {
  if (!MODULES[module]) throw new Problem(404, 'no_records', `Records of ${module} are not stored here.`, { field: 'module' });
  return service.part(`records:${module}`, () => new Map());
}

/** @param {FakeRequest} request @param {Row | undefined} row */
function visible({ caller }, row) {
  const isVisible = row && (row.record.teamId === null || caller.teams.includes(row.record.teamId));
  if (!row || !isVisible) throw new Problem(404, 'unknown_record', 'There is no such record.', { field: 'recordId' });
  return row;
}

/** @param {string} code @param {string} field @param {string} reason */
const badField = (code, field, reason) => new Problem(400, code, `${field} ${reason}.`, { field, errors: [{ code, field, reason }] });

/** @param {StoredRecord} record */
const audienceOf = (record) => (record.teamId === null ? { broker: /** @type {const} */ (true) } : { team: record.teamId });

/** @param {number} status @param {StoredRecord} record */
const answer = (status, record) => ({ status, headers: { ETag: `"${record.version}"` }, body: record });

/**
 * @param {FakeService} service
 * @param {string} module
 * @param {string} action
 * @param {StoredRecord} record
 * @param {string} userId
 * @param {Record<string, unknown>} content
 */
function tell(service, module, action, record, userId, content) {
  service.publish(audienceOf(record), { type: `${MODULES[module]}:${action}`, module, action, recordId: record.id, version: record.version, userId, ...content });
}

/**
 * An answer to a request whose key was used before is the same again.
 * @param {FakeService} service
 * @param {FakeRequest} request
 * @param {() => import('./service.js').FakeAnswer} run
 */
function once(service, { headers, caller, path, method, body }, run) {
  const key = headers.get('Idempotency-Key');
  if (!key || !service.hasIdempotency) return run();
  const answers = service.part('keys', () => /** @type {Map<string, {asked: string, answer: import('./service.js').FakeAnswer}>} */ (new Map()));
  const verb = path.split('/')[4] ?? '';
  const name = [caller.userId, method, verb, key].join(' ');
  const asked = JSON.stringify([path, body]);
  const before = answers.get(name);
  if (before && before.asked !== asked) throw new Problem(409, 'idempotency_key_reused', 'The key was used with another body.', { field: 'Idempotency-Key' });
  if (before) return { ...before.answer, headers: { ...before.answer.headers, 'Idempotency-Replayed': 'true' } };
  const answer = run();
  answers.set(name, { asked, answer });
  return answer;
}

/** @param {FakeService} service @param {FakeRequest} request */
function checkLock(service, { caller, headers, parts: [module, id] }) {
  const locks = service.part('locks', () => new Map());
  const lock = locks.get(`${module}/${id}`);
  const fence = headers.get('Lock-Fence');
  if (fence !== null && Number(fence) !== lock?.fence) throw new Problem(423, 'fence_lost', 'The lock is no longer held with that fence.', { field: 'Lock-Fence', ...(lock && { lock }) });
  if (lock && fence === null && lock.holder.userId !== caller.userId) throw new Problem(423, 'locked', `${lock.holder.userId} holds the lock.`, { lock });
}

/** @param {FakeRequest} request @param {Row} row */
function checkVersion({ headers, query, body = {} }, { record, fieldVersions }) {
  const asked = headers.get('If-Match');
  if (!asked || asked === `"${record.version}"`) return;
  const version = Number(asked.replace(/"/g, ''));
  const fields = Object.keys(body).filter((field) => (fieldVersions[field] ?? 0) > version);
  if (query.get('merge') === 'fields' && !fields.length && version < record.version) return;
  throw new Problem(409, 'stale', `The record has version ${record.version} by now.`, { field: 'If-Match', version, record, fields });
}

/**
 * @param {FakeService} service
 * @param {FakeRequest} request
 */
function list(service, { parts: [module], query, caller }) {
  const { q, status, owner, team, archived = 'false', sort = '-createdAt', limit = '50', cursor = '' } = Object.fromEntries(query);
  const filter = { q, status, owner, team, archived: /** @type {boolean | 'all'} */ (archived === 'all' ? 'all' : archived === 'true') };
  const all = [...tableOf(service, module).values()].map(({ record }) => record);
  const hasWords = q ? searcherOf(SEARCHED, q) : null;
  const found = all.filter((record) => (record.teamId === null || caller.teams.includes(record.teamId)) && fits(record, filter, hasWords)).sort(comparator(sort));
  const after = cursor ? JSON.parse(cursor) : null;
  const rest = after ? found.filter((record) => comparator(sort)(record, after) > 0) : found;
  const records = rest.slice(0, Number(limit));
  const field = sort.replace('-', '');
  const last = records.at(-1);
  const next = last && rest.length > records.length ? JSON.stringify({ id: last.id, [field]: last[field] }) : null;
  return { status: 200, headers: { 'Stream-Position': service.log.position }, body: { records, next } };
}

/**
 * @param {FakeService} service
 * @param {FakeRequest} request
 */
function create(service, request) {
  const { parts: [module], body: { id = globalThis.crypto.randomUUID(), ...fields }, caller } = request;
  const table = tableOf(service, module);
  return once(service, request, () => {
    if (table.has(id)) throw new Problem(409, 'id_taken', 'The id cannot be used.', { field: 'id' });
    const time = new Date(service.clock.now()).toISOString();
    /** @type {StoredRecord} */
    const record = { teamId: caller.teams[0] ?? null, ownerId: caller.userId, ...fields, id, version: 1, createdAt: time, updatedAt: time, archivedAt: null };
    table.set(id, { record, fieldVersions: {} });
    tell(service, module, 'created', record, caller.userId, { data: record });
    return { ...answer(201, record), headers: { Location: `/records/${module}/${id}`, ETag: '"1"' } };
  });
}

/**
 * @param {FakeService} service
 * @param {FakeRequest} request
 */
function patch(service, request) {
  const { parts: [module, id], body, caller } = request;
  return once(service, request, () => {
    const row = visible(request, tableOf(service, module).get(id));
    const wrong = Object.keys(body).find((field) => READ_ONLY.has(field));
    if (wrong) throw badField('read_only_field', wrong, 'cannot be written');
    if (row.record.archivedAt) throw new Problem(409, 'archived', 'Restore it first.');
    if (body.purchasePrice < 0) throw badField('invalid_field', 'purchasePrice', 'must be 0 or more');
    checkLock(service, request);
    checkVersion(request, row);
    const changed = Object.entries(body).filter(([field, value]) => !same(row.record[field] ?? null, value));
    if (changed.length) change(service, module, row, 'updated', Object.fromEntries(changed), caller.userId);
    return answer(200, row.record);
  });
}

/**
 * @param {FakeService} service
 * @param {string} module
 * @param {Row} row
 * @param {string} action
 * @param {Record<string, any>} changes
 * @param {string} userId
 */
function change(service, module, row, action, changes, userId) {
  const version = row.record.version + 1;
  const all = { ...changes, updatedAt: new Date(service.clock.now()).toISOString() };
  row.record = { ...row.record, ...all, version };
  for (const field of Object.keys(changes)) row.fieldVersions[field] = version;
  tell(service, module, action, row.record, userId, { changes: { ...all, version } });
}

/**
 * @param {FakeService} service
 * @param {FakeRequest} request
 * @param {boolean} isAway
 */
function move(service, request, isAway) {
  const { parts: [module, id], caller } = request;
  return once(service, request, () => {
    const row = visible(request, tableOf(service, module).get(id));
    checkLock(service, request);
    checkVersion(request, row);
    const time = isAway ? new Date(service.clock.now()).toISOString() : null;
    if (Boolean(row.record.archivedAt) !== isAway) change(service, module, row, isAway ? 'archived' : 'restored', { archivedAt: time }, caller.userId);
    return answer(200, row.record);
  });
}

/**
 * @param {FakeService} service
 * @param {FakeRequest} request
 */
function remove(service, request) {
  const { parts: [module, id], caller } = request;
  return once(service, request, () => {
    const table = tableOf(service, module);
    const row = visible(request, table.get(id));
    checkLock(service, request);
    checkVersion(request, row);
    table.delete(id);
    tell(service, module, 'deleted', row.record, caller.userId, {});
    return { status: 204, headers: { ETag: `"${row.record.version}"` } };
  });
}

/** @type {import('./service.js').Route[]} */
export const recordRoutes = [
  ['GET', /^\/records$/, () => ({ status: 200, body: { modules: Object.entries(MODULES).map(([name, singular]) => ({ name, singular, label: 'address', fields: FIELDS })) } })],
  ['GET', /^\/records\/([^/]+)$/, list],
  ['POST', /^\/records\/([^/]+)$/, create],
  ['GET', /^\/records\/([^/]+)\/([^/]+)$/, (service, request) => {
    const { record } = visible(request, tableOf(service, request.parts[0]).get(request.parts[1]));
    return { ...answer(200, record), headers: { ETag: `"${record.version}"`, 'Stream-Position': service.log.position } };
  }],
  ['PATCH', /^\/records\/([^/]+)\/([^/]+)$/, patch],
  ['DELETE', /^\/records\/([^/]+)\/([^/]+)$/, remove],
  ['POST', /^\/records\/([^/]+)\/([^/]+)\/archive$/, (service, request) => move(service, request, true)],
  ['POST', /^\/records\/([^/]+)\/([^/]+)\/restore$/, (service, request) => move(service, request, false)],
];

const FIELDS = ['address', 'city', 'status', 'notes', 'purchasePrice'].map((name) => ({
  name, type: name === 'purchasePrice' ? 'number' : 'text', writer: 'anybody', required: name === 'address', private: false,
  ...(name === 'status' && { values: ['open', 'pending', 'contingent', 'closed', 'cancelled'] }),
}));
