// The token of this page, decoded: what it says, and what the service makes of it.
import { claimsOf } from '../../client/src/token.js';
import { h, setText } from '../elements/dom.js';
import { banner } from '../elements/elements.js';
import { asDayAndClock, asDuration } from '../elements/units.js';
import { copyButton, jsonElement } from './json.js';

const TICK_MS = 1_000;
const MEANINGS = {
  sub: 'The user', broker_id: 'The brokerage', teams: 'The teams', role: 'The role', name: 'The name', iat: 'Issued', exp: 'Ends', nbf: 'Begins', jti: 'The id of the token', iss: 'The issuer', aud: 'For whom it is',
};
const TIMES = new Set(['iat', 'exp', 'nbf']);

function headerOf(token) {
  try {
    return JSON.parse(atob(token.split('.')[0].replace(/-/g, '+').replace(/_/g, '/')));
  } catch {
    return null;
  }
}

export class TokenPanel {
  #shell;
  #left = h('dd.numeric');
  #place = h('div.token-panel-body');
  #token = null;
  #tick = null;

  constructor(shell) {
    this.#shell = shell;
    this.element = h('div.token-panel', {}, h('h2', {}, 'Token'), this.#place);
  }

  show() {
    this.#tick ??= setInterval(() => this.#refresh(), TICK_MS);
    this.#refresh();
  }

  hide() {
    clearInterval(this.#tick);
    this.#tick = null;
  }

  async #refresh() {
    const token = await this.#shell.client.tokens.get().catch(() => null);
    if (token !== this.#token) this.#draw(token);
    this.#token = token;
    const { exp } = claimsOf(token ?? '');
    const left = typeof exp === 'number' ? exp * 1_000 - Date.now() : null;
    setText(this.#left, left === null ? 'The token does not say.' : left > 0 ? `in ${asDuration(left)}` : `${asDuration(-left)} ago`);
  }

  #draw(token) {
    const header = headerOf(token ?? '');
    if (!token || !header) return void this.#place.replaceChildren(banner(token ? 'This token is not a JWT, so it cannot be decoded here.' : 'There is no token. Sign in again.', [], { kind: 'warn' }));
    const claims = claimsOf(token);
    const rows = Object.entries(claims).flatMap(([name, value]) => [h('dt', {}, MEANINGS[name] ? `${MEANINGS[name]} (${name})` : name), h('dd', {}, show(name, value))]);
    this.#place.replaceChildren(
      h('dl.pairs', {}, h('dt', {}, 'Its end'), this.#left, rows),
      h('div.acts', {}, copyButton(this.#shell, () => token, 'Copy the token')),
      h('p.quiet-text', {}, 'Whoever has the token can do what you can do, until it ends.'),
      h('h3', {}, 'Header'), jsonElement(header, 'The header of the token'),
      h('h3', {}, 'Claims'), jsonElement(claims, 'The claims of the token'),
      h('h3', {}, 'What the service says'), this.#session());
  }

  /** The teams that still count, and the limits. */
  #session() {
    const place = h('div', {}, 'Loading …');
    this.#shell.client.request('GET', '/session').then(
      ({ body }) => place.replaceChildren(jsonElement(body, 'The answer of GET /session')),
      (error) => place.replaceChildren(banner(`The service refuses this token: ${error.message}`, [], { kind: 'bad' })));
    return place;
  }
}

function show(name, value) {
  if (TIMES.has(name) && typeof value === 'number') return asDayAndClock(value * 1_000);
  return typeof value === 'string' ? value : JSON.stringify(value);
}
