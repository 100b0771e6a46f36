// Shows a request as curl and as JavaScript.
import { openDialog } from '../elements/dialog.js';
import { h } from '../elements/dom.js';
import { copyButton } from './json.js';

/** One piece of code with a button to copy it; `text` changes with the form. */
export function codeBlock(shell, label, text) {
  const code = h('pre.code', { tabIndex: 0, role: 'group', 'aria-label': label }, text);
  const element = h('div.code-block', {}, h('div.code-head', {}, h('h3', {}, label), copyButton(shell, () => code.textContent)), code);
  return { element, code };
}

export function codeDialog(shell, title, { curl, javaScript }) {
  openDialog({ title, body: [codeBlock(shell, 'curl', curl).element, codeBlock(shell, 'JavaScript', javaScript).element] });
}
