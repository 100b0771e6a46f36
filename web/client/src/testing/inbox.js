// Notifications and activity of the fake service.
import { sees } from './log.js';
import { Problem } from './problem.js';

/** @typedef {import('./service.js').FakeService} FakeService */
/** @typedef {import('./service.js').Caller} Caller */
/** @typedef {import('../events.d.ts').Notification} Notification */
/** @typedef {{notification: Notification, audience: import('./log.js').Audience, readers: Set<string>}} Row */

/** @param {FakeService} service @returns {Row[]} */
const rowsOf = (service) => service.part('notifications', () => []);
/** @param {FakeService} service @param {Caller} caller */
const ownOf = (service, caller) => rowsOf(service).filter(({ audience }) => sees(caller, audience));
/** @param {FakeService} service @param {Caller} caller */
const unreadOf = (service, caller) => ownOf(service, caller).filter(({ readers }) => !readers.has(caller.userId)).length;

/** @param {FakeService} service @param {Caller} caller @param {(row: Row) => boolean} isRead @param {{ids: number[]} | {upTo: number}} told */
function read(service, caller, isRead, told) {
  const before = unreadOf(service, caller);
  for (const row of ownOf(service, caller)) if (isRead(row)) row.readers.add(caller.userId);
  const unread = unreadOf(service, caller);
  if (unread === before) return { status: 200, body: { unread } };
  service.publish({ user: caller.userId }, { type: 'notification:read', userId: caller.userId, data: { ...told, unread } });
  return { status: 200, headers: { 'Stream-Position': service.log.position }, body: { unread } };
}

/** @param {FakeService} service @param {string} userId who sends it @param {any} given */
export function notify(service, userId, { audience, ...content }) {
  const rows = rowsOf(service);
  const notification = { id: rows.length + 1, audience, level: 'info', ...content, count: 1, userId, at: new Date(service.clock.now()).toISOString() };
  rows.push({ notification, audience, readers: new Set() });
  const unread = audience.user && rows.filter((row) => row.audience.user === audience.user && !row.readers.has(audience.user)).length;
  service.publish(audience, { type: `notification:${notification.level}`, userId, data: { ...notification, ...(unread && { unread }) } });
  return notification;
}

/**
 * A page of what is sorted from new to old.
 * @template T
 * @param {T[]} all
 * @param {URLSearchParams} query
 * @param {number} usual
 */
function pageOf(all, query, usual) {
  const from = Number(query.get('cursor') ?? 0);
  const to = from + Number(query.get('limit') ?? usual);
  return { page: all.slice(from, to), next: to < all.length ? String(to) : null };
}

const ACTION = /^(?!ai:).*:(created|updated|archived|restored|deleted)$|^ai:task:(completed|failed|cancelled)$/;

/** What a record is called: its address when it was created. @param {FakeService} service @param {any} data */
function labelOf({ log }, { module, recordId }) {
  const made = log.events.find(({ data }) => data.action === 'created' && data.module === module && data.recordId === recordId);
  return made?.data.data?.address;
}

/** @type {import('./service.js').Route[]} */
export const inboxRoutes = [
  ['GET', /^\/notifications$/, (service, { caller, query }) => {
    const all = ownOf(service, caller).map(({ notification, readers }) => ({ ...notification, read: readers.has(caller.userId) })).reverse();
    const { page, next } = pageOf(all, query, 50);
    return { status: 200, headers: { 'Stream-Position': service.log.position }, body: { notifications: page, unread: unreadOf(service, caller), next } };
  }],
  ['POST', /^\/notifications$/, (service, { caller, body }) => ({ status: 201, body: notify(service, caller.userId, body) })],
  ['POST', /^\/notifications\/(\d+)\/read$/, (service, { caller, parts: [text] }) => {
    const id = Number(text);
    if (!ownOf(service, caller).some(({ notification }) => notification.id === id)) throw new Problem(404, 'unknown_notification', 'There is no such notification.', { field: 'id' });
    return read(service, caller, ({ notification }) => notification.id === id, { ids: [id] });
  }],
  ['POST', /^\/notifications\/read-all$/, (service, { caller, body }) => {
    const upTo = body?.upTo ?? rowsOf(service).length;
    return read(service, caller, ({ notification }) => notification.id <= upTo, { upTo });
  }],
  ['GET', /^\/activity$/, (service, { caller, query }) => {
    const wanted = ['module', 'recordId'].filter((name) => query.get(name));
    const seen = service.log.events.filter(({ audience, data }) => sees(caller, audience) && ACTION.test(data.type) && wanted.every((name) => data[name] === query.get(name)));
    const acts = seen.map(({ number, data }) => {
      const { type, action, module, recordId, userId, version, timestamp, changes } = data;
      const label = labelOf(service, data);
      const who = userId ?? 'Somebody';
      return { position: service.log.at(number), at: timestamp, userId, userName: who, type, module, recordId, label, version, changes, text: `${who} ${action} ${recordId ?? data.data?.title}` };
    });
    // The cursor is a position, so that a page begins at the same act whatever has happened since.
    const before = Number.parseInt(query.get('cursor') ?? '', 10) || Infinity;
    const older = acts.reverse().filter(({ position }) => Number.parseInt(position, 10) < before);
    const page = older.slice(0, Number(query.get('limit') ?? 20));
    const next = page.length < older.length ? page.at(-1)?.position : null;
    return { status: 200, headers: { 'Stream-Position': service.log.position }, body: { activity: page, next } };
  }],
];
