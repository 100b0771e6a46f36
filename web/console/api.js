// Requests to the service, in the bearer's name.
import { find } from './elements.js';

/** Asks for something; the token is the one in the form. */
export function ask(method, path, body, { keepalive = false } = {}) {
  const headers = { Authorization: `Bearer ${find('token').value.trim()}` };
  if (body) headers['Content-Type'] = 'application/json';
  return fetch(path, { method, headers, body: body && JSON.stringify(body), keepalive });
}

/** What a refusal says, in words. */
export async function problemOf(response) {
  try {
    const problem = await response.json();
    return problem.detail ?? problem.title ?? `status ${response.status}`;
  } catch {
    return `the service answered with status ${response.status}`;
  }
}
