// Two people of a team see each other's changes in each step, and another brokerage does not. From step 2 on, no list
// is loaded again for it.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { after, afterEach, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { launchBrowser, Server, until } from '../../web/test/support.mjs';

const HERE = new URL('.', import.meta.url);
const MODULES = ['escrows', 'listings', 'clients', 'appointments', 'leads'];
const JWT_SECRET = 'the secret that the CRM and Porchlight share';
const BROKER_QUERY = 'select t.broker_id from users u join teams t on t.id = u.team_id where u.id = $1';
const ANN = 'ann@acme.test';
const BOB = 'bob@acme.test';
const CAROL = 'carol@zenith.test';

/** A port that is free now. The CRM's address must be known before Porchlight starts. */
async function freePort() {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  listener.close();
  return port;
}

describe('the CRM', () => {
  let database; // a Porchlight that is only here for its Postgres
  let porchlight;
  let browser;
  let port;
  let crm;
  let people = [];

  before(async () => {
    execFileSync('npm', ['run', 'build'], { cwd: fileURLToPath(HERE), stdio: 'pipe' });
    database = await Server.start();
    browser = await launchBrowser();
    port = await freePort();
    const client = new pg.Client(database.database);
    await client.connect();
    await client.query(await readFile(new URL('crm/schema.sql', HERE), 'utf8'));
    await client.end();
    porchlight = await Server.start({
      DATABASE_URL: databaseUrl(),
      JWT_SECRET,
      PORCHLIGHT_BROKER_QUERY: BROKER_QUERY,
      PORCHLIGHT_CORS_ORIGINS: `http://127.0.0.1:${port}`,
    });
  });

  afterEach(async () => {
    await Promise.all(people.map((person) => person.page.context().close()));
    people = [];
    if (crm?.exitCode === null) {
      crm.kill();
      await once(crm, 'exit');
    }
  });

  after(async () => {
    await browser?.close();
    await porchlight?.stop();
    await database?.stop();
  });

  function databaseUrl() {
    const { host, user, database: name } = database.database;
    return `postgres://${user}@localhost/${name}?host=${encodeURIComponent(host)}`;
  }

  /** Starts the server of a step. */
  async function run(step) {
    const env = { ...process.env, DATABASE_URL: databaseUrl(), JWT_SECRET, PORT: port, PORCHLIGHT_URL: porchlight.url };
    crm = spawn('node', ['server.js'], { cwd: fileURLToPath(new URL(step, HERE)), env, stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(crm, 'exit').then(() => assert.fail(`the server of ${step} ended`));
    ended.catch(() => {}); // later, when it is meant to
    await Promise.race([once(crm.stdout, 'data'), ended]);
  }

  /** Opens the page and signs in. `prepare` is called with the page before. */
  async function open(email, prepare = () => {}) {
    const page = await (await browser.newContext()).newPage();
    await prepare(page);
    const person = { page, requests: [], escrow: (id) => page.locator(`[id="${id}"] [name=price]`) };
    people.push(person);
    const joined = new Promise((resolve) => {
      page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => payload.startsWith('40{') && resolve()));
    });
    page.on('request', (request) => request.url().includes('/api/') && person.requests.push(request.method()));
    await page.goto(`http://127.0.0.1:${port}/`);
    await page.fill('[name=email]', email);
    await page.keyboard.press('Enter');
    person.joined = () => joined;
    person.live = () => page.waitForSelector('output:text("Live")');
    await until('the lists are loaded', async () => person.requests.filter((method) => method === 'GET').length >= MODULES.length);
    return person;
  }

  /** The escrows that this person sees. */
  async function ids({ page }) {
    await page.waitForSelector('#escrows > div');
    return page.locator('#escrows > div').evaluateAll((rows) => rows.map((row) => row.id));
  }

  async function enter(input, value) {
    await input.fill(value);
    await input.press('Enter');
  }

  const shows = (what, input, value) => until(what, async () => (await input.inputValue({ timeout: 1000 })) === value);

  /** Lets someone add a record to a module, and returns its id. */
  async function add({ page }, module) {
    const rows = page.locator(`#${module} > div`);
    const before = await rows.count();
    await page.click(`#${module} > button`);
    await until('the new record is there', async () => (await rows.count()) === before + 1);
    return rows.last().getAttribute('id');
  }

  /** Bob sees what Ann does, Carol does not, and Bob's page was not loaded again. */
  async function checkEdits({ ann, bob, carol }) {
    const [id] = await ids(ann);
    await bob.page.evaluate(() => { window.isTheSamePage = true; });
    await enter(ann.escrow(id), '777001');
    await shows("Bob sees Ann's edit", bob.escrow(id), '777001');
    await enter(bob.escrow(id), '777002');
    await shows("Ann sees Bob's edit", ann.escrow(id), '777002');
    const added = await add(ann, 'escrows');
    await until('Bob sees the new escrow', () => bob.page.locator(`[id="${added}"]`).count());
    assert.ok(await bob.page.evaluate(() => window.isTheSamePage));
    // What Carol's page would have got before this, it has got by now.
    const own = await add(carol, 'escrows');
    await enter(carol.escrow(own), '5');
    assert.deepEqual(await ids(carol), [own]);
    await carol.page.click(`[id="${own}"] button`);
    await until('the escrow is gone', async () => (await carol.page.locator('#escrows > div').count()) === 0);
  }

  /** The same without a list being loaded again, and in all modules. */
  async function checkStream(everyone) {
    const { ann, bob } = everyone;
    await Promise.all(Object.values(everyone).map((person) => person.live()));
    for (const person of people) person.requests.length = 0;
    await checkEdits(everyone);
    for (const module of MODULES) {
      const added = await add(ann, module);
      const row = bob.page.locator(`#${module} [id="${added}"]`);
      await until(`Bob sees a new record of ${module}`, () => row.count());
      await enter(row.locator('input').first(), `by Bob, in ${module}`);
      await shows('Ann sees the edit', ann.page.locator(`[id="${added}"] input`).first(), `by Bob, in ${module}`);
      await ann.page.click(`[id="${added}"] button`);
      await until(`Bob sees that it is gone`, async () => (await row.count()) === 0);
    }
    for (const person of people) assert.ok(!person.requests.includes('GET'), 'a list was loaded again');
  }

  const openAll = async () => {
    const [ann, bob, carol] = await Promise.all([ANN, BOB, CAROL].map((email) => open(email)));
    return { ann, bob, carol };
  };

  test('of step 1 shows edits by loading the list again', async () => {
    await run('1-socketio');
    const everyone = await openAll();
    await Promise.all(Object.values(everyone).map((person) => person.joined()));
    await checkEdits(everyone);
    assert.ok(everyone.bob.requests.filter((method) => method === 'GET').length > MODULES.length);
  });

  test('of step 2 shows edits without loading the list, and tabs with the old page see them too', async () => {
    await run('2-both');
    const path = fileURLToPath(new URL('1-socketio/dist/browser.js', HERE));
    const old = await open(BOB, (page) => page.route('**/browser.js', (route) => route.fulfill({ path })));
    await old.joined();
    const everyone = await openAll();
    await Promise.all(Object.values(everyone).map((person) => person.live()));
    const [id] = await ids(everyone.ann);
    await enter(everyone.ann.escrow(id), '777003');
    await shows('the old tab sees the edit of the new one', old.escrow(id), '777003');
    await enter(old.escrow(id), '777004');
    await shows('the new tab sees the edit of the old one', everyone.bob.escrow(id), '777004');
    await old.page.context().close();
    people = Object.values(everyone);
    await checkStream(everyone);
  });

  test('of step 3 does the same without Socket.IO', async () => {
    await run('3-porchlight');
    await checkStream(await openAll());
    const answer = await fetch(`http://127.0.0.1:${port}/socket.io/?EIO=4&transport=polling`);
    assert.equal(answer.status, 404);
    for (const file of ['package.json', 'server.js', 'browser.js', 'live.js', 'dist/browser.js']) {
      const text = await readFile(new URL(`3-porchlight/${file}`, HERE), 'utf8');
      assert.ok(!text.includes('socket.io'), file);
    }
  });

  test('of step 3 works without Porchlight, and misses nothing when it is back', async () => {
    await run('3-porchlight');
    const ann = await open(ANN);
    await ann.live();
    const [id] = await ids(ann);
    await porchlight.kill();
    await ann.page.waitForSelector('output:text("Connecting")');
    const bob = await open(BOB); // the list is loaded without a stream
    const [, other] = await ids(bob);
    ann.requests.length = 0;
    await enter(bob.escrow(id), '777005');
    await enter(ann.escrow(other), '777006');
    await porchlight.run();
    await shows("Ann sees Bob's edit", ann.escrow(id), '777005');
    await shows("Bob sees Ann's edit", bob.escrow(other), '777006');
    assert.deepEqual(ann.requests, ['PATCH']);
  });

  test('of step 3 loses no edit that arrives while the list is loaded', async () => {
    await run('3-porchlight');
    const ann = await open(ANN);
    const [id] = await ids(ann);
    let answer;
    const mayAnswer = new Promise((resolve) => { answer = resolve; });
    const bob = await open(BOB, (page) => page.route('**/api/escrows', async (route) => {
      const response = await route.fetch();
      await mayAnswer;
      await route.fulfill({ response });
    }));
    await until('the other lists are there', async () => (await bob.page.locator('#listings').count()) === 1);
    await enter(ann.escrow(id), '777007');
    const later = await add(ann, 'listings');
    await until('both events have arrived', () => bob.page.locator(`[id="${later}"]`).count());
    answer();
    await shows("Bob sees Ann's edit", bob.escrow(id), '777007');
  });
});

describe('the README', () => {
  /** The difference between a file of two steps, as `diff` prints it. */
  function difference(file, before, after) {
    const [from, to] = [`${before}/${file}`, `${after}/${file}`];
    return spawnSync('diff', ['-u', '--label', from, '--label', to, from, to], { cwd: fileURLToPath(HERE), encoding: 'utf8' }).stdout;
  }

  test('shows each line that changes from step to step', async () => {
    const readme = await readFile(new URL('README.md', HERE), 'utf8');
    for (const [before, after, files] of [
      ['1-socketio', '2-both', ['server.js', 'browser.js', 'websocket.js']],
      ['2-both', '3-porchlight', ['server.js', 'browser.js', 'live.js', 'watch.sql']],
    ]) {
      for (const file of files) {
        const lines = difference(file, before, after).trim();
        assert.ok(readme.includes(lines), `README.md lacks this difference:\n${lines}`);
      }
    }
    const watch = await readFile(new URL('2-both/watch.sql', HERE), 'utf8');
    assert.ok(readme.includes(watch.trim()), 'README.md lacks watch.sql');
  });
});
