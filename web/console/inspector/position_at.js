// The position of a time. The service has positions, and each event has its time: a search by halves finds the first event at or after a time.

/** 2 to the power of this is more than any log has. */
const MOST_STEPS = 64;

const numberOf = (position) => BigInt(position.split('-')[0]);

/**
 * Where a stream must begin to have the events from this time on: null, if there is none since.
 * @param {import('../../client/src/request.js').SendRequest} request
 * @param {number} time milliseconds since 1970
 * @param {Record<string, string | undefined>} scope what the stream has: `scope`, `team`, `records`, `types`
 * @param {AbortSignal} [signal]
 */
export async function positionAt(request, time, scope, signal) {
  const next = async (after) => {
    const { body, headers } = await request('GET', '/events', { query: { ...scope, after, limit: 1 }, signal });
    return { event: body.events[0] ?? null, head: headers.get('Stream-Position') };
  };
  const { event: oldest, head } = await next('0');
  if (!oldest) return null;
  if (Date.parse(oldest.timestamp) >= time) return '0';
  const epoch = head.split('-')[1];
  // Everything up to `low` is too early, and everything after `high` is not.
  let [low, high] = [numberOf(oldest.position), numberOf(head)];
  for (let step = 0; step < MOST_STEPS && low < high; step += 1) {
    const middle = (low + high) / 2n;
    const { event } = await next(`${middle}-${epoch}`);
    if (!event || Date.parse(event.timestamp) >= time) high = middle;
    else low = numberOf(event.position);
  }
  return low >= numberOf(head) ? null : `${low}-${epoch}`;
}
