// A balancer with its configuration of `deploy`, in which only addresses, paths and the instances are replaced.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { until } from './support.mjs';

const DEPLOY = fileURLToPath(new URL('../../deploy/', import.meta.url));
const PATH = `${process.env.PATH}${delimiter}/usr/sbin`;
const INSTANCE = /10\.0\.0\.\d+:8080/g;

/** What is replaced in the file of each, and how the program is started with it. */
const KINDS = {
  nginx: {
    file: 'nginx.conf',
    places: ({ directory, port, plainPort }) => [
      ['pid /run/nginx.pid', `pid ${directory}/pid`],
      ['/var/log/nginx/error.log', `${directory}/log`],
      ['/var/lib/nginx/body', `${directory}/body`],
      ['/etc/ssl/porchlight', `${directory}/porchlight`],
      ['listen 80 ', `listen 127.0.0.1:${plainPort} `],
      ['listen 443 ', `listen 127.0.0.1:${port} `],
    ],
    command: (file, directory) => ['nginx', '-p', directory, '-c', file, '-g', 'daemon off;'],
  },
  haproxy: {
    file: 'haproxy.cfg',
    places: ({ directory, port, plainPort }) => [
      ['/etc/haproxy/porchlight.pem', `${directory}/porchlight.pem`],
      ['bind :80\n', `bind 127.0.0.1:${plainPort}\n`],
      ['bind :443 ', `bind 127.0.0.1:${port} `],
    ],
    command: (file) => ['haproxy', '-W', '-db', '-f', file],
  },
  caddy: {
    file: 'Caddyfile',
    places: ({ directory, port, plainPort }) => [
      ['/etc/caddy/porchlight', `${directory}/porchlight`],
      ['http_port 80\n', `http_port ${plainPort}\n`],
      ['live.example.com:443', `127.0.0.1:${port}`],
    ],
    command: (file) => ['caddy', 'run', '--adapter', 'caddyfile', '--config', file],
  },
};

export const BALANCERS = Object.keys(KINDS);

const isInstalled = (program) => PATH.split(delimiter).some((directory) => existsSync(join(directory, program)));

/** A program that is missing here, if one is. */
export const missing = [...BALANCERS, 'openssl'].find((program) => !isInstalled(program));

/** The configuration of a balancer with these replacements. Each must be in the file, so that a test notices when it is not. */
function configuration(text, places, instances) {
  let result = text;
  for (const [from, to] of places) {
    if (!result.includes(from)) throw new Error(`the configuration has no ${from}`);
    result = result.replaceAll(from, to);
  }
  // Lines that name instances follow each other: each group gets a line for each instance.
  const names = (line) => Boolean(line?.match(INSTANCE));
  return result.split('\n').flatMap((line, at, lines) => {
    if (!names(line)) return [line];
    return names(lines[at - 1]) ? [] : instances.map((instance) => line.replaceAll(INSTANCE, instance));
  }).join('\n');
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** A certificate for 127.0.0.1, which nobody else has signed: as two files, and as one. */
async function certify(directory) {
  const [key, crt] = ['key', 'crt'].map((end) => join(directory, `porchlight.${end}`));
  await promisify(execFile)('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    '-keyout', key, '-out', crt, '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1']);
  await writeFile(join(directory, 'porchlight.pem'), `${await readFile(crt)}${await readFile(key)}`);
}

export class Balancer {
  #directory;
  #process;
  #said = '';

  /** One in front of instances, given as `host:port`. */
  static async start(name, instances) {
    const balancer = new Balancer();
    balancer.name = name;
    balancer.#directory = await mkdtemp(join(tmpdir(), `porchlight-${name}-`));
    await chmod(balancer.#directory, 0o755); // workers of nginx run as another user
    await certify(balancer.#directory);
    balancer.port = await freePort();
    balancer.plainPort = await freePort();
    await balancer.#run(instances);
    return balancer;
  }

  get url() {
    return `https://127.0.0.1:${this.port}`;
  }

  async #run(instances) {
    const kind = KINDS[this.name];
    const directory = this.#directory;
    const text = await readFile(join(DEPLOY, kind.file), 'utf8');
    const file = join(directory, kind.file);
    await writeFile(file, configuration(text, kind.places({ directory, port: this.port, plainPort: this.plainPort }), instances));
    const [program, ...flags] = kind.command(file, directory);
    // Caddy's API must not take the port of another Caddy.
    const env = { ...process.env, PATH, HOME: directory, CADDY_ADMIN: `unix/${directory}/admin` };
    this.#process = spawn(program, flags, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const output of [this.#process.stdout, this.#process.stderr]) output.on('data', (text) => { this.#said += text; });
    await until(`${this.name} listens`, async () => {
      if (this.#process.exitCode !== null) return true;
      const socket = connect(this.port, '127.0.0.1');
      await once(socket, 'connect');
      socket.destroy();
      return true;
    });
    if (this.#process.exitCode !== null) throw new Error(`${this.name} ended: ${this.#said}`);
  }

  async stop() {
    if (this.#process.exitCode === null) {
      const ended = once(this.#process, 'exit');
      this.#process.kill('SIGTERM');
      // HAProxy and Caddy wait for streams that are still open.
      const impatient = setTimeout(() => this.#process.kill('SIGKILL'), 2_000);
      await ended;
      clearTimeout(impatient);
    }
    await rm(this.#directory, { recursive: true, force: true });
  }
}
