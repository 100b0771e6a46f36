// A stream by the browser's EventSource, where `fetch` cannot stream or something in between holds its answers back.

/** Silence is noticed after 20 seconds, and only every second heartbeat can be seen here. */
const HEARTBEAT_SECONDS = 7;

/** @type {import('./fetch_stream.js').Transport} */
export function openEventSource(env, { addressOf, path, query, token, cursor }, on) {
  const { EventSource } = env;
  let isOpen = true;
  let last = cursor ?? '';
  const abort = new AbortController();
  /** @type {EventSource | undefined} */
  let opened;
  /** @param {import('./fetch_stream.js').Ending} ending */
  const end = (ending) => {
    if (!isOpen) return;
    isOpen = false;
    opened?.close();
    on.ended(ending);
  };
  if (!EventSource) {
    queueMicrotask(() => end({ reason: 'unsupported' }));
    return close;
  }
  const identified = { ...query, heartbeat: HEARTBEAT_SECONDS, since: cursor ?? undefined, named: 'false', access_token: token ?? undefined };
  const source = new EventSource(addressOf(path, identified));
  opened = source;
  source.onopen = () => on.opened();
  source.onmessage = ({ data, lastEventId }) => {
    if (!isOpen) return;
    on.alive();
    // The browser repeats the last id in messages without one.
    const id = lastEventId && lastEventId !== last ? lastEventId : null;
    last = id ?? last;
    on.messages([{ type: 'message', data, id }]);
  };
  source.onerror = () => {
    const hasGivenUp = source.readyState === 2;
    source.close();
    if (hasGivenUp) explain().then(end);
    else end({ reason: 'ended' });
  };

  /** An EventSource does not say why it gave up, so a request asks. */
  async function explain() {
    try {
      const headers = token ? { Authorization: `Bearer ${token}` } : undefined;
      const response = await env.fetch(addressOf('/events', { limit: 1 }), { headers, signal: abort.signal });
      if (!response.ok) return /** @type {const} */ ({ reason: 'refused', response });
    } catch {
      // The service cannot be reached.
    }
    return /** @type {const} */ ({ reason: 'network' });
  }

  function close() {
    isOpen = false;
    abort.abort();
    opened?.close();
  }
  return close;
}
