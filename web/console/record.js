// The card "Record": locks, views and types at one record, as a client of the CRM would.
import { ask, attempt as attemptTo, problemOf, SILENCE } from './api.js';
import { find, say as sayAt, timeOf } from './elements.js';

const LEASE_SECONDS = 300;
const HEARTBEAT_MS = 20_000;
const RENEW_MS = (LEASE_SECONDS * 1000) / 2;
const RENEW_AGAIN_MS = 10_000;

/** The id of this tab, for as long as the tab exists. */
function tabName() {
  const known = sessionStorage.getItem('tab');
  if (known) return known;
  const name = `tab-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
  sessionStorage.setItem('tab', name);
  return name;
}

const pathOf = ({ module, recordId }) => `${module}/${recordId}`;
const urlOf = ({ module, recordId }) => `/locks/${encodeURIComponent(module)}/${encodeURIComponent(recordId)}`;
const timeIn = (text) => timeOf(new Date(text));

const say = (text, isGood = true) => sayAt('done', text, isGood);
const attempt = (asked) => attemptTo(asked, (text) => say(text, false));

/** Whether trying again would be pointless. */
const isRefusal = (response) => response?.status >= 400 && response.status < 500 && response.status !== 429;

/** Shows a record in the card. */
export function turnTo(module, recordId) {
  const form = find('record');
  form.elements.module.value = module;
  form.elements.recordId.value = recordId;
  form.dispatchEvent(new Event('change'));
}

export class RecordCard {
  #form = find('record');
  #session = tabName();
  #onRenewed;
  /** The locks that this tab renews, by record: their fences and timers. */
  #locks = new Map();
  /** The record that this tab shows to others as viewed. */
  #viewing = null;
  #isViewShown = false;
  #timer;
  /** Heartbeats and `leave` requests, one after another. */
  #lastRequest = Promise.resolve();

  /** `onRenewed(lock)`: this tab holds a lock for longer. */
  constructor(onRenewed) {
    this.#onRenewed = onRenewed;
    find('tab').textContent = `as ${this.#session}`;
    const acts = {
      lock: () => this.#lock(),
      unlock: () => this.#unlock(),
      request: () => this.#request(),
      view: () => this.#toggleView(),
      type: () => this.#type(),
    };
    this.#form.addEventListener('submit', (submit) => {
      submit.preventDefault();
      acts[submit.submitter.value]();
    });
    this.#form.addEventListener('change', () => this.#viewing && this.#form.checkValidity() && this.#view());
    addEventListener('pagehide', () => this.#viewing && this.#leave({ keepalive: true }));
    addEventListener('pageshow', (show) => show.persisted && this.#viewing && this.#heartbeat());
  }

  /** Takes a message about locks: this tab renews its own locks until they end. */
  follow({ type, module, recordId, data }, locks) {
    if (type.endsWith(':unlocked') && this.#locks.get(pathOf({ module, recordId }))?.fence === data.fence) {
      this.#forget({ module, recordId });
      if (data.reason !== 'released') say(`The lock on ${pathOf({ module, recordId })} ended: ${data.reason}.`, false);
    }
    const own = locks.filter((lock) => lock.isOwn && lock.holder.session === this.#session);
    for (const lock of own.filter(({ path }) => !this.#locks.has(path))) {
      const leftMs = new Date(lock.lockedUntil) - Date.now();
      this.#keep(lock, Math.max(0, Math.min(RENEW_MS, leftMs / 2)));
    }
  }

  #record() {
    const { module, recordId } = Object.fromEntries(new FormData(this.#form));
    return { module, recordId: recordId.trim() };
  }

  async #lock() {
    const body = { ...this.#record(), session: this.#session, leaseSeconds: LEASE_SECONDS };
    const response = await attempt(ask('POST', '/locks', body));
    if (!response) return;
    const lock = await response.json();
    const what = response.status === 201 ? 'Locked' : 'You already hold';
    say(`${what} ${pathOf(lock)} until ${timeIn(lock.lockedUntil)}`);
    this.#keep(lock, RENEW_MS);
    this.#onRenewed(lock);
  }

  async #unlock() {
    const record = this.#record();
    const asked = ask('DELETE', `${urlOf(record)}?session=${this.#session}`);
    if (!(await attempt(asked))) return;
    this.#forget(record);
    say(`Unlocked ${pathOf(record)}`);
  }

  async #request() {
    const record = this.#record();
    const response = await attempt(ask('POST', `${urlOf(record)}/request`, { session: this.#session }));
    if (!response) return;
    const { lock } = await response.json();
    say(`Asked ${lock.holder.userId} for ${pathOf(record)}; you will be notified when it is free`);
  }

  async #type() {
    const record = this.#record();
    const body = { name: 'typing', ...record, session: this.#session };
    if (await attempt(ask('POST', '/signals', body))) say(`Typing in ${pathOf(record)}`);
  }

  // ---- locks that this tab holds -----------------------------------------------------------

  #keep(lock, inMs) {
    this.#forget(lock);
    const timer = setTimeout(() => this.#renew(lock), inMs);
    this.#locks.set(pathOf(lock), { fence: lock.fence, timer });
  }

  #forget(record) {
    clearTimeout(this.#locks.get(pathOf(record))?.timer);
    this.#locks.delete(pathOf(record));
  }

  async #renew(lock) {
    const body = { session: this.#session, leaseSeconds: LEASE_SECONDS };
    const response = await ask('POST', `${urlOf(lock)}/renew`, body).catch(() => null);
    if (this.#locks.get(pathOf(lock))?.fence !== lock.fence) return;
    if (response?.ok) {
      this.#keep(lock, RENEW_MS);
      this.#onRenewed(await response.json());
    } else if (isRefusal(response)) {
      this.#forget(lock);
      say(`The lock on ${pathOf(lock)} was not renewed: ${await problemOf(response)}`, false);
    } else {
      this.#keep(lock, RENEW_AGAIN_MS);
    }
  }

  // ---- viewing -----------------------------------------------------------------------------

  #toggleView() {
    if (!this.#viewing) return this.#view();
    const record = this.#viewing;
    this.#stopViewing();
    return this.#inTurn(async () => {
      if (await attempt(this.#leave())) say(`You no longer view ${pathOf(record)}`);
    });
  }

  #view() {
    this.#viewing = this.#record();
    this.#isViewShown = false;
    this.#showViewing();
    return this.#heartbeat();
  }

  #stopViewing() {
    clearTimeout(this.#timer);
    this.#viewing = null;
    this.#showViewing();
  }

  #showViewing() {
    find('view').setAttribute('aria-pressed', String(this.#viewing !== null));
  }

  /** Sends heartbeats with the viewed record until one is refused. */
  #heartbeat() {
    return this.#inTurn(async () => {
      const viewing = this.#viewing;
      if (!viewing) return;
      clearTimeout(this.#timer);
      const response = await ask('POST', '/presence/heartbeat', { session: this.#session, viewing }).catch(() => null);
      if (this.#viewing !== viewing) return;
      if (isRefusal(response)) {
        this.#stopViewing();
        say(await problemOf(response), false);
        return;
      }
      // Only once, so that later heartbeats do not replace the outcome of other buttons.
      if (response?.ok && !this.#isViewShown) say(`Others see you view ${pathOf(viewing)}`);
      else if (!response?.ok) say(SILENCE, false);
      this.#isViewShown = Boolean(response?.ok);
      this.#timer = setTimeout(() => this.#heartbeat(), HEARTBEAT_MS);
    });
  }

  #leave(options) {
    return ask('POST', '/presence/leave', { session: this.#session }, options);
  }

  #inTurn(act) {
    this.#lastRequest = this.#lastRequest.then(act, act);
    return this.#lastRequest;
  }
}
