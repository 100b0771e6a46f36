// The bell: unread notifications, their list, and the switches for desktop notifications and sound.
import { notifications } from '../../client/src/feeds.js';
import { h, onceAFrame, setText } from '../elements/dom.js';
import { button, empty, iconButton, skeletons } from '../elements/elements.js';
import { asAgo } from '../elements/format.js';
import { KeyedRows } from '../elements/keyed_rows.js';
import { popover } from '../elements/popover.js';
import { isOn, notify, setOn } from './attention.js';

const RENEW_MS = 30_000;
const KINDS = { success: 'good', warning: 'warn', error: 'bad', info: '' };

export function showBell(shell, place) {
  const inbox = notifications(shell.client);
  const count = h('span.count', { hidden: true });
  const bell = iconButton('bell', 'Notifications', null);
  bell.append(count);
  bell.classList.add('bell');
  const list = h('ul.inbox-list');
  const rows = new KeyedRows(list);
  let renewing;
  const fill = () => {
    draw();
    renewing = setInterval(draw, RENEW_MS);
    return [head(shell), list, foot(shell)];
  };
  const panel = popover(bell, fill, { className: 'popover inbox', label: 'Notifications', onClose: () => clearInterval(renewing) });
  place.replaceChildren(panel.box);

  const draw = onceAFrame(() => {
    const { unread, notifications: all, status } = inbox.getSnapshot();
    count.hidden = unread === 0;
    setText(count, unread > 99 ? '99+' : String(unread));
    bell.setAttribute('aria-label', unread ? `Notifications, ${unread} unread` : 'Notifications');
    if (status === 'loading') rows.set([{ key: 'loading', make: () => h('li', {}, skeletons(3)) }]);
    else if (!all.length) rows.set([{ key: 'nothing', make: () => h('li', {}, empty('Nothing new', 'When a colleague changes one of your records, you see it here.')) }]);
    else rows.set(all.map((one) => ({ key: String(one.id), make: () => h('li', {}, item(shell, one, panel.close)), update: ({ firstChild }) => updateItem(firstChild, one) })));
  });
  inbox.subscribe(draw);
  draw();
  shell.client.on(['notification:*', 'system:*'], ({ type, data }) => {
    if (type !== 'notification:read' && typeof data?.id === 'number' && !data.system) announce(shell, data);
  });
}

/** A new one: a toast, and what the user has switched on. */
function announce(shell, notification) {
  const { title, body, level } = notification;
  const act = notification.recordId ? { label: 'Open', run: () => open(shell, notification) } : undefined;
  if (!isShownAlready(notification)) shell.toast(body ? `${title}: ${body}` : title, { kind: KINDS[level], act });
  notify({ id: notification.id, title, body, onClick: () => open(shell, notification) });
}

/** A task has its card. The open record shows who has changed it, and who asks for its lock. */
function isShownAlready({ kind, module, recordId }) {
  if (kind === 'taskEnded') return Boolean(document.querySelector('.task-cards'));
  return ['recordChanged', 'lockRequested'].includes(kind) && location.hash === `#${module}/${encodeURIComponent(recordId)}`;
}

function open(shell, { id, module, recordId }) {
  notifications(shell.client).markRead(id).catch(() => {});
  if (recordId) location.assign(`/#${module}/${encodeURIComponent(recordId)}`);
}

function item(shell, notification, close) {
  return h('button', { type: 'button', onClick: () => { close(); open(shell, notification); } },
    h('span.dot', { 'aria-hidden': 'true' }), h('span.title', {}, h('span'), h('span.hidden')), h('span.quiet-text'), h('span.quiet-text'));
}

function updateItem(element, { title, body, at, read, count }) {
  const [, heading, text, time] = element.children;
  element.className = `inbox-item${read ? '' : ' unread'}`;
  setText(heading.firstChild, count > 1 ? `${title} (${count} times)` : title);
  setText(heading.lastChild, read ? '' : ', unread');
  setText(text, body ?? '');
  text.hidden = !body;
  setText(time, asAgo(at));
}

function head(shell) {
  return h('div.inbox-head', {}, h('h2', {}, 'Notifications'),
    button('Mark all as read', () => notifications(shell.client).markAllRead().catch((error) => shell.toast(error.message, { kind: 'bad' })), { kind: 'small' }));
}

function foot({ toast }) {
  const switches = [['desktop', 'Notifications on the desktop'], ['sound', 'A soft sound']];
  return h('div.inbox-foot', {}, switches.map(([name, label]) => {
    const input = h('input', { type: 'checkbox', checked: isOn(name), onChange: async () => {
      const isWanted = input.checked;
      input.checked = await setOn(name, isWanted);
      if (isWanted && !input.checked) toast('The browser does not allow notifications of this page. Allow them in its settings of the page, and switch them on again.', { kind: 'warn' });
    } });
    return h('label.switch', {}, input, label);
  }));
}
