// Waiting for events, instead of being called with them.

/**
 * What has arrived for a reader since it began to wait.
 * @typedef {object} Inbox
 * @property {any[]} events
 * @property {boolean} isOver nobody reads any more
 * @property {() => void} wake called after each change
 * @property {() => void} close
 */

/** @typedef {typeof import('./error.js').PorchlightError} ErrorType */

/** @param {Inbox} inbox */
const changed = (inbox) => /** @type {Promise<void>} */ (new Promise((done) => {
  inbox.wake = done;
}));

/**
 * The next event.
 * @param {Inbox} inbox
 * @param {{signal?: AbortSignal, timeoutMs?: number}} options
 * @param {import('./environment.js').Environment} env
 * @param {ErrorType} Failure
 */
export async function first(inbox, { signal, timeoutMs }, env, Failure) {
  let isLate = false;
  const timer = timeoutMs === undefined ? null : env.setTimeout(() => {
    isLate = true;
    inbox.wake();
  }, timeoutMs);
  try {
    while (!inbox.events.length) {
      if (isLate) throw new Failure('timeout', `no such event within ${timeoutMs} ms`);
      if (signal?.aborted) throw new Failure('aborted', 'nobody waits for the event any more');
      await changed(inbox);
    }
    return inbox.events[0];
  } finally {
    env.clearTimeout(timer);
  }
}

/**
 * Events as they come, until the inbox is closed.
 * @param {Inbox} inbox
 * @param {number} most that may wait
 * @param {ErrorType} Failure
 * @returns {AsyncGenerator<any, void, void>}
 */
export async function* read(inbox, most, Failure) {
  for (;;) {
    if (inbox.events.length > most) throw new Failure('overflow', `${most} events were not read`);
    if (inbox.events.length) yield inbox.events.shift();
    else if (inbox.isOver) return;
    else await changed(inbox);
  }
}
