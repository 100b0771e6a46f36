// The request of a write.

/** @typedef {import('../records/pending.js').Write} Write */

/**
 * @param {import('../request.js').SendRequest} request
 * @param {Write} write
 * @returns {Promise<import('../records/record.js').StoredRecord | null>}
 */
export async function sendWrite(request, { id, kind, module, recordId, changes, base, fence }) {
  const list = `/records/${encodeURIComponent(module)}`;
  const path = `${list}/${encodeURIComponent(recordId)}`;
  /** @type {Record<string, string | number | undefined>} */
  const headers = { 'Idempotency-Key': id, 'Lock-Fence': fence ?? undefined };
  if (kind === 'create') return (await request('POST', list, { body: { id: recordId, ...changes }, headers: { 'Idempotency-Key': id } })).body;
  if (kind === 'delete') return (await request('DELETE', path, { headers })).body;
  if (kind !== 'update') return (await request('POST', `${path}/${kind}`, { headers })).body;
  const ifMatch = base === null ? undefined : `"${base}"`;
  const query = base === null ? undefined : { merge: 'fields' };
  return (await request('PATCH', path, { body: changes, headers: { ...headers, 'If-Match': ifMatch }, query })).body;
}
