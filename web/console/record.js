// The card "Record": locks, views and types at one record, as a client of the CRM would.
import { ask, attempt as attemptTo, problemOf, SILENCE } from './api.js';
import { find, say as sayAt, timeOf } from './elements.js';

const LEASE_SECONDS = 300;
const BEAT_MS = 20_000;
const RENEW_MS = (LEASE_SECONDS * 1000) / 2;
const RENEW_AGAIN_MS = 10_000;

/** This tab's name, for as long as the tab lives. */
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

/** Turns the card to a record. */
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
  #held = new Map();
  /** What others are told that this tab shows. */
  #viewing = null;
  #isViewSaid = false;
  #beats;
  /** Heartbeats and goodbyes, one after another. */
  #lastBeat = Promise.resolve();

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
    addEventListener('pageshow', (show) => show.persisted && this.#viewing && this.#beat());
  }

  /** A message about locks was heard: those that this tab holds are renewed until they end. */
  follow({ type, module, recordId, data }, locks) {
    if (type.endsWith(':unlocked') && this.#held.get(pathOf({ module, recordId }))?.fence === data.fence) {
      this.#letGo({ module, recordId });
      if (data.reason !== 'released') say(`The lock on ${pathOf({ module, recordId })} is over: ${data.reason}.`, false);
    }
    const own = locks.filter((lock) => lock.isOwn && lock.holder.session === this.#session);
    for (const lock of own.filter(({ path }) => !this.#held.has(path))) {
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
    const what = response.status === 201 ? 'Locked' : 'You had locked';
    say(`${what} ${pathOf(lock)} until ${timeIn(lock.lockedUntil)}`);
    this.#keep(lock, RENEW_MS);
    this.#onRenewed(lock);
  }

  async #unlock() {
    const record = this.#record();
    const asked = ask('DELETE', `${urlOf(record)}?session=${this.#session}`);
    if (!(await attempt(asked))) return;
    this.#letGo(record);
    say(`Unlocked ${pathOf(record)}`);
  }

  async #request() {
    const record = this.#record();
    const response = await attempt(ask('POST', `${urlOf(record)}/request`, { session: this.#session }));
    if (!response) return;
    const { lock } = await response.json();
    say(`Asked ${lock.holder.userId} for ${pathOf(record)}; you are told when it is free`);
  }

  async #type() {
    const record = this.#record();
    const body = { name: 'typing', ...record, session: this.#session };
    if (await attempt(ask('POST', '/signals', body))) say(`Typing in ${pathOf(record)}`);
  }

  // ---- locks that this tab holds -----------------------------------------------------------

  #keep(lock, inMs) {
    this.#letGo(lock);
    const timer = setTimeout(() => this.#renew(lock), inMs);
    this.#held.set(pathOf(lock), { fence: lock.fence, timer });
  }

  #letGo(record) {
    clearTimeout(this.#held.get(pathOf(record))?.timer);
    this.#held.delete(pathOf(record));
  }

  async #renew(lock) {
    const body = { session: this.#session, leaseSeconds: LEASE_SECONDS };
    const response = await ask('POST', `${urlOf(lock)}/renew`, body).catch(() => null);
    if (this.#held.get(pathOf(lock))?.fence !== lock.fence) return;
    if (response?.ok) {
      this.#keep(lock, RENEW_MS);
      this.#onRenewed(await response.json());
    } else if (isRefusal(response)) {
      this.#letGo(lock);
      say(`The lock on ${pathOf(lock)} is not renewed: ${await problemOf(response)}`, false);
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
      if (await attempt(this.#leave())) say(`You view ${pathOf(record)} no more`);
    });
  }

  #view() {
    this.#viewing = this.#record();
    this.#isViewSaid = false;
    this.#showViewing();
    return this.#beat();
  }

  #stopViewing() {
    clearTimeout(this.#beats);
    this.#viewing = null;
    this.#showViewing();
  }

  #showViewing() {
    find('view').setAttribute('aria-pressed', String(this.#viewing !== null));
  }

  /** Says what is viewed, now and again after a while, unless that is refused. */
  #beat() {
    return this.#inTurn(async () => {
      const viewing = this.#viewing;
      if (!viewing) return;
      clearTimeout(this.#beats);
      const response = await ask('POST', '/presence/heartbeat', { session: this.#session, viewing }).catch(() => null);
      if (this.#viewing !== viewing) return;
      if (isRefusal(response)) {
        this.#stopViewing();
        say(await problemOf(response), false);
        return;
      }
      // Once: later heartbeats leave the words alone that other buttons had said.
      if (response?.ok && !this.#isViewSaid) say(`Others see you view ${pathOf(viewing)}`);
      else if (!response?.ok) say(SILENCE, false);
      this.#isViewSaid = Boolean(response?.ok);
      this.#beats = setTimeout(() => this.#beat(), BEAT_MS);
    });
  }

  #leave(options) {
    return ask('POST', '/presence/leave', { session: this.#session }, options);
  }

  #inTurn(act) {
    this.#lastBeat = this.#lastBeat.then(act, act);
    return this.#lastBeat;
  }
}
