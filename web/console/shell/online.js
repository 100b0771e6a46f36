// The people who are online, as circles in the header.
import { h, onceAFrame } from '../elements/dom.js';
import { avatar } from '../elements/elements.js';

const MOST = 5;

export function showOnline(shell, place) {
  let shown = '';
  const draw = onceAFrame(() => {
    const { people, online } = shell.presence.getSnapshot();
    const others = people.filter(({ userId }) => userId !== shell.userId);
    const key = JSON.stringify([others.map(({ userId, status }) => [userId, status, shell.nameOf(userId)]), online]);
    if (key === shown) return;
    shown = key;
    const more = others.length - MOST;
    place.replaceChildren(h('div.avatars', { role: 'group', 'aria-label': 'Online' },
      others.slice(0, MOST).map(({ userId, status }) => avatar(userId, shell.nameOf(userId), { isAway: status === 'away', what: ' is online' })),
      more > 0 ? h('span.avatar', { title: `${more} more` }, `+${more}`) : null));
  });
  shell.presence.subscribe(draw);
  shell.people.store.subscribe(draw);
  draw();
}
