// A request as somebody would write it: for a terminal, and for a page.

const TOKEN = '$TOKEN';

/** Within single quotes of a shell. */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** @param {{method: string, path: string, body?: unknown, headers?: Record<string, string>}} request */
export function asCurl(base, { method, path, body, headers = {} }) {
  const lines = [`curl -X ${method} ${quoted(base + path)}`, `-H "Authorization: Bearer ${TOKEN}"`];
  for (const [name, value] of Object.entries(headers)) lines.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (body !== undefined) lines.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(body))}`);
  return lines.join(' \\\n  ');
}

export function asJavaScript(base, { method, path, body, headers = {} }) {
  const all = ['Authorization: `Bearer ${token}`', ...Object.entries(headers).map(([name, value]) => `'${name}': ${JSON.stringify(value)}`)];
  if (body !== undefined) all.push("'Content-Type': 'application/json'");
  return [
    `const response = await fetch(${JSON.stringify(base + path)}, {`,
    `  method: '${method}',`,
    `  headers: { ${all.join(', ')} },`,
    ...(body === undefined ? [] : [`  body: JSON.stringify(${JSON.stringify(body)}),`]),
    '});',
    'console.log(response.status, await response.json().catch(() => null));',
  ].join('\n');
}

/** A stream: with curl, and with the client. */
export function streamAsCode(base, { path, query }) {
  const search = new URLSearchParams(query).toString();
  const { since, types, team } = query;
  const options = [
    `url: ${JSON.stringify(base)}`, 'token: () => token',
    ...(path === '/stream' && !team ? [] : [`stream: ${JSON.stringify(path + (team ? `?team=${encodeURIComponent(team)}` : ''))}`]),
    ...(types ? [`types: ${JSON.stringify(types.split(','))}`] : []), ...(since === undefined ? [] : [`since: ${JSON.stringify(since)}`]),
  ];
  return {
    curl: `curl -N ${quoted(`${base}${path}${search && `?${search}`}`)} \\\n  -H "Authorization: Bearer ${TOKEN}"`,
    javaScript: `import { connect } from 'porchlight';\n\nconst client = connect({ ${options.join(', ')} });\nclient.on('*', (event, { position }) => console.log(position, event));`,
  };
}
