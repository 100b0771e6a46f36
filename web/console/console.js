// The page: the events of one stream, who is online, and forms to try things out.
import { Activity } from './activity.js';
import { find } from './elements.js';
import { clear, showMessage, showRate } from './events.js';
import { Feed } from './feed.js';
import { Here } from './here.js';
import { Notifications } from './notifications.js';
import { publishing } from './publish.js';
import { RecordCard } from './record.js';
import { Records } from './records.js';
import { Tasks } from './tasks.js';

// ---- the state of the stream ----------------------------------------------------------------

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

// ---- the token ------------------------------------------------------------------------------

/** The claims of a token. They are not verified, because they are only shown. */
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

/** A link may have a token: `/#token=…`. It is removed from the address bar and the history. */
function takeTokenFromLink() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (!token) return false;
  history.replaceState(null, '', location.pathname + location.search);
  find('token').value = token;
  keepToken();
  return true;
}

// ---- connecting -----------------------------------------------------------------------------

const ABOUT_LOCKS = /^locks:|:(un)?locked$/;

const here = new Here();
const record = new RecordCard((lock) => here.renewed(lock));
/** Cards that request a list when a stream has opened, and then follow the stream. */
const followers = [new Records(), new Tasks(), new Notifications(), new Activity()];
let feed = null;
/** Whether the cards have requested their lists for this stream. */
let hasBegun = false;

function disconnect() {
  feed?.stop();
}

function onState(state, why) {
  if (state === 'idle' || state === 'ended') feed = null;
  if (state === 'idle') {
    here.forget();
    for (const card of followers) card.forget();
  }
  showState(state, why);
}

function onMessage(data, position) {
  showMessage(data, position);
  if (data.type === 'stream:ready' && !hasBegun) {
    hasBegun = true;
    for (const card of followers) card.begin();
  }
  for (const card of followers) card.take(data, position);
  const isNews = here.take(data, position);
  if (isNews && ABOUT_LOCKS.test(data.type)) record.follow(data, here.locks());
}

function connect() {
  disconnect();
  clear();
  here.forget(claimsOf(find('token').value)?.sub);
  for (const card of followers) card.forget();
  hasBegun = false;
  const scope = find('scope').value;
  const query = { access_token: find('token').value.trim(), named: 'false' };
  if (find('types').value.trim()) query.types = find('types').value.trim();
  if (find('since').value) query.since = find('since').value;
  feed = new Feed(scope ? `/stream/${scope}` : '/stream', query, { state: onState, message: onMessage });
  feed.start();
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
publishing();

addEventListener('hashchange', () => takeTokenFromLink() && connect());
setInterval(showRate, 1_000);

if (!takeTokenFromLink()) {
  find('token').value = sessionStorage.getItem('token') ?? '';
  showBearer();
}
if (find('token').value) connect();
