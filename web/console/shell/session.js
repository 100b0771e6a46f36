// Who is signed in, in this tab: by a link with a token, by a token that was pasted, or as one of the people of the demo.
import { identityOf } from '../../client/src/identity.js';
import { claimsOf } from '../../client/src/token.js';
import { ofBrowser, ofTab } from './storage.js';

const KEY = 'porchlight:session';

/**
 * @typedef {object} Session
 * @property {string | null} userId
 * @property {string | null} owner of what the browser keeps: the user with the brokerage, because a person may belong to several
 * @property {string} name
 * @property {string} role
 * @property {string[]} teams
 * @property {boolean} isDemo
 * @property {(why?: {isRejected?: boolean}) => Promise<string | null>} token a fresh one, or null when the user must sign in again
 */

/** The session of this tab, or null. A token in the link is taken out of the address bar and the history. */
export function openSession() {
  const fromLink = new URLSearchParams(location.hash.slice(1)).get('token');
  const as = new URLSearchParams(location.search).get('as');
  if (fromLink || as) history.replaceState(null, '', location.pathname);
  if (fromLink) return remember({ token: fromLink });
  if (as) return remember({ demo: as });
  const kept = read(ofTab) ?? (ofTab.get('token') ? { token: ofTab.get('token') } : read(ofBrowser));
  return kept && sessionOf(kept);
}

/** Only the choice of the demo is kept for other tabs: tokens stay in theirs. */
export function remember(kept) {
  if (kept.token) keepToken(kept.token);
  // The first use of storage takes milliseconds, in which the token is asked for already.
  else setTimeout(() => keepChoice(JSON.stringify(kept)));
  return sessionOf(kept);
}

function keepToken(token) {
  forget();
  ofTab.set('token', token);
}

function keepChoice(text) {
  ofBrowser.set(KEY, text);
  ofTab.set(KEY, text);
}

export function forget() {
  ofTab.remove(KEY);
  ofTab.remove('token');
  ofBrowser.remove(KEY);
}

function read(storage) {
  try {
    return JSON.parse(storage.get(KEY));
  } catch {
    return null;
  }
}

/** @returns {Session} */
function sessionOf({ token, demo, name, role }) {
  if (demo) return { userId: demo, owner: demo, name: name ?? demo, role: role ?? 'agent', teams: [], isDemo: true, token: tokensOfDemo(demo) };
  const claims = claimsOf(token);
  const { userId, brokerId, teams } = identityOf(claims);
  return { userId, owner: userId && JSON.stringify([userId, brokerId]), name: claims.name ?? userId ?? 'You', role: claims.role ?? 'agent', teams, isDemo: false, token: async ({ isRejected } = {}) => (isRejected ? null : token) };
}

/** The first token is asked for at once, while the rest of the page begins. */
function tokensOfDemo(user) {
  let first = demoToken(user);
  first.catch(() => {});
  return () => {
    const token = first ?? demoToken(user);
    first = null;
    return token;
  };
}

/** Asks for a token of the demo. Null if there is no such person any more: then the user signs in again. */
async function demoToken(user) {
  const response = await fetch('/demo', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ user }) });
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(`no token: status ${response.status}`);
  const { token } = await response.json();
  // For those who try things out in the console of the browser.
  setTimeout(() => ofTab.set('token', token));
  return token;
}
