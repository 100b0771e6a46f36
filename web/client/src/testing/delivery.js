// How an answer of the fake service reaches the client, faults included.

/** @typedef {import('./faults.js').Fault} Fault */

function aborted() {
  return Object.assign(new Error('This operation was aborted'), { name: 'AbortError' });
}

/**
 * Waits for something that may be aborted.
 * @template T
 * @param {AbortSignal | undefined} signal
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
function unlessAborted(signal, promise) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const stop = () => reject(aborted());
    signal.addEventListener('abort', stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

/**
 * @param {import('./clock.js').FakeClock} clock
 * @param {Fault | null} fault
 * @param {AbortSignal | undefined} signal
 * @param {() => Promise<import('./service.js').FakeAnswer>} answer
 * @returns {Promise<Response>}
 */
export async function answerWith(clock, fault, signal, answer) {
  if (fault?.kind === 'delay') await unlessAborted(signal, new Promise((resolve) => { clock.setTimeout(() => resolve(undefined), fault.ms ?? 1_000); }));
  if (fault?.kind === 'silence' && fault.bytes === undefined) await unlessAborted(signal, new Promise(() => {}));
  if (fault?.kind === 'reset' && !fault.isLate) throw new TypeError('fetch failed');
  if (fault?.kind === 'status') {
    const status = fault.status ?? 502;
    const body = status === 204 ? null : '<html>a proxy</html>';
    return new Response(body, { status, headers: { 'Content-Type': 'text/html', ...fault.headers } });
  }
  const given = await unlessAborted(signal, answer());
  if (fault?.kind === 'reset') throw new TypeError('fetch failed');
  const { status, headers = {}, body, stream } = given;
  if (stream) return new Response(bodyOf(stream, fault, signal), { status, headers: { 'Content-Type': 'text/event-stream', ...headers } });
  if (status === 204) return new Response(null, { status, headers });
  const text = JSON.stringify(body);
  const whole = bodyOf((write, end) => {
    write(text);
    end();
    return () => {};
  }, fault, signal);
  return new Response(whole, { status, headers: { 'Content-Type': 'application/json', ...headers } });
}

/**
 * @param {NonNullable<import('./service.js').FakeAnswer['stream']>} produce
 * @param {Fault | null} fault
 * @param {AbortSignal | undefined} signal
 * @returns {ReadableStream<Uint8Array>}
 */
function bodyOf(produce, fault, signal) {
  const encoder = new TextEncoder();
  let left = (fault?.kind === 'cut' || fault?.kind === 'silence') && fault.bytes !== undefined ? fault.bytes : Infinity;
  let isOver = false;
  /** @type {() => void} */
  let stop = () => {};
  return new ReadableStream({
    start(controller) {
      /** @param {unknown} [error] */
      const finish = (error) => {
        if (isOver) return;
        isOver = true;
        signal?.removeEventListener('abort', abort);
        queueMicrotask(() => stop());
        if (error) controller.error(error);
        else controller.close();
      };
      const abort = () => finish(aborted());
      signal?.addEventListener('abort', abort);
      const write = (/** @type {string} */ text) => {
        if (isOver || left <= 0) return;
        const bytes = encoder.encode(text);
        controller.enqueue(bytes.subarray(0, Math.min(bytes.length, left)));
        left -= bytes.length;
        if (left <= 0 && fault?.kind === 'cut') finish(fault.reset ? new TypeError('terminated') : undefined);
      };
      stop = produce(write, () => {
        if (left > 0) finish();
      });
      if (isOver) stop();
    },
    cancel() {
      isOver = true;
      stop();
    },
  });
}
