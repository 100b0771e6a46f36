// Maintenance and broadcast notices, as bars that stay until they are closed.

import { notifications } from '../../client/src/feeds.js';

export function followNotices(shell) {
  const inbox = notifications(shell.client);
  const shown = new Set();
  function show({ id, title, body, level, system, message }) {
    const key = id ?? `${title}${message}`;
    if (shown.has(key)) return;
    shown.add(key);
    const text = [title, body ?? message].filter(Boolean).join(': ') || 'The service has a notice for you.';
    const kind = system === 'maintenance' || level === 'warning' ? 'warn' : level === 'error' ? 'bad' : '';
    const onClose = () => typeof id === 'number' && inbox.markRead(id).catch(() => {});
    shell.bars.show(system === 'maintenance' ? `Maintenance. ${text}` : text, { kind, onClose });
  }
  shell.client.on('system:*', ({ type, data }) => show({ system: type.slice('system:'.length), ...data }));
  const draw = () => inbox.getSnapshot().notifications.filter(({ system, read }) => system && !read).forEach(show);
  inbox.subscribe(draw);
  draw();
}
