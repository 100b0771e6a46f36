// A button with a panel or a menu that it opens.
import { h } from './dom.js';

let count = 0;

/**
 * A panel under a button: opened by a click, closed by Escape, a click elsewhere, or when the focus leaves it. `fill` makes its content each time.
 */
export function popover(button, fill, { className = 'popover', label, onClose } = {}) {
  count += 1;
  const panel = h('div', { className, id: `panel-${count}`, role: 'dialog', 'aria-label': label, hidden: true, tabIndex: -1 });
  const box = h('div.menu', {}, button, panel);
  const isOpen = () => !panel.hidden;
  function show(isShown) {
    if (isShown === isOpen()) return;
    if (isShown) panel.replaceChildren(...[fill(close)].flat());
    panel.hidden = !isShown;
    // Only while it is open: what the document calls is kept in memory, with all that it refers to.
    if (isShown) document.addEventListener('pointerdown', closeElsewhere);
    else document.removeEventListener('pointerdown', closeElsewhere);
    button.setAttribute('aria-expanded', String(isShown));
    if (!isShown) onClose?.();
  }
  const closeElsewhere = ({ target }) => !box.contains(target) && show(false);
  const close = () => {
    const hadFocus = panel.contains(document.activeElement);
    show(false);
    if (hadFocus) button.focus();
  };
  button.setAttribute('aria-expanded', 'false');
  button.setAttribute('aria-controls', panel.id);
  button.addEventListener('click', () => show(!isOpen()));
  box.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || !isOpen()) return;
    event.stopPropagation();
    close();
  });
  box.addEventListener('focusout', ({ relatedTarget }) => relatedTarget && !box.contains(relatedTarget) && show(false));
  return { box, panel, isOpen, close, refill: () => isOpen() && panel.replaceChildren(...[fill(close)].flat()) };
}

/** A menu: `items()` are `{ label, run }`, `{ label, href }` or null for a line. Arrow keys move in it. */
export function menu(button, items, label) {
  const made = popover(button, (close) => items().map((item) => {
    if (!item) return h('hr');
    if (item.href) return h('a', { role: 'menuitem', href: item.href, target: item.target, rel: item.target ? 'noopener' : null }, item.label);
    return h('button', { type: 'button', role: 'menuitem', onClick: () => { close(); item.run(); } }, item.label);
  }), { className: 'menu-list', label });
  made.panel.setAttribute('role', 'menu');
  button.setAttribute('aria-haspopup', 'menu');
  button.addEventListener('click', () => made.isOpen() && made.panel.querySelector('[role=menuitem]')?.focus());
  made.panel.addEventListener('keydown', (event) => {
    const all = [...made.panel.querySelectorAll('[role=menuitem]')];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    all.at((all.indexOf(document.activeElement) + step) % all.length)?.focus();
  });
  return made.box;
}
