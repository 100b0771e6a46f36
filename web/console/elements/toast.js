// Short messages in the corner. They go away by themselves, but not while the pointer or the focus is on them.
import { button, iconButton } from './elements.js';
import { h } from './dom.js';

const SHOWN_MS = 6_000;
const MOST = 4;

let region = null;

function place() {
  region ??= document.body.appendChild(h('div.toasts', { role: 'region', 'aria-label': 'Messages' }));
  return region;
}

/**
 * `toast('Archived 12 Oak St', { act: { label: 'Undo', run } })`. Kinds: good, bad, warn. Returns a function that removes it; `onEnd` is told when it is gone.
 */
export function toast(text, { kind = '', act, forMs = SHOWN_MS, onEnd } = {}) {
  const element = h('div', { className: `toast ${kind}`.trim(), role: kind === 'bad' ? 'alert' : 'status' });
  let timer;
  const end = () => {
    clearTimeout(timer);
    if (!element.isConnected) return;
    element.remove();
    onEnd?.();
  };
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(end, forMs);
  };
  element.append(
    h('p', {}, text),
    act ? button(act.label, () => { act.run(); end(); }, { kind: 'small' }) : '',
    iconButton('close', 'Dismiss', end, { kind: 'quiet small' }),
  );
  for (const type of ['pointerenter', 'focusin']) element.addEventListener(type, () => clearTimeout(timer));
  for (const type of ['pointerleave', 'focusout']) element.addEventListener(type, wait);
  const all = place();
  while (all.children.length >= MOST) all.firstElementChild.remove();
  all.append(element);
  wait();
  return end;
}
