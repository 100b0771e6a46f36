// What the tests with faults do, in Node.js and in pages: follow all events, and write every record several times.
import { connect } from '../src/index.js';

/** So many writes wait at most: people do not write faster than that. */
const WAITING = 50;

/** How long it took until something came, at most. */
class Gaps {
  #since = 0;
  longestMs = 0;

  begin() {
    if (!this.#since) this.#since = Date.now();
  }

  end() {
    if (this.#since) this.longestMs = Math.max(this.longestMs, Date.now() - this.#since);
    this.#since = 0;
  }
}

const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));

export async function followAndWrite({ url, token, type, records, events, writes, limitMs, onConnected }) {
  const errors = [];
  if (globalThis.addEventListener) globalThis.addEventListener('unhandledrejection', ({ reason }) => errors.push(`unhandled: ${reason}`));
  const client = connect({ url, token, mergeMs: 0, warnsBeforeUnload: false });
  const [disconnected, withoutEvent] = [new Gaps(), new Gaps()];
  const seen = [];
  let done = () => {};
  const all = new Promise((resolve) => { done = resolve; });
  client.on(type, ({ data }) => {
    seen.push(data.n);
    withoutEvent.end();
    if (seen.length >= events) done();
    else withoutEvent.begin();
  });
  // From its first position on, the stream has every event.
  const offConnection = client.connection.subscribe(() => {
    const { position, state } = client.connection.getSnapshot();
    if (position) onConnected();
    if (state === 'connected') disconnected.end();
    else disconnected.begin();
  });
  const list = client.records('escrows', { limit: 200 });
  const off = list.subscribe(() => {});
  const written = [];
  async function write() {
    for (let n = 0; n < writes; n += 1) {
      written.push(client.update('escrows', records[n % records.length], { purchasePrice: 1 + Math.floor(n / records.length) }, { isImmediate: true }).done);
      while (client.outbox.pending().length >= WAITING) await sleep(10);
      if (n % 10 === 9) await sleep(10);
    }
    return Promise.allSettled(written);
  }
  let timer;
  const late = new Promise((resolve) => { timer = setTimeout(resolve, limitMs, 'late'); });
  const outcome = await Promise.race([Promise.all([write(), all]), late]);
  clearTimeout(timer);
  if (outcome === 'late') errors.push(`after ${limitMs} ms: ${seen.length} events, ${JSON.stringify(client.outbox.pending())}, ${JSON.stringify(client.connection.getSnapshot())}`);
  else for (const { reason } of outcome[0]) if (reason) errors.push(`${reason.code}: ${reason.message}`);
  const isRight = () => records.every((id) => list.get(id)?.purchasePrice === writes / records.length);
  for (let n = 0; n < 100 && !isRight(); n += 1) await sleep(50);
  if (!isRight()) errors.push('the list has not followed');
  off();
  offConnection();
  await client.close();
  return { seen, errors, disconnectedMs: disconnected.longestMs, withoutEventMs: withoutEvent.longestMs };
}
