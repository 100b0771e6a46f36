// A window over the page, which keeps the focus until it is closed.
import { button, iconButton } from './elements.js';
import { h } from './dom.js';

let count = 0;

/** Opens a dialog with a title, a body, and buttons at its foot: `{ label, run, kind }`. `run` may return false to keep it open. */
export function openDialog({ title, body, acts = [], isNarrow = false, onClose }) {
  count += 1;
  const close = () => dialog.close();
  const heading = h('h2', { id: `dialog-${count}` }, title);
  const foot = acts.map(({ label, run, kind, props }) => button(label, async () => {
    if ((await run?.()) !== false) close();
  }, { kind, ...props }));
  const dialog = h('dialog', { className: `dialog ${isNarrow ? 'narrow' : ''}`.trim(), 'aria-labelledby': heading.id },
    h('div.dialog-head', {}, heading, iconButton('close', 'Close', close)),
    h('div.dialog-body', {}, body),
    foot.length ? h('div.dialog-foot', {}, foot) : null);
  dialog.addEventListener('close', () => {
    dialog.remove();
    onClose?.();
  });
  document.body.append(dialog);
  dialog.showModal();
  return { dialog, close };
}
