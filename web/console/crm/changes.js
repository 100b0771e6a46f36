// Who has changed what a moment ago, for short highlights.
import { words } from '../elements/format.js';

const SHOWN_MS = 4_000;
/** More changes at a time are a bulk change: highlights of the oldest end. */
const MOST = 200;
const ACTIONS = { updated: 'changed', created: 'added', archived: 'archived', restored: 'restored' };

export class Changes {
  #shell;
  #known = new Map();
  #observers = new Set();

  constructor(shell) {
    this.#shell = shell;
    shell.client.on('*', (event) => this.#take(event));
  }

  /** Told the path of a record whose highlight has begun or ended. */
  observe(observer) {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  }

  /** The change of this record that is highlighted, or undefined. */
  of(module, id) {
    return this.#known.get(`${module}/${id}`);
  }

  /** "Bob Castillo changed the purchase price" */
  sentence({ userId, action, fields }) {
    const name = this.#shell.nameOf(userId);
    const what = action === 'updated' && fields.length ? ` ${fields.slice(0, 2).map((field) => words(field).toLowerCase()).join(', ')}` : '';
    return `${name} ${ACTIONS[action]}${what || (action === 'updated' ? ' it' : ' it')}`;
  }

  #take({ action, module, recordId, version, userId, changes }) {
    if (!recordId || version === undefined || !ACTIONS[action] || !userId || userId === this.#shell.userId) return;
    const path = `${module}/${recordId}`;
    clearTimeout(this.#known.get(path)?.timer);
    this.#known.delete(path);
    if (this.#known.size >= MOST) this.#end(this.#known.keys().next().value);
    const fields = Object.keys(changes ?? {}).filter((field) => !['updatedAt', 'version', 'archivedAt'].includes(field));
    this.#known.set(path, { userId, action, fields, timer: setTimeout(() => this.#end(path), SHOWN_MS) });
    for (const observer of this.#observers) observer(path);
  }

  #end(path) {
    clearTimeout(this.#known.get(path)?.timer);
    this.#known.delete(path);
    for (const observer of this.#observers) observer(path);
  }
}
