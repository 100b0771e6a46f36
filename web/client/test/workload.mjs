// What the tests with faults do, in Node.js and in a page: follow all events, and write every record several times.
import { connect } from '../src/index.js';

export async function followAndWrite({ url, token, type, records, events, writes, limitMs, onConnected }) {
  const errors = [];
  const onRejection = (event) => errors.push(String(event.reason ?? event));
  if (globalThis.addEventListener) globalThis.addEventListener('unhandledrejection', onRejection);
  const client = connect({ url, token, mergeMs: 0, warnsBeforeUnload: false });
  const seen = [];
  let done = () => {};
  const all = new Promise((resolve) => { done = resolve; });
  client.on(type, ({ data }) => {
    seen.push(data.n);
    if (seen.length >= events) done();
  });
  // From its first position on, the stream has every event.
  const offConnection = client.connection.subscribe(() => {
    if (client.connection.getSnapshot().position) onConnected();
  });
  const list = client.records('escrows', { limit: 200 });
  const off = list.subscribe(() => {});
  const written = [];
  for (let n = 0; n < writes; n += 1) {
    const id = records[n % records.length];
    written.push(client.update('escrows', id, { purchasePrice: 1 + Math.floor(n / records.length) }, { isImmediate: true }).done);
    if (n % 10 === 9) await new Promise((wake) => setTimeout(wake, 50));
  }
  let timer;
  const late = new Promise((resolve) => { timer = setTimeout(resolve, limitMs, 'late'); });
  const everything = Promise.all([Promise.allSettled(written), all]);
  const outcome = await Promise.race([everything, late]);
  clearTimeout(timer);
  if (outcome === 'late') errors.push(`after ${limitMs} ms: ${seen.length} events, ${JSON.stringify(client.outbox.pending())}, ${JSON.stringify(client.connection.getSnapshot())}`);
  else for (const { reason } of outcome[0]) if (reason) errors.push(`${reason.code}: ${reason.message}`);
  const wrong = records.filter((id) => list.get(id)?.purchasePrice !== writes / records.length);
  if (wrong.length) errors.push(`the list has not followed ${wrong}`);
  off();
  offConnection();
  await client.close();
  return { seen, errors };
}
