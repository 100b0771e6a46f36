// Where tabs are while a shared stream begins. It must begin before the first of them, because an event that a tab receives moves it past all earlier ones.

export class WaitingTabs {
  #tools;
  /** @type {Map<string, string | null>} */
  #cursors = new Map();

  /** @param {import('./tools.js').Tools} tools */
  constructor(tools) {
    this.#tools = tools;
  }

  /** @param {string} id @param {string | null} cursor null waits for what is new */
  add(id, cursor) {
    this.#cursors.set(id, cursor);
  }

  /** @param {string} id */
  delete(id) {
    this.#cursors.delete(id);
  }

  clear() {
    this.#cursors.clear();
  }

  /** The tabs that wait for what is new. */
  get new() {
    return [...this.#cursors].filter(([, cursor]) => cursor === null).map(([id]) => id);
  }

  /**
   * The cursor of the first tab that needs more than a stream from `opened` on; null if there is none.
   * @param {string | null} opened
   * @param {import('./kept_messages.js').KeptMessages} kept
   */
  before(opened, kept) {
    // A reset is on its way: all tabs go on after it.
    if (this.#isOfAnotherLog(opened, kept.began)) return null;
    let first = opened;
    for (const cursor of this.#cursors.values()) {
      if (cursor !== null && !kept.reaches(cursor) && this.#isBefore(cursor, first, kept.began)) first = cursor;
    }
    return first === opened ? null : first;
  }

  /** @param {string} cursor @param {string | null} other @param {string | null} began */
  #isBefore(cursor, other, began) {
    const { isPosition, isCovered } = this.#tools;
    // `-20` is where the service says, when the stream begins; everyone else needs to go on exactly where they are.
    if (!isPosition(cursor)) return false;
    const first = isPosition(other) ? other : began;
    if (!isPosition(first)) return true;
    if (isCovered(cursor, first)) return !isCovered(first, cursor);
    // A cursor of another log leads to a reset, which tells all tabs that events are missing.
    return this.#isOfAnotherLog(cursor, began);
  }

  /** @param {string | null} cursor @param {string | null} began */
  #isOfAnotherLog(cursor, began) {
    const { isPosition, isCovered } = this.#tools;
    return isPosition(cursor) && isPosition(began) && !isCovered(cursor, began) && !isCovered(began, cursor);
  }
}
