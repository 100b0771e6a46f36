// What may go wrong between a client and the service.

/**
 * `delay`: the answer comes `ms` later. `cut`: the body ends after `bytes` bytes, without an error, or with one if `reset` is set. `silence`: nothing comes
 * any more. `reset`: the connection fails, before the request arrives, or after it with `isLate`. `status`: something in between
 * answers with this status. `expired`: the service refuses the token.
 * @typedef {object} Fault
 * @property {'delay' | 'cut' | 'silence' | 'reset' | 'status' | 'expired'} kind
 * @property {string | RegExp} [path] only requests to it
 * @property {string} [method]
 * @property {number} [times] how often; once by default
 * @property {number} [ms]
 * @property {number} [bytes]
 * @property {number} [status] 502 by default
 * @property {Record<string, string>} [headers]
 * @property {boolean} [reset]
 * @property {boolean} [isLate] the request has arrived, its answer is lost
 */

export class Faults {
  /** @type {(Fault & {left: number})[]} */
  #waiting = [];

  /** @param {Fault[]} faults happen to the next requests that they fit */
  add(...faults) {
    for (const fault of faults) this.#waiting.push({ ...fault, left: fault.times ?? 1 });
  }

  clear() {
    this.#waiting = [];
  }

  /**
   * The fault of a request, if it has one.
   * @param {string} method
   * @param {string} path
   */
  take(method, path) {
    const fault = this.#waiting.find((one) => (!one.method || one.method === method)
      && (!one.path || (typeof one.path === 'string' ? path.startsWith(one.path) : one.path.test(path))));
    if (!fault) return null;
    fault.left -= 1;
    if (fault.left <= 0) this.#waiting = this.#waiting.filter((one) => one !== fault);
    return fault;
  }
}
