// The bell: unread notifications, their list, and the switches for desktop notifications and sound.
import { notifications } from '../../client/src/feeds.js';
import { h, onceAFrame, setText } from '../elements/dom.js';
import { button, empty, iconButton, skeletons } from '../elements/elements.js';
import { asAgo } from '../elements/format.js';
import { popover } from '../elements/popover.js';
import { isOn, notify, setOn } from './attention.js';

const KINDS = { success: 'good', warning: 'warn', error: 'bad', info: '' };

export function showBell(shell, place) {
  const inbox = notifications(shell.client);
  const count = h('span.count', { hidden: true });
  const bell = iconButton('bell', 'Notifications', null);
  bell.append(count);
  bell.classList.add('bell');
  const list = h('ul.inbox-list');
  const panel = popover(bell, () => [head(shell), list, foot(shell)], { className: 'popover inbox', label: 'Notifications' });
  place.replaceChildren(panel.box);

  const draw = onceAFrame(() => {
    const { unread, notifications: all, status } = inbox.getSnapshot();
    count.hidden = unread === 0;
    setText(count, unread > 99 ? '99+' : String(unread));
    bell.setAttribute('aria-label', unread ? `Notifications, ${unread} unread` : 'Notifications');
    if (status === 'loading') list.replaceChildren(h('li', {}, skeletons(3)));
    else if (!all.length) list.replaceChildren(h('li', {}, empty('Nothing new', 'When a colleague changes one of your records, you see it here.')));
    else list.replaceChildren(...all.map((one) => h('li', {}, item(shell, one, panel.close))));
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

/** A task has its card, and the change of the open record is highlighted in it. */
function isShownAlready({ kind, module, recordId }) {
  if (kind === 'taskEnded') return Boolean(document.querySelector('.task-cards'));
  return kind === 'recordChanged' && location.hash === `#${module}/${encodeURIComponent(recordId)}`;
}

function open(shell, { id, module, recordId }) {
  notifications(shell.client).markRead(id).catch(() => {});
  if (recordId) location.assign(`/#${module}/${encodeURIComponent(recordId)}`);
}

function item(shell, notification, close) {
  const { title, body, at, read, count } = notification;
  return h('button', { type: 'button', className: `inbox-item${read ? '' : ' unread'}`, onClick: () => { close(); open(shell, notification); } },
    h('span.dot', { 'aria-hidden': 'true' }),
    h('span.title', {}, title, count > 1 ? ` (${count} times)` : '', read ? '' : h('span.hidden', {}, ', unread')),
    body ? h('span.quiet-text', {}, body) : null,
    h('span.quiet-text', {}, asAgo(at)));
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
