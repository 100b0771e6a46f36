// The card "Here": draws the state that results from the stream's messages.
import { element, find, timeElement } from './elements.js';
import { People } from './people.js';

const TICK_MS = 500;

export class Here {
  #people = new People();
  /** What each part of the card shows: parts that stay the same are not drawn again. */
  #drawn = {};
  #isDrawing = false;

  constructor() {
    this.#draw();
    setInterval(() => this.#draw(), TICK_MS);
  }

  /** Starts again, for this user. */
  forget(bearer) {
    this.#people = new People(bearer);
    this.#drawSoon();
  }

  /** Takes a message; returns whether the state may have changed. */
  take(data, position) {
    const isChange = this.#people.take(data, position, Date.now());
    if (isChange) this.#drawSoon();
    return isChange;
  }

  /** The lease of a lock was extended. */
  renewed(lock) {
    this.#people.renewed(lock);
    this.#drawSoon();
  }

  locks() {
    return this.#people.view(Date.now()).locks;
  }

  /** Once a frame, so that a burst costs one layout. */
  #drawSoon() {
    if (!this.#isDrawing) requestAnimationFrame(() => this.#draw());
    this.#isDrawing = true;
  }

  #draw() {
    this.#isDrawing = false;
    const view = this.#people.view(Date.now());
    const others = view.isComplete ? [] : [element('li', 'others', '+ others')];
    this.#part('people', [view.people, view.isComplete], () => [...view.people.map(personRow), ...others]);
    const more = view.areLocksComplete ? [] : [element('li', 'others', '+ others')];
    this.#part('locks', [view.locks, view.areLocksComplete], () => [...view.locks.map(lockRow), ...more]);
    find('online').textContent = view.isKnown ? `${view.online.toLocaleString()} online` : '';
    find('no-locks').textContent = view.areLocksKnown && view.locks.length === 0 ? 'Nothing is locked.' : '';
    find('nobody').textContent = emptinessOf(view);
    countDown();
  }

  #part(id, shown, rows) {
    const text = JSON.stringify(shown);
    if (this.#drawn[id] === text) return;
    this.#drawn[id] = text;
    find(id).replaceChildren(...rows());
  }
}

function emptinessOf({ isKnown, areLocksKnown, people }) {
  if (!isKnown && !areLocksKnown) return 'Shown when a stream with presence is open.';
  return people.length === 0 ? 'Nobody is online.' : '';
}

function personRow({ userId, isBearer, status, since, viewing, editing, doing }) {
  const row = element('li', status ?? 'elsewhere');
  row.dataset.user = userId;
  const dot = element('span', 'dot');
  dot.ariaHidden = 'true';
  const name = element('strong', '', userId);
  row.append(dot, name);
  if (isBearer) row.append(element('span', 'own', 'you'));
  if (status) row.append(statusOf(status, new Date(since)));
  const at = element('span', 'doing');
  at.append(
    ...viewing.map((path) => placeOf('views', path)),
    ...editing.map((path) => placeOf('edits', path)),
    ...doing.map(({ name: signal, target }) => placeOf(signal, `${target} …`, 'signal')),
  );
  row.append(at);
  return row;
}

function statusOf(status, since) {
  const made = element('span', 'status', `${status} since `);
  made.append(timeElement(since));
  made.title = since.toLocaleString();
  return made;
}

function placeOf(word, path, className = '') {
  const made = element('span', className, `${word} `);
  made.append(element('span', 'record', path));
  return made;
}

function lockRow({ path, holder, isOwn, lockedAt, lockedUntil, fence }) {
  const row = element('li', isOwn ? 'is-own' : '');
  row.dataset.record = path;
  row.title = `since ${new Date(lockedAt).toLocaleString()}, fence ${fence}, session ${holder.session}`;
  const until = new Date(lockedUntil);
  const left = element('span', 'left');
  left.dataset.until = until.valueOf();
  const end = element('span', 'end', 'until ');
  end.append(timeElement(until), left);
  row.append(element('span', 'record', path), element('strong', '', holder.userId));
  if (isOwn) row.append(element('span', 'own', 'you'));
  row.append(end);
  return row;
}

/** Renewals of others are not published: a lock whose time is over may have been renewed. */
function countDown() {
  for (const left of document.querySelectorAll('#locks .left')) {
    const seconds = Math.ceil((left.dataset.until - Date.now()) / 1000);
    const text = seconds > 0 ? clockOf(seconds) : 'renewed, or about to end';
    if (left.textContent !== text) left.textContent = text;
  }
}

const clockOf = (seconds) => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
