// The console: one stream seen as it comes, and a form to publish with.
// Everything that comes from outside is shown as text, never as HTML.

const MOST_ROWS = 500;
const MOST_NOTICES = 5;
const RATE_WINDOW_MS = 5_000;
const PATIENCE_IN_HEARTBEATS = 3;
const HEARTBEAT_SECONDS_USUAL = 15;
const BACKOFF_FIRST_MS = 500;
const BACKOFF_MOST_MS = 15_000;

const find = (id) => document.getElementById(id);

// ---- the feed: one stream, kept alive -------------------------------------------------------

/**
 * A stream that is opened again until it is stopped or refused. The browser reconnects by itself
 * after a broken line; it gives up on an error status, and does not notice a line that died
 * silently: those two are seen to here.
 *
 * `on.state(state, why)`: connecting, live, reconnecting, ended (the service ended it), idle.
 * `on.message(data, position)`: every message, the stream's own ones included.
 */
class Feed {
  #path;
  #query;
  #on;
  #source = null;
  #position = null;
  #failures = 0;
  #isStopped = false;
  #patienceMs = PATIENCE_IN_HEARTBEATS * HEARTBEAT_SECONDS_USUAL * 1000;
  #watchdog;
  #retry;

  constructor(path, query, on) {
    this.#path = path;
    this.#query = query;
    this.#on = on;
  }

  start() {
    this.#on.state('connecting');
    this.#open();
  }

  /** For good; with a reason if it was not the user's wish. */
  stop(why) {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#drop();
    this.#on.state(why ? 'ended' : 'idle', why);
  }

  #url() {
    const query = new URLSearchParams(this.#query);
    if (this.#position) query.set('since', this.#position);
    return `${this.#path}?${query}`;
  }

  #open() {
    this.#drop();
    const source = new EventSource(this.#url());
    this.#source = source;
    source.onmessage = (message) => this.#take(message);
    source.onerror = () => this.#lost(source.readyState);
    this.#watch();
  }

  #drop() {
    clearTimeout(this.#watchdog);
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#source = null;
  }

  #watch() {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#again('the line went silent'), this.#patienceMs);
  }

  #take(message) {
    this.#watch();
    if (message.lastEventId) this.#position = message.lastEventId;
    let data;
    try {
      data = JSON.parse(message.data);
    } catch {
      data = { type: '(not JSON)', text: message.data };
    }
    if (data.type === 'stream:ready') {
      this.#failures = 0;
      this.#patienceMs = PATIENCE_IN_HEARTBEATS * (data.heartbeatSeconds ?? HEARTBEAT_SECONDS_USUAL) * 1000;
      this.#watch();
      this.#on.state('live');
    }
    this.#on.message(data, this.#position);
    if (data.type === 'stream:closing' && ENDINGS[data.reason]) this.stop(ENDINGS[data.reason]);
  }

  #lost(readyState) {
    if (readyState !== EventSource.CLOSED) {
      this.#on.state('reconnecting');
      return;
    }
    this.#drop();
    this.#on.state('reconnecting');
    this.#refusal().then((why) => (why ? this.stop(why) : this.#again()));
  }

  /** An EventSource does not tell why it gave up: ask again. A sentence, if there is no point. */
  async #refusal() {
    const abort = new AbortController();
    try {
      const response = await fetch(this.#url(), { signal: abort.signal });
      const { status } = response;
      return status >= 400 && status < 500 && status !== 429 ? await problemOf(response) : null;
    } catch {
      return null;
    } finally {
      abort.abort();
    }
  }

  #again(why) {
    if (this.#isStopped) return;
    this.#drop();
    this.#on.state('reconnecting', why);
    const longest = Math.min(BACKOFF_MOST_MS, BACKOFF_FIRST_MS * 2 ** this.#failures);
    this.#failures += 1;
    this.#retry = setTimeout(() => this.#open(), longest * (0.5 + Math.random() / 2));
  }
}

/** Closings after which coming back would be pointless, or rude. */
const ENDINGS = {
  expired: 'the token has ended',
  revoked: 'the token was revoked',
  evicted: 'a newer stream of this user took the place',
};

const CLOSINGS = {
  ...ENDINGS,
  drain: 'the service is restarting',
  overloaded: 'the service is full',
  unavailable: 'the service cannot reach its database',
};

