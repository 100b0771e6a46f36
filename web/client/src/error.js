// Refusals of the service, and requests without an answer.

/**
 * Why a request failed. `code` is stable: the service's own code, or `timeout`, `network`, `aborted`,
 * `unreadable`, `token` (the token callback has failed).
 */
export class PorchlightError extends Error {
  name = 'PorchlightError';

  /**
   * @param {string} code
   * @param {string} message
   * @param {{status?: number, problem?: any, retryAfterMs?: number, cause?: unknown}} [more]
   */
  constructor(code, message, more = {}) {
    super(message, { cause: more.cause });
    this.code = code;
    /** The HTTP status; 0 without an answer. */
    this.status = more.status ?? 0;
    /** @type {any} The whole problem document, if there was one. */
    this.problem = more.problem ?? null;
    /** @type {string | null} The field at fault. */
    this.field = more.problem?.field ?? null;
    /** @type {number | null} */
    this.retryAfterMs = more.retryAfterMs ?? null;
  }

  /** Whether the same request may succeed later. */
  get isTemporary() {
    const { status } = this;
    if (status === 0) return this.code !== 'aborted';
    // What is no problem document comes from something in between, and says nothing about the request.
    return status === 408 || status === 429 || status >= 500 || (!this.problem && status !== 401);
  }
}

/**
 * @param {Response} response
 * @returns {number | undefined}
 */
export function retryAfterMs(response) {
  const value = response.headers.get('Retry-After');
  return value && /^\d+$/.test(value) ? Number(value) * 1_000 : undefined;
}

/** What a text says as JSON; null if it is none. @param {string} text */
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * The error of an answer that is no success.
 * @param {Response} response
 */
export async function errorOf(response) {
  // An answer that breaks off is no answer: this throws then.
  const text = await response.text();
  // A proxy answers with HTML.
  const problem = parsed(text);
  const { status } = response;
  const message = problem?.detail ?? problem?.title ?? `the service answered with status ${status}`;
  return new PorchlightError(problem?.code ?? `status_${status}`, message, { status, problem, retryAfterMs: retryAfterMs(response) });
}
