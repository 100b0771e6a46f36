// The files of the client for pages: a page on the origin of the service does not exist yet, so they come from a server of their own.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { once } from 'node:events';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export async function serveClient() {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const server = createServer(async (request, response) => {
    const path = new URL(request.url, 'http://x').pathname;
    if (path === '/') return response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>client</title>');
    const text = await readFile(join(root, path)).catch(() => null);
    const type = ['.js', '.mjs'].includes(extname(path)) ? 'text/javascript' : 'text/plain';
    response.writeHead(text ? 200 : 404, { 'Content-Type': type }).end(text ?? '');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => (server.closeAllConnections(), server.close()) };
}