const RESETS = {
  expired: 'What came before is no longer kept',
  unknown: 'The position is of another log',
  ahead: 'The position is ahead of the log',
};

/** What a refusal says, in words. */
async function problemOf(response) {
  try {
    const problem = await response.json();
    return problem.detail ?? problem.title ?? `status ${response.status}`;
  } catch {
    return `the service answered with status ${response.status}`;
  }
}

// ---- what is shown --------------------------------------------------------------------------

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function timeElement(date) {
  const made = element('time', '', date.toLocaleTimeString([], { hour12: false }));
  made.dateTime = date.toISOString();
  return made;
}

const STATES = {
  idle: 'not connected',
  connecting: 'connecting …',
  live: 'live',
  reconnecting: 'reconnecting …',
  ended: 'ended',
};

function showState(state, why) {
  document.body.dataset.state = state;
  find('state').textContent = why ? `${STATES[state]}: ${why}` : STATES[state];
  find('connect').textContent = feed ? 'Disconnect' : 'Connect';
}

function notice(text, isBad = false) {
  const item = element('li', isBad ? 'bad' : '');
  item.append(element('span', '', text), timeElement(new Date()));
  const notices = find('notices');
  notices.prepend(item);
  while (notices.childElementCount > MOST_NOTICES) notices.lastElementChild.remove();
}

function recordOf(data) {
  return [data.module, data.recordId].filter(Boolean).join('/');
}

function eventRow({ data, position }) {
  const date = new Date(data.timestamp);
  const summary = element('summary');
  summary.append(
    element('span', 'type', data.type),
    element('span', 'record', recordOf(data)),
    element('span', 'at', position ?? ''),
    timeElement(Number.isNaN(date.valueOf()) ? new Date() : date),
  );
  const details = element('details');
  details.append(summary);
  details.addEventListener('toggle', () => details.append(element('pre', '', JSON.stringify(data, null, 2))), { once: true });
  const item = element('li');
  item.append(details);
  return item;
}

// Rows are drawn once a frame, so that a burst costs one layout.
let undrawn = [];
let isDrawing = false;
let arrivals = [];
let seen = 0;
let position = null;

function draw() {
  isDrawing = false;
  const rows = document.createDocumentFragment();
  for (const event of undrawn.reverse()) rows.append(eventRow(event));
  undrawn = [];
  const list = find('events');
  list.prepend(rows);
  while (list.childElementCount > MOST_ROWS) list.lastElementChild.remove();
  find('position').textContent = position ?? '–';
  find('seen').textContent = seen.toLocaleString();
}

function drawSoon() {
  if (!isDrawing) requestAnimationFrame(draw);
  isDrawing = true;
}

function showEvent(event) {
  seen += 1;
  arrivals.push(performance.now());
  undrawn.push(event);
  if (undrawn.length > MOST_ROWS) undrawn.shift();
}

function clear() {
  undrawn = [];
  seen = 0;
  find('events').replaceChildren();
  find('notices').replaceChildren();
  drawSoon();
}

function showRate() {
  const oldest = performance.now() - RATE_WINDOW_MS;
  arrivals = arrivals.filter((at) => at > oldest);
  const rate = arrivals.length / (RATE_WINDOW_MS / 1000);
  find('rate').textContent = rate.toLocaleString([], { maximumFractionDigits: 1 });
}

function showMessage(data, newPosition) {
  position = newPosition;
  drawSoon();
  switch (data.type) {
    case 'hb':
    case 'stream:ready':
      break;
    case 'stream:reset':
      notice(`${RESETS[data.reason] ?? `Reset: ${data.reason}`}: events may be missing above this line.`, true);
      break;
    case 'stream:expiring':
      notice(`The token ends in ${data.inSeconds} s.`);
      break;
    case 'stream:closing':
      notice(`The service closed the stream: ${CLOSINGS[data.reason] ?? data.reason}.`);
      break;
    default:
      showEvent({ data, position });
  }
}

// ---- the token ------------------------------------------------------------------------------

/** What a token says of its bearer, unverified: it is only shown. */
function claimsOf(token) {
  try {
    const payload = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(payload), (c) => c.charCodeAt(0))));
  } catch {
    return null;
  }
}

