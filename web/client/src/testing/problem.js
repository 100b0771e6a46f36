// Refusals of the fake service, in the form of the real one.

const TITLES = /** @type {Record<number, string>} */ ({
  400: 'Bad Request', 401: 'Unauthorized', 403: 'Forbidden', 404: 'Not Found', 405: 'Method Not Allowed', 409: 'Conflict', 410: 'Gone',
  423: 'Locked', 503: 'Service Unavailable',
});

export class Problem extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} detail
   * @param {Record<string, unknown>} [more]
   */
  constructor(status, code, detail, more = {}) {
    super(detail);
    this.status = status;
    this.body = { type: `urn:porchlight:problem:${code}`, title: TITLES[status] ?? 'Error', status, code, detail, ...more };
  }
}
