// The console: one stream seen as it comes, who is here, and forms to try things out with.
import { ask, problemOf } from './api.js';
import { find } from './elements.js';
import { clear, showMessage, showRate } from './events.js';
import { Feed } from './feed.js';
import { Here } from './here.js';
import { RecordCard } from './record.js';

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

const ABOUT_LOCKS = /^locks:|:(un)?locked$/;

const here = new Here();
const record = new RecordCard((lock) => here.renewed(lock));
let feed = null;

function disconnect() {
  feed?.stop();
}

function onState(state, why) {
  if (state === 'idle' || state === 'ended') feed = null;
  if (state === 'idle') here.forget();
  showState(state, why);
}

function onMessage(data, position) {
  showMessage(data, position);
  const isNews = here.take(data, position);
  if (isNews && ABOUT_LOCKS.test(data.type)) record.follow(data, here.locks());
}

function connect() {
  disconnect();
  clear();
  here.forget(claimsOf(find('token').value)?.sub);
  const scope = find('scope').value;
  const query = { access_token: find('token').value.trim(), named: 'false' };
  if (find('types').value.trim()) query.types = find('types').value.trim();
  if (find('since').value) query.since = find('since').value;
  feed = new Feed(scope ? `/stream/${scope}` : '/stream', query, { state: onState, message: onMessage });
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
  const response = await ask('POST', '/events', event);
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