function showBearer() {
  const claims = claimsOf(find('token').value);
  if (!claims) {
    find('bearer').textContent = '';
    return;
  }
  const teams = [claims.teams ?? claims.team_id ?? claims.teamId ?? []].flat().join(', ');
  const until = claims.exp ? `until ${new Date(claims.exp * 1000).toLocaleString()}` : '';
  const parts = [claims.sub ?? claims.id, teams, claims.broker_id ?? claims.brokerId, claims.role, until];
  find('bearer').textContent = parts.filter(Boolean).join(' · ');
}

function keepToken() {
  sessionStorage.setItem('token', find('token').value);
  showBearer();
}

/** A link may bring a token: `/#token=…`. It does not stay in the address bar or the history. */
function takeTokenFromLink() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (!token) return false;
  history.replaceState(null, '', location.pathname + location.search);
  find('token').value = token;
  keepToken();
  return true;
}

// ---- connecting -----------------------------------------------------------------------------

let feed = null;

function disconnect() {
  feed?.stop();
}

function onState(state, why) {
  if (state === 'idle' || state === 'ended') feed = null;
  showState(state, why);
}

function connect() {
  disconnect();
  clear();
  const scope = find('scope').value;
  const query = { access_token: find('token').value.trim(), named: 'false' };
  if (find('types').value.trim()) query.types = find('types').value.trim();
  if (find('since').value) query.since = find('since').value;
  feed = new Feed(scope ? `/stream/${scope}` : '/stream', query, { state: onState, message: showMessage });
  feed.start();
}

// ---- publishing -----------------------------------------------------------------------------

function eventOf(form) {
  const { type, audience, audienceId, module, recordId, data } = Object.fromEntries(new FormData(form));
  const event = { type, audience: { [audience]: audience === 'broker' ? true : audienceId } };
  if (module) event.module = module;
  if (recordId) event.recordId = recordId;
  if (data.trim()) event.data = JSON.parse(data);
  return event;
}

function markField(form, name) {
  for (const field of form.elements) field.removeAttribute('aria-invalid');
  form.elements.namedItem(name)?.setAttribute('aria-invalid', 'true');
}

function showOutcome(text, isGood) {
  find('published').className = `outcome ${isGood ? 'good' : 'bad'}`;
  find('published').textContent = text;
}

async function refusalOf(response, form) {
  const problem = await response.clone().json().catch(() => ({}));
  if (problem.field) markField(form, problem.field);
  return `Not published: ${await problemOf(response)}`;
}

async function publish(form) {
  markField(form, '');
  let event;
  try {
    event = eventOf(form);
  } catch (error) {
    markField(form, 'data');
    return showOutcome(`The data is not JSON: ${error.message}`, false);
  }
  const response = await fetch('/events', {
    method: 'POST',
    headers: { Authorization: `Bearer ${find('token').value.trim()}`, 'Content-Type': 'application/json' },
    body: JSON.stringify(event),
  });
  if (!response.ok) return showOutcome(await refusalOf(response, form), false);
  const { positions } = await response.json();
  return showOutcome(`Published at ${positions.join(', ')}`, true);
}

// ---- wiring ---------------------------------------------------------------------------------

find('connection').addEventListener('submit', (submit) => {
  submit.preventDefault();
  if (feed) disconnect();
  else connect();
});

for (const id of ['scope', 'since', 'types']) {
  find(id).addEventListener('change', () => feed && connect());
}

find('token').addEventListener('input', keepToken);

find('clear').addEventListener('click', clear);

find('publishing').addEventListener('submit', async (submit) => {
  submit.preventDefault();
  const button = submit.submitter;
  button.disabled = true;
  try {
    await publish(submit.target);
  } catch {
    showOutcome('Not published: the service does not answer', false);
  } finally {
    button.disabled = false;
  }
});

find('publishing').elements.audience.addEventListener('change', (change) => {
  change.target.form.elements.audienceId.disabled = change.target.value === 'broker';
});

addEventListener('hashchange', () => takeTokenFromLink() && connect());
setInterval(showRate, 1_000);

if (!takeTokenFromLink()) {
  find('token').value = sessionStorage.getItem('token') ?? '';
  showBearer();
}
if (find('token').value) connect();
