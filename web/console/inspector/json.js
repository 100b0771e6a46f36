// JSON as elements, with a colour for each kind of value.
import { h } from '../elements/dom.js';

/** What is longer is shown without colours: each value is an element. */
const MOST_CHARACTERS = 20_000;
const TOKENS = /("(?:\\.|[^"\\])*")(\s*:)?|\b(true|false|null)\b|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/g;

function kindOf([, text, colon, word, number]) {
  if (text) return colon ? 'name' : 'text';
  if (word) return 'word';
  return number ? 'number' : '';
}

/** @param {unknown} value */
export function jsonElement(value, label) {
  const text = JSON.stringify(value, null, 2) ?? '';
  const element = h('pre.json', { tabIndex: 0, role: 'group', 'aria-label': label });
  if (text.length > MOST_CHARACTERS) {
    element.append(text);
    return element;
  }
  let from = 0;
  for (const found of text.matchAll(TOKENS)) {
    const [whole, , colon = ''] = found;
    element.append(text.slice(from, found.index), h('span', { className: `json-${kindOf(found)}` }, whole.slice(0, whole.length - colon.length)), colon);
    from = found.index + whole.length;
  }
  element.append(text.slice(from));
  return element;
}

/** A button that copies a text, and says so. */
export function copyButton(shell, text, label = 'Copy') {
  return h('button.button.small', { type: 'button', onClick: async () => {
    try {
      await navigator.clipboard.writeText(text());
      shell.toast('Copied.', { kind: 'good' });
    } catch {
      shell.toast('The browser does not allow this page to copy. Select the text instead.', { kind: 'warn' });
    }
  } }, label);
}
