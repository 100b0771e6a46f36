// Requests to the service, with the token of the form.
import { find } from './elements.js';

/**
 * Sends a request with the token of the form. A body is sent as JSON, unless it has
 * another `type`.
 */
export function ask(method, path, body, { keepalive = false, headers = {}, type = 'application/json' } = {}) {
  const all = { Authorization: `Bearer ${find('token').value.trim()}`, ...headers };
  if (body) all['Content-Type'] = type;
  const isJson = type === 'application/json';
  return fetch(path, { method, headers: all, body: body && isJson ? JSON.stringify(body) : body, keepalive });
}

/** The sentence of a refusal. */
export async function problemOf(response) {
  try {
    const problem = await response.json();
    return problem.detail ?? problem.title ?? `status ${response.status}`;
  } catch {
    return `the service answered with status ${response.status}`;
  }
}

export const SILENCE = 'The service does not answer';

/** The answer, if it succeeded. Otherwise `say` is called with a sentence. */
export async function attempt(asked, say) {
  try {
    const response = await asked;
    if (response.ok) return response;
    say(await problemOf(response));
  } catch {
    say(SILENCE);
  }
  return null;
}
