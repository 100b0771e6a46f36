// What it means that the service, or something in between, has answered a request for a stream with something else.
import { retryAfterMs } from './error.js';

/**
 * Without a state, another attempt may succeed, after `leastMs` at the earliest.
 * @typedef {object} Refusal
 * @property {import('./connection_status.js').ConnectionState['state']} [state]
 * @property {string} reason
 * @property {string} [code]
 * @property {number} [leastMs]
 */

/**
 * @param {Response} response
 * @returns {Promise<Refusal>}
 */
export async function refusalOf(response) {
  const { status } = response;
  const isProblem = response.headers.get('Content-Type')?.includes('json');
  const code = isProblem ? (await response.json().catch(() => null))?.code : undefined;
  if (status === 204) return { state: 'offline', reason: 'stopped-by-service' };
  if (status === 403) return { state: 'error', reason: code ?? 'forbidden' };
  if (status === 401) return { state: 'needs-auth', reason: code ?? 'unauthorized' };
  return { reason: `status-${status}`, code, leastMs: retryAfterMs(response) };
}
