// A user's notifications: a pure fold of a list and of the events of a stream, on all devices.

const IS_NOTIFICATION = /^(notification:(info|success|warning|error)|system:(maintenance|broadcast))$/;
const MOST = 100;

const numberOf = (position) => BigInt(position.split('-')[0]);

export class Inbox {
  /** By id. */
  #known = new Map();
  #unread = 0;
  #at = -1n;
  /** Events since the list was last requested. */
  #recent = [];

  get unread() {
    return this.#unread;
  }

  /** From new to old. */
  list() {
    return [...this.#known.values()].sort((one, other) => other.id - one.id);
  }

  /** The list as it was at a position. */
  answer(notifications, unread, position) {
    this.#known = new Map(notifications.map((one) => [one.id, one]));
    this.#unread = unread;
    this.#at = numberOf(position);
    const recent = this.#recent;
    this.#recent = [];
    for (const [event, at] of recent) this.take(event, at);
  }

  /** Takes an event; returns whether anything has changed. */
  take(event, position) {
    const isRead = event.type === 'notification:read';
    if (!position || !(isRead || IS_NOTIFICATION.test(event.type)) || !event.data) return false;
    if (this.#recent.push([event, position]) > MOST) this.#recent.shift();
    if (numberOf(position) <= this.#at) return false;
    if (isRead) this.#read(event.data);
    else this.#add(event.data);
    return true;
  }

  #read({ ids = [], upTo = 0, unread }) {
    for (const [id, one] of this.#known) {
      if (id <= upTo || ids.includes(id)) this.#known.set(id, { ...one, read: true });
    }
    this.#unread = unread;
  }

  /** Only events to the user have the number; one to a team or the brokerage counts once. */
  #add({ unread, ...notification }) {
    const isNew = !this.#known.has(notification.id);
    this.#known.set(notification.id, { ...notification, read: false });
    this.#unread = unread ?? this.#unread + Number(isNew);
    const oldest = this.list().slice(MOST);
    for (const { id } of oldest) this.#known.delete(id);
  }
}
