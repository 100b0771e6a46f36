// A real server in a directory of its own, and a browser.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';

/** What signs the tokens of tests. */
export const SECRET = 'a secret that is for tests alone, and long enough';
const BINARY = process.env.PORCHLIGHT_BIN ?? fileURLToPath(new URL('../../target/debug/porchlight', import.meta.url));
const START_MS = 60_000;
const BROWSER_FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** The path of Chromium, if it is installed. */
export const chromiumPath = ['chromium', 'chromium-browser', 'google-chrome']
  .flatMap((name) => process.env.PATH.split(delimiter).map((directory) => join(directory, name)))
  .find(existsSync);

/** A browser. Its tests fail in the end if a page has thrown or rejected something that nobody has caught. */
export async function launchBrowser() {
  const browser = await chromium.launch({ executablePath: chromiumPath, args: BROWSER_FLAGS });
  const { newContext } = browser;
  const uncaught = [];
  browser.newContext = async (...given) => {
    const context = await newContext.apply(browser, given);
    context.on('weberror', (error) => uncaught.push(String(error.error().stack)));
    return context;
  };
  process.on('exit', () => {
    if (!uncaught.length) return;
    console.error(`nobody has caught: ${uncaught.join('\n')}`);
    process.exitCode = 1;
  });
  return browser;
}

export class Server {
  #dataDirectory;
  #process;
  #address = '127.0.0.1:0';
  #settings;

  /** With settings of its own, as environment variables. */
  static async start(settings = {}) {
    const server = new Server();
    server.#settings = settings;
    server.#dataDirectory = await mkdtemp(join(tmpdir(), 'porchlight-web-'));
    await chmod(server.#dataDirectory, 0o755); // as root, Postgres runs as another user
    await server.run();
    return server;
  }

  get url() {
    return `http://${this.#address}`;
  }

  /** The settings of another instance around the same database. */
  get shared() {
    return { DATABASE_URL: `postgres://postgres@localhost/porchlight?host=${this.database.host}` };
  }

  /** How a script of the CRM connects to the database, which listens only on a socket. */
  get database() {
    return { host: join(this.#dataDirectory, 'socket'), user: 'postgres', database: 'porchlight' };
  }

  get #environment() {
    const { DATABASE_URL, ...inherited } = process.env;
    return {
      ...inherited,
      PORCHLIGHT_ADDR: this.#address,
      PORCHLIGHT_DATA_DIR: this.#dataDirectory,
      JWT_SECRET: SECRET,
      ...this.#settings,
    };
  }

  /** Starts the server, at the same address as before, and waits until it is ready. */
  async run() {
    this.#process = spawn(BINARY, ['serve'], { env: this.#environment, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#address = await this.#announcedAddress();
    await until('the server is ready', async () => (await fetch(`${this.url}/health/ready`)).ok);
  }

  async #announcedAddress() {
    const said = [];
    const announced = new Promise((announce) => {
      for (const output of [this.#process.stdout, this.#process.stderr]) {
        createInterface(output).on('line', (line) => {
          const found = line.match(/listening on http:\/\/(127\.0\.0\.1:\d+)/);
          if (found) announce(found[1]);
          said.push(line);
        });
      }
    });
    const died = once(this.#process, 'exit').then(() => {
      throw new Error(`the server ended:\n${said.join('\n')}`);
    });
    died.catch(() => {}); // later, when it is meant to
    return Promise.race([announced, died]);
  }

  async #end(signal) {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const gone = once(this.#process, 'exit');
    this.#process.kill(signal);
    await gone;
  }

  kill() {
    return this.#end('SIGKILL');
  }

  /** As a deployment does: stops it in order, and starts it again at the same address. */
  async restart() {
    await this.#end('SIGTERM');
    await this.run();
  }

  async stop() {
    await this.#end('SIGTERM');
    await rm(this.#dataDirectory, { recursive: true, force: true });
  }

  async token(role, user = 'u-1', team = 'team-a', broker = 'b-1', more = []) {
    const claims = ['--user', user, '--team', team, '--broker', broker, '--role', role];
    const { stdout } = await promisify(execFile)(BINARY, ['token', ...claims, ...more], { env: this.#environment });
    return stdout.trim();
  }

  /** The answer of a path to a JSON body with this token. */
  async post(path, token, body) {
    const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
    const response = await fetch(`${this.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`${path}: ${await response.text()}`);
    return response.json();
  }

  /** The answer of a path to this user. */
  async get(path, user, team) {
    const headers = { Authorization: `Bearer ${await this.token('agent', user, team)}` };
    return (await fetch(`${this.url}${path}`, { headers })).json();
  }

  /** Releases a lock of any session: `listings/l-1` is free then. */
  async unlock(path, user) {
    const headers = { Authorization: `Bearer ${await this.token('agent', user)}` };
    await fetch(`${this.url}/locks/${path}`, { method: 'DELETE', headers });
  }

  async publish(event) {
    const response = await fetch(`${this.url}/events`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${await this.token('service')}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ audience: { team: 'team-a' }, module: 'listings', ...event }),
    });
    if (!response.ok) throw new Error(`not published: ${await response.text()}`);
  }
}

export async function until(what, isTrue) {
  const deadline = Date.now() + START_MS;
  while (Date.now() < deadline) {
    if (await isTrue().catch(() => false)) return;
    await new Promise((wake) => setTimeout(wake, 50));
  }
  throw new Error(`in vain: ${what}`);
}
