// Whether a rolling restart went as it must: it also finds runs that show nothing, because too little happened in them.
const MOST_WAIT_MS = 5_000;
const MOST_TIMES_QUIET = 3;
/** Of the planned events, so many must be published: less was a rest and not a load. */
const LEAST_PUBLISHED = 0.9;

const planned = ({ eventsPerSecond }, { publishingSeconds }) => Math.floor(eventsPerSecond * publishingSeconds * LEAST_PUBLISHED);

/** Statements, where Postgres counts them. A notice that a backend receives is a transaction, and all of these are added when the backend ends. */
const rateOf = ({ statements }) => (statements.mean > 0 ? 'statements' : 'transactions');

/** Each: what is wrong with a result under this plan, if it is. */
const CHECKS = [
  (result) => result.lost > 0 && `${result.lost} receipts were lost`,
  (result) => result.repeated > 0 && `${result.repeated} receipts were repeated`,
  (result) => result.outOfOrder > 0 && `${result.outOfOrder} receipts were out of order`,
  (result) => result.resets > 0 && `${result.resets} streams were reset`,
  (result) => result.longestWaitMs > MOST_WAIT_MS && `a client waited ${result.longestWaitMs} ms for its stream`,
  (result, plan) => result.published < Math.max(1, planned(plan, result)) && `only ${result.published} events were published in ${result.publishingSeconds} s`,
  (result) => result.acknowledged !== result.published && `${result.published - result.acknowledged} events were not acknowledged`,
  (result, plan) => result.owed < (result.acknowledged * Math.floor(plan.clients / plan.teams)) && 'teams had too few clients to notice a loss',
  (result) => (result.owed === 0 || result.received !== result.owed) && `${result.received} receipts came, and ${result.owed} were owed`,
  (result) => result.unmoved > 0 && `the streams of ${result.unmoved} clients never ended, so nothing was tried on them`,
  ({ quiet, restart }) => {
    const name = rateOf(quiet);
    const [before, most] = [quiet[name].mean, restart[name].most];
    return most > MOST_TIMES_QUIET * before && `Postgres had ${most} ${name}/s, and ${before} before the restart`;
  },
];

/** What is wrong, in sentences. None: nothing is. */
export function faults(result, plan) {
  return CHECKS.map((check) => check(result, plan)).filter(Boolean);
}
