// A Firefox that is driven by WebDriver BiDi, as far as the tests need it.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { once } from 'node:events';
import WebSocket from 'ws';

/** The path of Firefox, if it is installed. */
export const firefoxPath = ['firefox-esr', 'firefox']
  .flatMap((name) => process.env.PATH.split(delimiter).map((directory) => join(directory, name)))
  .find(existsSync);

export class Firefox {
  #process;
  #profile;
  #socket;
  #count = 0;
  /** @type {Map<number, {resolve: (result: any) => void, reject: (error: Error) => void}>} */
  #waiting = new Map();

  static async start() {
    const firefox = new Firefox();
    firefox.#profile = await mkdtemp(join(tmpdir(), 'porchlight-firefox-'));
    const flags = ['--headless', '--no-remote', '--remote-debugging-port=0', '--profile', firefox.#profile, 'about:blank'];
    firefox.#process = spawn(firefoxPath, flags, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, HOME: firefox.#profile } });
    const address = await firefox.#address();
    firefox.#socket = new WebSocket(`${address}/session`);
    await once(firefox.#socket, 'open');
    firefox.#socket.on('message', (text) => firefox.#receive(JSON.parse(text)));
    await firefox.#send('session.new', { capabilities: {} });
    return firefox;
  }

  async #address() {
    for await (const line of createInterface(this.#process.stderr)) {
      const found = line.match(/WebDriver BiDi listening on (ws:\S+)/);
      if (found) return found[1];
    }
    throw new Error('Firefox has ended');
  }

  #receive({ id, type, result, error, message }) {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (type === 'success') waiting?.resolve(result);
    else waiting?.reject(new Error(`${error}: ${message}`));
  }

  #send(method, params) {
    this.#count += 1;
    const id = this.#count;
    this.#socket.send(JSON.stringify({ id, method, params }));
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  /** Opens a page, and returns a function that runs the source of an async function in it. What it returns passes as JSON. */
  async open(url) {
    const { context } = await this.#send('browsingContext.create', { type: 'tab' });
    await this.#send('browsingContext.navigate', { context, url, wait: 'complete' });
    return async (run, given) => {
      const expression = `(async () => JSON.stringify((await (${run})(${JSON.stringify(given)})) ?? null))()`;
      const answer = await this.#send('script.evaluate', { expression, target: { context }, awaitPromise: true });
      if (answer.type !== 'success') throw new Error(answer.exceptionDetails.text);
      return JSON.parse(answer.result.value);
    };
  }

  async close() {
    const gone = once(this.#process, 'exit');
    this.#socket?.close();
    this.#process.kill();
    await gone;
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}
