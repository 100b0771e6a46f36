// The view at /operations, for admins.
import { h } from '../elements/dom.js';
import { chip, empty } from '../elements/elements.js';

/** @param {import('../shell/shell.js').Shell} shell */
export async function start(shell) {
  const state = h('p');
  shell.main.append(h('div.operations', {}, h('h2', {}, 'The service'), state));
  const response = await fetch('/health/ready').catch(() => null);
  state.replaceChildren(response?.ok ? chip('Ready', 'good') : chip('Not ready', 'bad'));
  if (!shell.isAdmin) shell.main.append(empty('For administrators', 'Sign in as an administrator to see connections, tasks and alerts.'));
}
