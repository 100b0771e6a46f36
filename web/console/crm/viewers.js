// Who else has the record open, and who is typing in it.
import { h, setText } from '../elements/dom.js';
import { avatar } from '../elements/elements.js';
import { once } from '../elements/once.js';

const list = once(() => new Intl.ListFormat('en', { type: 'conjunction' }));

export function showViewers(shell, place, module, id) {
  const isHere = (one) => one.module === module && one.recordId === id;
  const { people, typing } = shell.presence.getSnapshot();
  const others = people.filter(({ userId, viewing }) => userId !== shell.userId && viewing.some(isHere));
  const key = JSON.stringify(others.map(({ userId, status }) => [userId, status, shell.nameOf(userId)]));
  if (place.dataset.key !== key) {
    place.dataset.key = key;
    const names = others.map(({ userId }) => shell.nameOf(userId));
    place.replaceChildren(
      others.length ? h('span.avatars', {}, others.map(({ userId, status }) => avatar(userId, shell.nameOf(userId), { isSmall: true, isAway: status === 'away' }))) : '',
      others.length ? h('span.quiet-text', {}, `${list().format(names)} ${names.length === 1 ? 'has' : 'have'} this open`) : '',
      h('span.typing', { role: 'status' }),
    );
  }
  const typers = [...new Set(typing.filter((one) => isHere(one) && one.userId !== shell.userId).map(({ userId }) => shell.nameOf(userId)))];
  const said = place.querySelector('.typing');
  setText(said, typers.length ? `${list().format(typers)} ${typers.length === 1 ? 'is' : 'are'} typing a note …` : '');
  place.hidden = !others.length && !typers.length;
}
