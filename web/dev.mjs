// Serves the page from the working tree, in front of a running service, so that a change is there after a reload:
//   node web/dev.mjs http://127.0.0.1:8080 8081
import { readFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { fileURLToPath } from 'node:url';

const [service = 'http://127.0.0.1:8080', port = '8081'] = process.argv.slice(2);
const VIEWS = { '/': 'crm', '/inspector': 'inspector', '/operations': 'operations' };
const KINDS = { js: 'text/javascript', css: 'text/css', html: 'text/html' };
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const read = (name) => readFile(fileURLToPath(new URL(name, import.meta.url)), 'utf8');

async function page(view) {
  const styles = ['tokens', 'elements', 'console', `${view}/${view}`].map((name) => `<link rel="stylesheet" href="/console/console/${name}.css">`);
  const head = `${styles.join('')}<script type="module" src="/console/console/console.js"></script>`;
  const html = await read('console/index.html');
  return html.replace('<!-- styles and scripts -->', head).replaceAll('{view}', view).replaceAll('{title}', view).replaceAll('{script}', `/console/console/${view}/${view}.js`);
}

function pass(incoming, answer) {
  const headers = { ...incoming.headers, host: new URL(service).host, ...(incoming.headers.origin && { origin: service }) };
  const outgoing = request(service + incoming.url, { method: incoming.method, headers }, (got) => {
    answer.writeHead(got.statusCode, got.headers);
    answer.flushHeaders();
    got.on('close', () => got.complete || answer.destroy());
    got.pipe(answer);
  });
  outgoing.on('error', () => answer.destroy());
  answer.on('close', () => outgoing.destroy());
  incoming.pipe(outgoing);
}

createServer(async (incoming, answer) => {
  const { pathname } = new URL(incoming.url, service);
  const view = VIEWS[pathname];
  const isFile = pathname.startsWith('/console/');
  if (!view && !isFile) return pass(incoming, answer);
  try {
    const text = view ? await page(view) : await read(pathname.slice('/console/'.length));
    const kind = view ? KINDS.html : KINDS[pathname.split('.').pop()];
    answer.writeHead(200, { 'Content-Type': kind, 'Cache-Control': 'no-store', 'Content-Security-Policy': POLICY }).end(text);
  } catch {
    answer.writeHead(404).end();
  }
}).listen(Number(port), '127.0.0.1', function said() {
  console.log(`the page: http://127.0.0.1:${this.address().port}`);
});
