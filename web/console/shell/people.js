// The names of users. Ids that have no name yet are asked for together.
import { Store } from '../../client/src/store.js';

const MOST_AT_ONCE = 100;
const WAIT_MS = 20;

export class People {
  #client;
  #names = new Map();
  #asked = new Set();
  /** Those for whom there has been an answer, with or without a name. */
  #answered = new Set();
  #waiting = new Set();
  #timer = null;
  /** Changes when names have arrived. */
  store = new Store(0);

  constructor(client) {
    this.#client = client;
  }

  /** Learns a name that something else has said. */
  learn(id, name) {
    if (id && name && this.#names.get(id) !== name) {
      this.#names.set(id, name);
      this.store.set(this.store.getSnapshot() + 1);
    }
  }

  /** The name, or the id of somebody who has none; until that is known, dots. */
  nameOf(id) {
    if (!id) return 'Nobody';
    const name = this.#names.get(id);
    if (name === undefined) this.#ask(id);
    return name ?? (this.#answered.has(id) ? id : '…');
  }

  #ask(id) {
    if (this.#asked.has(id)) return;
    this.#asked.add(id);
    this.#waiting.add(id);
    this.#timer ??= setTimeout(() => this.#load(), WAIT_MS);
  }

  async #load() {
    this.#timer = null;
    const users = [...this.#waiting].slice(0, MOST_AT_ONCE);
    for (const id of users) this.#waiting.delete(id);
    if (this.#waiting.size) this.#timer = setTimeout(() => this.#load(), WAIT_MS);
    try {
      const { body } = await this.#client.request('GET', '/people', { query: { users: users.join('\n') } });
      for (const { userId, name } of body.people) this.#names.set(userId, name);
      for (const id of users) this.#answered.add(id);
      this.store.set(this.store.getSnapshot() + 1);
    } catch {
      // They are asked for again the next time they are shown.
      for (const id of users) {
        this.#asked.delete(id);
        this.#answered.add(id);
      }
    }
  }
}
