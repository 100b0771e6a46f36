// The log as JSON, page after page, where nothing can stream. Presence and signals are not in it.

/** Less than the limit of silence. */
const WAIT_SECONDS = 15;
const PAGE = 1_000;

/** What the path of a stream may have in its query, and `/events` knows. */
const FILTERS = ['team', 'types', 'records'];

/**
 * What the stream at this path would carry, as parameters of `/events`.
 * @param {string} pathAndQuery
 * @param {Record<string, string | undefined>} query
 */
function wantedOf(pathAndQuery, query) {
  const [path, inPath] = pathAndQuery.split('?');
  const given = new URLSearchParams(inPath);
  const filters = FILTERS.map((name) => [name, query[name] ?? given.get(name) ?? undefined]);
  const record = path.match(/^\/stream\/records\/(.+)$/)?.[1];
  const scope = record ? { records: decodeURIComponent(record) } : { scope: path.match(/^\/stream\/(\w+)$/)?.[1] ?? 'all' };
  return { ...Object.fromEntries(filters), ...scope };
}

/** @type {import('./fetch_stream.js').Transport} */
export function openLongPoll(env, { addressOf, path, query, token, cursor }, on) {
  const abort = new AbortController();
  let isOpen = true;
  // `/events` does not count from the end.
  let after = cursor?.startsWith('-') ? null : cursor;
  /** @param {import('./fetch_stream.js').Ending} ending */
  const end = (ending) => {
    if (!isOpen) return;
    isOpen = false;
    on.ended(ending);
  };

  /** @param {number} wait */
  function ask(wait) {
    // Without a cursor, one event is enough to learn where the log ends.
    const page = after ? { after, wait, limit: PAGE } : { limit: 1 };
    const headers = token ? { Authorization: `Bearer ${token}` } : undefined;
    const address = addressOf('/events', { ...wantedOf(path, query), ...page });
    return env.fetch(address, { headers, cache: 'no-store', signal: abort.signal });
  }

  /**
   * @param {string} type
   * @param {any} data
   */
  const say = (type, data) => on.messages([{ type, data: JSON.stringify({ type, ...data }), id: data.position ?? null }]);

  async function run() {
    for (let round = 0; isOpen; round += 1) {
      const response = await ask(round === 0 ? 0 : WAIT_SECONDS);
      if (!isOpen) return;
      on.opened();
      const body = response.status === 200 || response.status === 410 ? await response.json() : null;
      if (!isOpen) return;
      if (!body) return end({ reason: 'refused', response });
      on.alive();
      if (round === 0) say('stream:ready', { position: after ?? response.headers.get('Stream-Position') });
      if (response.status === 410) {
        say('stream:reset', { reason: body.code.replace('cursor_', ''), position: body.position, snapshot: '/events' });
        after = body.position;
      } else if (after) {
        const messages = body.events.map(toMessage);
        if (messages.length) on.messages(messages);
        after = body.next ?? after;
      } else {
        after = response.headers.get('Stream-Position');
      }
    }
  }

  run().catch(() => end({ reason: 'network' }));
  return () => {
    isOpen = false;
    abort.abort();
  };
}

/**
 * @param {any} event
 * @returns {import('../sse_parser.js').Message}
 */
function toMessage({ position, ...data }) {
  return { type: data.type, data: JSON.stringify(data), id: position };
}
