// This user's notifications, and how many are unread.
import { Feed, LOADING } from './feed.js';

/** @typedef {import('../events.d.ts').Notification} Notification */
/** @typedef {import('./feed.js').FeedSnapshot & {notifications: readonly Notification[], unread: number}} NotificationsSnapshot */
/** @typedef {{limit?: number}} NotificationsOptions */

/** @extends {Feed<NotificationsSnapshot>} */
export class Notifications extends Feed {
  /** From new to old. @type {Notification[]} */
  #known = [];
  #unread = 0;

  /**
   * @param {import('../client.js').Client} client
   * @param {NotificationsOptions} options
   */
  constructor(client, options) {
    super(client, '/notifications', options, { ...LOADING, notifications: [], unread: 0 });
  }

  /** Marks one as read on all devices. @param {number} id */
  async markRead(id) {
    const { body } = await this.context.request('POST', `/notifications/${id}/read`);
    this.#read((one) => one.id === id, body.unread);
  }

  /** Marks all as read that are loaded here; newer ones stay unread. */
  async markAllRead() {
    const upTo = this.#known.reduce((most, { id }) => Math.max(most, id), 0);
    const { body } = await this.context.request('POST', '/notifications/read-all', { body: upTo ? { upTo } : {} });
    this.#read(({ id }) => !upTo || id <= upTo, body.unread);
  }

  /** @override @param {any} event */
  concerns({ type, data }) {
    return type === 'notification:read' || ((type.startsWith('notification:') || type.startsWith('system:')) && typeof data?.id === 'number');
  }

  /** @override */
  empty() {
    this.#known = [];
    this.#unread = 0;
    super.empty();
  }

  /** @override @param {{notifications: Notification[], unread: number}} body @param {boolean} isFirst */
  keep({ notifications, unread }, isFirst) {
    const before = isFirst ? [] : this.#known;
    this.#known = [...before, ...notifications.filter(({ id }) => !before.some((one) => one.id === id))];
    // Later pages change nothing about how many are unread, and events have counted on meanwhile.
    if (isFirst) this.#unread = unread;
  }

  /** @override @param {import('../received.js').Delivery} delivery */
  apply({ data: { type, data } }) {
    if (type === 'notification:read') {
      this.#read(({ id }) => (data.ids ? data.ids.includes(id) : id <= data.upTo), data.unread);
      return true;
    }
    const isNew = !this.#known.some(({ id }) => id === data.id);
    this.#known = [{ read: false, ...data }, ...this.#known.filter(({ id }) => id !== data.id)];
    // Only events to one user can say how many are unread.
    this.#unread = data.unread ?? this.#unread + (isNew ? 1 : 0);
    return true;
  }

  /**
   * @param {(one: Notification) => boolean} isRead
   * @param {number} unread
   */
  #read(isRead, unread) {
    this.#known = this.#known.map((one) => (!one.read && isRead(one) ? { ...one, read: true } : one));
    this.#unread = unread;
    this.show();
  }

  /** @override */
  show() {
    this.change({ notifications: this.#known, unread: this.#unread });
  }
}
