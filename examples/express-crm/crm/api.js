let token; // only in memory

export async function api(method, path, body) {
  const headers = { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` };
  const response = await fetch(`/api/${path}`, { method, headers, body: body && JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

export async function signIn(email) {
  const session = await api('POST', 'login', { email });
  ({ token } = session);
  return session;
}
