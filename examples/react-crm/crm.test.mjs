// Two people of a team work in the five dashboards, as built by Vite.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { launchBrowser, Server, until } from '../../web/test/support.mjs';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const NAMES = { escrows: 'address', listings: 'address', clients: 'name', appointments: 'title', leads: 'name' };
const TYPES = { '.js': 'text/javascript', '.css': 'text/css', '.html': 'text/html' };
const [major, minor] = process.versions.node.split('.').map(Number);
const skip = major < 20 || (major === 20 && minor < 19) ? 'Vite needs Node.js 20.19 or newer' : false;

test('the application has less than 400 lines', async () => {
  const files = ['index.html', 'vite.config.js', ...(await readdir(join(HERE, 'src'))).map((name) => `src/${name}`)];
  const texts = await Promise.all(files.map((name) => readFile(join(HERE, name), 'utf8')));
  assert.ok(texts.join('').split('\n').length < 400);
});

describe('the CRM', { skip }, () => {
  let directory;
  let pages;
  let server;
  let browser;
  let ann;
  let bob;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'react-crm-'));
    pages = createServer(async ({ url }, response) => {
      const name = url === '/' ? '/index.html' : url;
      const content = await readFile(join(directory, name)).catch(() => null);
      response.writeHead(content ? 200 : 404, { 'Content-Type': TYPES[extname(name)] ?? 'text/plain' }).end(content);
    }).listen(0, '127.0.0.1');
    await once(pages, 'listening');
    const origin = `http://127.0.0.1:${pages.address().port}`;
    [server, browser] = await Promise.all([Server.start({ PORCHLIGHT_CORS_ORIGINS: origin }), launchBrowser()]);
    const env = { ...process.env, VITE_PORCHLIGHT_URL: server.url, NODE_ENV: 'production' };
    execFileSync(process.execPath, ['node_modules/vite/bin/vite.js', 'build', '--outDir', directory, '--emptyOutDir', '--logLevel', 'warn'], { cwd: HERE, env, stdio: 'pipe' });
    [ann, bob] = await Promise.all(['ann', 'bob'].map((user) => open(origin, user)));
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
    pages?.close();
    if (directory) await rm(directory, { recursive: true });
  });

  async function open(origin, user) {
    const page = await (await browser.newContext()).newPage();
    const person = { page, lists: 0, errors: [] };
    page.on('request', (request) => {
      if (request.method() === 'GET' && /\/records\/\w+$/.test(new URL(request.url()).pathname)) person.lists += 1;
    });
    page.on('pageerror', (error) => person.errors.push(error.message));
    page.on('dialog', (dialog) => {
      person.errors.push(dialog.message());
      dialog.dismiss();
    });
    await page.goto(`${origin}/#token=${await server.token('agent', user)}`);
    await page.waitForSelector('[role=status]:text("Live")');
    return person;
  }

  const cell = ({ page }, id, n) => page.locator(`tr[id="${id}"] td`).nth(n);
  const shows = (what, locator, text) => until(what, async () => (await locator.textContent({ timeout: 1_000 })).includes(text));

  /** Writes a field of the open record. */
  async function enter({ page }, field, value) {
    await page.locator(`aside [name=${field}]`).fill(value);
    await page.locator(`aside [name=${field}]`).press('Enter');
  }

  /** Adds a record, which opens it, and returns its id. */
  async function add({ page }) {
    await page.click('.tools button');
    await page.waitForSelector('tr[aria-selected=true]');
    return page.locator('tr[aria-selected=true]').getAttribute('id');
  }

  async function goTo(title) {
    for (const { page } of [ann, bob]) {
      await page.click(`nav button:text("${title}")`);
      await page.waitForSelector('table[aria-busy=false]');
    }
  }

  for (const [module, name] of Object.entries(NAMES)) {
    test(`shows changes of ${module} without loading the list again`, async () => {
      await goTo(module[0].toUpperCase() + module.slice(1));
      const { lists } = bob;
      const id = await add(ann);
      await bob.page.waitForSelector(`tr[id="${id}"]`);
      await enter(ann, name, `By Ann, in ${module}`);
      const status = ann.page.locator('aside [name=status]');
      const last = (await status.locator('option').allTextContents()).at(-1);
      await status.selectOption(last);
      await shows("Bob sees Ann's edit", cell(bob, id, 0), `By Ann, in ${module}`);
      await shows('Bob sees the status', cell(bob, id, 1), last);
      await ann.page.click('aside button:text("Archive")');
      await until('the record is gone for Bob', async () => (await bob.page.locator(`tr[id="${id}"]`).count()) === 0);
      assert.equal(bob.lists, lists);
    });
  }

  test('locks a record while it is edited, and shows who is there', async () => {
    await goTo('Leads');
    const id = await add(ann);
    // It is stored then: what is not there yet cannot be locked.
    const row = bob.page.locator(`tr[id="${id}"]`);
    await row.waitFor();
    await ann.page.focus('aside [name=name]');
    await row.click();
    await bob.page.waitForSelector('aside .banner:text("ann edits this")');
    await bob.page.waitForSelector('aside fieldset[disabled]');
    await bob.page.waitForSelector('aside .here i[title=ann]');
    await bob.page.click('aside button:text("Ask for it")');
    await ann.page.click('aside button:text("Give it")');
    await bob.page.waitForSelector('aside fieldset:not([disabled])');
    await enter(bob, 'name', 'Bobby');
    await shows("Ann sees Bob's edit", cell(ann, id, 0), 'Bobby');
    for (const { page } of [ann, bob]) await page.click('aside button:text("Close")');
  });

  test('shows a task with its text, its end in the inbox, and what was done', async () => {
    await goTo('Leads');
    await server.post('/records/leads', await server.token('agent', 'bob'), { name: 'Lead of Bob' });
    await ann.page.click('.side button:text("Tasks")');
    await ann.page.click('.panel button:text("Summarise leads")');
    const worker = await server.token('worker', 'w-1');
    const { task, fence } = await server.post('/tasks/claim', worker, { types: ['summarize'], waitSeconds: 20 });
    await server.post(`/tasks/${task.id}/progress`, worker, { fence, percent: 40, message: 'Reading leads' });
    await server.post(`/tasks/${task.id}/output`, worker, { fence, offset: 0, text: 'Grüß Gott, ' });
    await shows('Ann sees the text', ann.page.locator('.panel pre'), 'Grüß Gott');
    await shows('Ann sees the progress', ann.page.locator('.panel'), '40 %');
    await server.post(`/tasks/${task.id}/complete`, worker, { fence, result: { leads: 1 }, message: 'Done' });
    await shows('Ann sees the end', ann.page.locator('.panel'), 'completed');
    await until('Ann is notified', async () => /Notifications \d/.test(await ann.page.locator('.side').textContent()));
    await ann.page.click('.side button:text("Notifications")');
    await shows('the end of the task is there', ann.page.locator('.panel'), 'Summary of leads');
    await ann.page.click('.panel button:text("Mark all as read")');
    await until('nothing is unread', async () => (await ann.page.locator('.side').textContent()).includes('Notifications Activity'));
    await ann.page.click('.side button:text("Activity")');
    await shows('Ann sees what Bob did', ann.page.locator('.panel'), 'Lead of Bob');
    await ann.page.click('.side button:text("Activity")');
  });

  test('works offline, and sends what was written once it is back', async () => {
    await goTo('Clients');
    const id = await add(ann);
    await bob.page.waitForSelector(`tr[id="${id}"]`);
    await ann.page.context().setOffline(true);
    await ann.page.waitForSelector('[role=status]:text("Offline")');
    await enter(ann, 'name', 'Written offline');
    await shows('Ann sees her edit', cell(ann, id, 0), 'Written offline');
    await ann.page.context().setOffline(false);
    await shows('Bob sees it', cell(bob, id, 0), 'Written offline');
    await ann.page.waitForSelector('[role=status]:text("Live")');
  });

  test('reports no error', () => {
    assert.deepEqual([...ann.errors, ...bob.errors], []);
  });
});
