// The page in a browser, as a person uses it. PAGE_FROM_DISK=1 takes its files from the working tree instead of the binary.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { launchBrowser, Server } from './support.mjs';

const WAIT_MS = 20_000;
const DEV = fileURLToPath(new URL('../dev.mjs', import.meta.url));
/** What a browser says by itself when a request fails or is refused: tests cause that. */
const EXPECTED = /Failed to load resource|net::ERR/;

/** The demo, with settings of its own. `url` is where the page is. */
export class Demo {
  #tokens = new Map();

  static async start(settings = {}) {
    const demo = new Demo();
    demo.server = await Server.start({ PORCHLIGHT_DEMO: 'true', PORCHLIGHT_USER_RATE: '0', ...settings });
    demo.url = demo.server.url;
    if (process.env.PAGE_FROM_DISK) await demo.#serveFromDisk();
    return demo;
  }

  async #serveFromDisk() {
    this.dev = spawn(process.execPath, [DEV, this.server.url, '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(this.dev.stdout, 'data');
    this.url = String(line).match(/http:\S+/)[0];
  }

  async stop() {
    this.dev?.kill();
    await this.server.stop();
  }

  /** It is made once for each: the command that makes it takes longer than most requests. */
  token(user, role = 'agent') {
    const name = `${role} ${user}`;
    if (!this.#tokens.has(name)) this.#tokens.set(name, this.server.token(role, user, 'team-a', 'acme'));
    return this.#tokens.get(name);
  }

  /** A request of a user, as another application makes it. */
  async ask(user, method, path, body, headers = {}) {
    const all = { Authorization: `Bearer ${await this.token(user)}`, 'Content-Type': 'application/json', ...headers };
    const response = await fetch(`${this.server.url}${path}`, { method, headers: all, body: body && JSON.stringify(body) });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.status === 204 ? null : response.json();
  }

  /** A new record of bob, whose page shows it first. */
  create(module, fields, user = 'bob') {
    return this.ask(user, 'POST', `/records/${module}`, fields);
  }

  change(user, module, id, changes) {
    return this.ask(user, 'PATCH', `/records/${module}/${id}?merge=fields`, changes);
  }
}

/** The page of one user, in a browser profile of its own. */
export class Person {
  static async open(browser, demo, user, options = {}) {
    const person = new Person();
    person.demo = demo;
    person.user = user;
    person.context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce', ...options });
    person.context.setDefaultTimeout(WAIT_MS);
    person.complaints = [];
    await person.newPage(`/?as=${user}`);
    await person.page.locator('.record-row').first().waitFor();
    await person.isLive();
    return person;
  }

  /** Another tab of the same browser. */
  async newPage(path = '/') {
    const page = await this.context.newPage();
    page.on('pageerror', (error) => this.complaints.push(error.message));
    page.on('console', (line) => line.type() === 'error' && !EXPECTED.test(line.text()) && this.complaints.push(line.text()));
    await page.goto(`${this.demo.url}${path}`);
    this.page = page;
    return page;
  }

  async isLive() {
    await this.page.locator('body[data-connection=connected][data-state=ready]').waitFor();
  }

  row(hasText) {
    return this.page.locator('.record-row', { hasText });
  }

  async show(module) {
    await this.page.locator('.tabs').getByRole('link', { name: module }).click();
    await this.page.locator(`.records[aria-label="${module}"] .record-row`).first().waitFor();
  }

  /** Opens a record by a click on its row. */
  async openRecord(name) {
    await this.row(name).first().click();
    await this.panel.locator('.pair').first().waitFor();
  }

  get panel() {
    return this.page.locator('section.record');
  }

  field(name, hasText) {
    return this.panel.locator(`dd[data-field="${name}"]`, { hasText });
  }

  /** Opens the editor of a field. */
  async edit(name) {
    await this.field(name).locator('button.value').click();
    return this.field(name).locator('.editor').locator('input, select, textarea');
  }

  async change(name, value) {
    const input = await this.edit(name);
    await input.fill(value);
    await input.press('Enter');
  }

  press(name, options = {}) {
    return this.page.getByRole('button', { name, exact: true, ...options }).first().click();
  }

  toast(hasText) {
    return this.page.locator('.toast', { hasText });
  }

  /** As after signing in: the escrows, without a search, a record or messages. */
  async reset() {
    // A test that failed may have left them.
    await this.context.setOffline(false);
    const [first, ...others] = this.context.pages();
    for (const page of others) await page.close();
    this.page = first;
    await this.page.keyboard.press('Escape');
    await this.page.evaluate(() => { for (const close of document.querySelectorAll('.toast button:last-child')) close.click(); });
    await this.page.evaluate(() => { location.hash = 'leads'; });
    await this.page.locator('.records[aria-label=Leads]').waitFor();
    await this.show('Escrows');
  }

  /** What the page says and shows, for a test that failed. */
  async report() {
    const said = this.complaints.splice(0);
    const shot = `${process.env.PAGE_SHOTS ?? tmpdir()}/failed-${this.user}.png`;
    await this.page.screenshot({ path: shot }).catch(() => {});
    return `\n${this.user}: ${[...said, shot].join('; ')}`;
  }
}

/** The pages of these users, which a file of tests shares: opening one takes seconds. */
export class People {
  static async open(browser, demo, users) {
    const people = new People();
    people.all = await Promise.all(users.map((user) => Person.open(browser, demo, user)));
    return people;
  }

  /** Runs a test with them. It begins with an empty search, no open record and no message; it fails if a page complains. */
  async run(test) {
    await Promise.all(this.all.map((one) => one.reset()));
    try {
      await test(...this.all);
      for (const { complaints } of this.all) if (complaints.length) throw new Error('a page complained');
    } catch (error) {
      for (const one of this.all) error.message += await one.report();
      throw error;
    }
  }

  async close() {
    for (const { context } of this.all) await context.close().catch(() => {});
  }
}

/** For the tests of a `describe`: the demo with these settings, a browser, and the pages of these users. All are closed after them. */
export function openPages(users, settings, given) {
  let demo;
  let browser;
  let people;
  before(async () => {
    [demo, browser] = await Promise.all([Demo.start(settings), launchBrowser()]);
    people = await People.open(browser, demo, users);
    given({ demo, browser, people });
  });
  after(async () => {
    await people?.close();
    await browser?.close();
    await demo?.stop();
  });
}
