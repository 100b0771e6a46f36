// Keeps the lists in the cache of React Query right: each event of the stream changes one row of one list.
import { api } from '../crm/api.js';

const TYPES = 'escrow:*,listing:*,client:*,appointment:*,lead:*';
const RETRY_MS = 3000;

/** What `startApp` needs. */
export function liveLists(queryClient) {
  const loads = new Set(); // for each load under way, the events that arrived since it began
  let start;
  const started = new Promise((resolve) => { start = resolve; });

  function apply(event) {
    for (const missed of loads) missed.push(event);
    queryClient.setQueryData([event.module], (rows) => rows && patch(rows, event));
  }

  async function load(module) {
    await started; // a list that is loaded after the stream has started lacks no event
    const missed = [];
    loads.add(missed);
    try {
      const rows = await api('GET', module);
      return missed.filter((event) => event.module === module).reduce(patch, rows);
    } finally {
      loads.delete(missed);
    }
  }

  function connect({ porchlight, token }, showState) {
    let stream, retry, position, hasFailed;
    const stop = () => (clearTimeout(retry), stream.close());
    open();
    return stop;

    function open() {
      const query = new URLSearchParams({ types: TYPES, named: false, access_token: token, ...(position && { since: position }) });
      stream = new EventSource(`${porchlight}/stream?${query}`); // reconnects with its last position by itself
      stream.onmessage = ({ data, lastEventId }) => {
        take(data ? JSON.parse(data) : {}); // a heartbeat has no data
        position = lastEventId || position;
      };
      stream.onerror = () => {
        showState('Connecting');
        hasFailed = true;
        start(); // the lists are of use without the stream
        // After an answer like 502 from a proxy, an EventSource stays closed.
        if (stream.readyState === EventSource.CLOSED) retry = setTimeout(open, RETRY_MS);
      };
    }

    function take(event) {
      if (event.type === 'stream:ready') {
        showState('Live');
        if (hasFailed && !position) queryClient.resetQueries(); // loaded before the stream has started
        start();
      } else if (event.type === 'stream:reset') {
        queryClient.resetQueries(); // away for longer than events are kept
      } else if (event.type === 'stream:closing' && event.reason === 'expired') {
        stop();
        showState('Sign in again');
      } else if (event.truncated) {
        queryClient.resetQueries({ queryKey: [event.module] }); // too large for an event
      } else if (event.recordId) {
        apply(event);
      }
    }
  }

  /** The user's own change is shown with the answer. Its event has the same version and the same values. */
  const saved = (module, action, row) => apply({ module, action, recordId: row.id, version: row.version, data: row });

  return { queryClient, connect, load, saved };
}

/** The rows after an event: `data` is a whole record, `changes` are the fields that have changed. */
function patch(rows, { action, recordId, version, data, changes }) {
  const known = rows.find((row) => row.id === recordId);
  if (action === 'deleted') return rows.filter((row) => row !== known);
  if (!known) return action === 'created' ? [...rows, data] : rows;
  return known.version > version ? rows : rows.map((row) => (row === known ? { ...row, ...data, ...changes } : row));
}
