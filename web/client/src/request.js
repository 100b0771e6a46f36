// Requests to the service: each has a token, a limit of time, and typed errors.
import { errorOf, PorchlightError } from './error.js';

export const TIMEOUT_MS = 15_000;

/**
 * @typedef {object} RequestOptions
 * @property {unknown} [body] sent as JSON
 * @property {Record<string, string | number | undefined>} [headers]
 * @property {Record<string, string | number | boolean | undefined>} [query]
 * @property {number} [timeoutMs]
 * @property {boolean} [keepalive] the request outlives the page
 * @property {AbortSignal} [signal]
 * @property {(token: string | null) => void} [check] throws if nothing may be sent with this token
 */

/** @typedef {{status: number, headers: Headers, body: any}} Answer */
/** @typedef {(method: string, path: string, options?: RequestOptions) => Promise<Answer>} SendRequest */

/**
 * @param {string} base
 * @param {string} path
 * @param {Record<string, unknown>} [query]
 */
export function addressOf(base, path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
  const text = new URLSearchParams(/** @type {[string, any][]} */ (given)).toString();
  return `${base}${path}${text && (path.includes('?') ? '&' : '?') + text}`;
}

/** @param {string} name */
export const segment = (name) => encodeURIComponent(name);

/**
 * @param {import('./environment.js').Environment} env
 * @param {string} base
 * @param {import('./token.js').TokenSource} tokens
 * @returns {SendRequest}
 */
export function createRequest(env, base, tokens) {
  /** @type {SendRequest} */
  async function once(method, path, { body, headers = {}, query, timeoutMs = TIMEOUT_MS, keepalive, signal, check } = {}) {
    // What is no JSON is a mistake of the caller, and says nothing about the service.
    const text = JSON.stringify(body);
    const token = await tokens.get();
    check?.(token);
    const abort = new AbortController();
    let isLate = false;
    const timer = env.setTimeout(() => {
      isLate = true;
      abort.abort();
    }, timeoutMs);
    const stop = () => abort.abort();
    signal?.addEventListener('abort', stop);
    if (signal?.aborted) stop();
    try {
      const response = await env.fetch(addressOf(base, path, query), {
        method,
        headers: headersOf(token, headers, body),
        body: text,
        keepalive,
        signal: abort.signal,
        cache: 'no-store',
      });
      if (!response.ok) throw await errorOf(response);
      return { status: response.status, headers: response.headers, body: await bodyOf(response) };
    } catch (error) {
      if (error instanceof PorchlightError) throw error;
      if (isLate) throw new PorchlightError('timeout', `no answer within ${timeoutMs / 1_000} s`, { cause: error });
      if (signal?.aborted) throw new PorchlightError('aborted', 'the request was aborted', { cause: error });
      throw new PorchlightError('network', 'the service cannot be reached', { cause: error });
    } finally {
      env.clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
    }
  }

  return async (method, path, options) => {
    const before = tokens.current;
    try {
      return await once(method, path, options);
    } catch (error) {
      const isRefused = error instanceof PorchlightError && error.status === 401;
      if (!isRefused || !tokens.isCallback) throw error;
      // Another request may have brought a fresh token meanwhile.
      if (tokens.current === before || !before) tokens.reject();
      return await once(method, path, options);
    }
  };
}

/**
 * @param {string | null} token
 * @param {Record<string, string | number | undefined>} given
 * @param {unknown} body
 * @returns {Record<string, string>}
 */
function headersOf(token, given, body) {
  /** @type {Record<string, string>} */
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  for (const [name, value] of Object.entries(given)) if (value !== undefined) headers[name] = String(value);
  return headers;
}

/** @param {Response} response */
async function bodyOf(response) {
  const text = await response.text();
  if (!text) return null;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new PorchlightError('unreadable', 'the answer is no JSON', { cause: error });
  }
}
