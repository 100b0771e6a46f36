// The lock of an open record: taken by editing, given back after saving, and the banner when somebody else has it.
import { lock } from '../../client/src/collaboration.js';
import { h, keepFocus } from '../elements/dom.js';
import { banner, button, chip } from '../elements/elements.js';
import { oneOf } from './modules.js';

/** A lock that was asked for and came is given back, if it is not used within this time. */
const UNUSED_MS = 60_000;
const LOST = {
  taken_over: 'Somebody has taken over. Save to see whether you still can.',
  idle: 'You did nothing for five minutes, so others may edit. Go on, and the record is locked again.',
  expired: 'The lock of this record has ended. Save to take it again.',
};

export class RecordLock {
  #shell;
  #module;
  #id;
  #lock;
  #off;
  #onChange;
  #onHandOver;
  #isAsking = false;
  #isViewing = false;
  #isInUse = false;
  #unused = null;
  #drawn = '';
  element = h('div.lock-place', { 'aria-live': 'polite' });

  constructor(shell, module, id, { onChange, onHandOver }) {
    this.#shell = shell;
    this.#module = module;
    this.#id = id;
    this.#onChange = onChange;
    this.#onHandOver = onHandOver;
    this.#lock = lock(shell.client, module, id);
    this.#off = this.#lock.subscribe(() => this.#changed());
    this.#draw();
  }

  get #now() {
    return this.#lock.getSnapshot();
  }

  /** Whether another user has it. The own user's other tabs share it. */
  get heldByOther() {
    const { status, lock: held } = this.#now;
    return (status === 'other' || this.#isIdle) && held !== null && held.holder.userId !== this.#shell.userId;
  }

  /** An open editor in which nothing happens does not keep others from editing. */
  get #isIdle() {
    const { status, reason } = this.#now;
    return status === 'lost' && reason === 'idle';
  }

  get holderName() {
    return this.#shell.nameOf(this.#now.lock?.holder.userId);
  }

  get isLost() {
    return this.#now.status === 'lost';
  }

  get lostText() {
    return LOST[this.#now.reason] ?? LOST.expired;
  }

  /** Takes the lock. Without the service, editing goes on without it: a collision is found when the change is sent. */
  async take() {
    this.#isInUse = true;
    clearTimeout(this.#unused);
    if (this.#now.status !== 'held' && !this.#shell.isConnected) return true;
    try {
      return await this.#lock.acquire() || !this.heldByOther;
    } catch {
      return true;
    }
  }

  /** The user does something in the record. */
  wake() {
    if (this.#isInUse && this.#isIdle) this.take();
  }

  giveBack() {
    this.#isInUse = false;
    this.#lock.release().catch(() => {});
  }

  #changed() {
    if (this.#now.status === 'held' && this.#isAsking) {
      this.#isAsking = false;
      this.#shell.toast(`You can edit this ${oneOf(this.#module)} now.`, { kind: 'good' });
      this.#unused = setTimeout(() => !this.#isInUse && this.giveBack(), UNUSED_MS);
    }
    if (!this.heldByOther) this.#isViewing = false;
    this.#draw();
    this.#onChange();
  }

  #draw() {
    const { status, isRequested, requestedBy } = this.#now;
    const isWanted = status === 'held' && isRequested;
    const key = JSON.stringify([this.heldByOther && this.holderName, this.#isViewing, this.#isAsking, isWanted && this.#shell.nameOf(requestedBy)]);
    if (key === this.#drawn) return;
    this.#drawn = key;
    keepFocus(this.element, () => this.element.replaceChildren(...this.#content(isWanted && requestedBy)), this.element.closest('.record')?.querySelector('h2'));
  }

  /** @param {string | false} requestedBy who wants the lock of this user */
  #content(requestedBy) {
    const one = oneOf(this.#module);
    if (this.heldByOther && this.#isViewing) return [h('p.view-only', {}, chip(`View only: ${this.holderName} is editing`, 'warn'))];
    if (this.heldByOther) return [this.#banner(one)];
    if (!requestedBy) return [];
    const hand = button('Hand over', () => this.#onHandOver(), { kind: 'small primary' });
    return [banner(`${this.#shell.nameOf(requestedBy)} asks to edit this ${one}.`, [hand], { kind: 'warn' })];
  }

  #banner(one) {
    const acts = this.#isAsking ? [chip('Asked: you get it when it is free', 'info')] : [button('Ask', () => this.#ask(), { kind: 'small' })];
    return banner(`${this.holderName} is editing this ${one}`, [
      button('View only', () => { this.#isViewing = true; this.#draw(); }, { kind: 'small' }), ...acts, button('Take over', () => this.#takeOver(), { kind: 'small danger' }),
    ], { kind: 'warn' });
  }

  async #ask() {
    this.#isAsking = true;
    this.#draw();
    try {
      await this.#lock.request();
    } catch (error) {
      this.#isAsking = false;
      this.#shell.toast(error.message, { kind: 'bad' });
    }
    this.#draw();
  }

  async #takeOver() {
    try {
      const isMine = await this.#lock.takeOver();
      if (isMine) this.#shell.toast('It is yours now.', { kind: 'good' });
      else this.#shell.toast(`${this.holderName} is still here: ask, or let an administrator take over.`, { kind: 'warn' });
    } catch (error) {
      this.#shell.toast(error.status === 403 ? `${this.holderName} is still here: ask, or let an administrator take over.` : error.message, { kind: 'warn' });
    }
  }

  close() {
    clearTimeout(this.#unused);
    this.#off();
    this.#shell.client.endPart(`lock:${this.#module}/${this.#id}`);
  }
}
