// The page of `porchlight serve --demo`: two users with the same records.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { Server, chromiumPath, launchBrowser, until } from './support.mjs';

const WAIT_MS = 30_000;

/** The page of one user. */
class Console {
  static async open(browser, link) {
    const opened = new Console();
    opened.page = await browser.newPage();
    opened.page.setDefaultTimeout(WAIT_MS);
    opened.complaints = [];
    opened.page.on('pageerror', (error) => opened.complaints.push(error.message));
    opened.page.on('console', (line) => line.text().includes('Content Security Policy') && opened.complaints.push(line.text()));
    await opened.page.goto(link);
    await opened.page.locator('body[data-state=live]').waitFor();
    await opened.rows().first().waitFor();
    return opened;
  }

  at(selector, hasText = '') {
    return this.page.locator(selector, { hasText });
  }

  rows(hasText) {
    return this.at('#rows li', hasText);
  }

  row(id) {
    return this.page.locator(`#rows li[data-id="${id}"]`);
  }

  field(name, hasText) {
    return this.page.locator(`#fields dd[data-field="${name}"]`, { hasText });
  }

  choose(name, value) {
    return this.page.locator(`#records select[name=${name}]`).selectOption(value);
  }

  /** Chooses a module, and waits for its records. */
  async chooseModule(name) {
    await this.choose('kind', name);
    await this.page.locator(`#rows[data-module="${name}"] li`).first().waitFor();
  }

  search(words) {
    return this.page.getByLabel('Search').fill(words);
  }

  /** Opens the only record that these words match. */
  async find(words) {
    await this.search(words);
    await until('one record is found', async () => (await this.rows().count()) === 1);
    await this.rows().getByRole('button').click();
    await this.at('#opened').waitFor();
  }

  press(name) {
    return this.page.getByRole('button', { name, exact: true }).click();
  }

  async type(field, value) {
    await this.press(`Edit ${field}`);
    await this.page.locator('#fields [name=value]').fill(value);
  }

  said(hasText, how = 'good') {
    return this.at(`#changed.${how}`, hasText).waitFor();
  }
}

describe('the demo', { skip: chromiumPath ? false : 'there is no Chromium here' }, () => {
  let server;
  let browser;
  let ann;
  let bob;

  const link = async (role, user) => `${server.url}/#token=${await server.token(role, user, 'team-a', 'acme')}`;

  before(async () => {
    [server, browser] = await Promise.all([Server.start({ PORCHLIGHT_DEMO: 'true' }), launchBrowser()]);
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  beforeEach(async () => {
    [ann, bob] = await Promise.all([
      Console.open(browser, await link('admin', 'ann')),
      Console.open(browser, await link('agent', 'bob')),
    ]);
  });

  afterEach(async () => {
    await Promise.all([ann.page.close(), bob.page.close()]);
    assert.deepEqual([...ann.complaints, ...bob.complaints], []);
  });

  /** Both choose this module, and open a record of it that bob owns. */
  async function openOneOfBobs(module, label) {
    for (const who of [ann, bob]) await who.chooseModule(module);
    const own = bob.page.locator('#rows li', { has: bob.page.locator('.owner', { hasText: /^bob$/ }) });
    const name = await own.locator('.label').nth(label).textContent();
    for (const who of [ann, bob]) await who.find(name);
    return name;
  }

  test('two users of one record see each other\'s changes', async () => {
    await openOneOfBobs('escrows', 0);
    await bob.type('title company', 'Sunnyside Title');
    await bob.press('Save');
    await bob.said('Saved: version 2');
    await ann.field('titleCompany', 'Sunnyside Title').waitFor();
    await ann.type('purchase price', '612345');
    await ann.press('Save');
    await bob.field('purchasePrice', '612,345').waitFor();
    await bob.rows('v3').waitFor();
  });

  test('a conflicting change is not lost, and names the other user', async () => {
    await openOneOfBobs('escrows', 1);
    await ann.type('buyer name', 'Written by Ann');
    await bob.type('buyer name', 'Written by Bob');
    await bob.press('Save');
    await bob.said('Saved');
    await ann.at('#opened-version', 'version 2').waitFor();
    assert.equal(await ann.page.locator('#fields [name=value]').inputValue(), 'Written by Ann');
    await ann.press('Save');
    await ann.said('bob changed buyer name meanwhile. It is Written by Bob now.', 'bad');
    await ann.press('Save');
    await ann.said('Saved: version 3');
    await bob.field('buyerName', 'Written by Ann').waitFor();
  });

  test('a refused change shows the reason, and nothing is changed', async () => {
    await openOneOfBobs('escrows', 2);
    await bob.type('purchase price', '-5');
    await bob.press('Save');
    await bob.said('purchasePrice must be', 'bad');
    await bob.press('Cancel');
    await bob.at('#opened-version', 'version 1').waitFor();
  });

  test('an archived record leaves the other\'s list, and comes back when it is restored', async () => {
    const name = await openOneOfBobs('leads', 0);
    await bob.press('Archive');
    await bob.said('Archived');
    await ann.rows(name).waitFor({ state: 'detached' });
    await ann.at('#opened-version', 'archived').waitFor();
    await ann.choose('status', 'archived');
    await ann.rows(name).waitFor();
    await bob.press('Restore');
    await ann.rows(name).waitFor({ state: 'detached' });
    await bob.rows(name).waitFor();
  });

  test('a list follows its filters, to its end', async () => {
    await ann.chooseModule('clients');
    await until('there is a page', async () => (await ann.rows().count()) === 25);
    await ann.press('More');
    await until('there are more', async () => (await ann.rows().count()) > 25);
    await ann.choose('status', 'past');
    await until('all are of the past', async () => {
      const states = await ann.page.locator('#rows .chip').allTextContents();
      return states.length > 0 && states.every((state) => state === 'past');
    });
    const shown = await ann.rows().count();
    await server.post('/records/clients', await server.token('agent', 'bob', 'team-a', 'acme'), { name: 'Zelda Zimmer', status: 'past' });
    await ann.rows('Zelda Zimmer').waitFor();
    assert.equal(await ann.rows().count(), shown + 1);
    await ann.search('nobody has this name');
    await ann.at('#listed', 'No records.').waitFor();
  });

  test('a private field is masked for others, and they cannot edit it', async () => {
    await bob.chooseModule('escrows');
    const other = bob.page.locator('#rows li', { has: bob.page.locator('.owner', { hasText: /^cleo$/ }) });
    await other.first().getByRole('button').click();
    await bob.field('commission', '[REDACTED]').waitFor();
    assert.equal(await bob.field('commission').getByRole('button').count(), 0);
  });

  test('a change by another is notified on all devices, and read on all', async () => {
    const phone = await Console.open(browser, await link('agent', 'bob'));
    await server.post('/notifications/read-all', await server.token('agent', 'bob', 'team-a', 'acme'), {});
    for (const device of [bob, phone]) await device.at('#unread', /^0$/).waitFor();
    await openOneOfBobs('listings', 0);
    await ann.type('list price', '777000');
    await ann.press('Save');
    for (const device of [bob, phone]) await device.at('#unread.news', /^1$/).waitFor();
    await ann.at('#acts li', 'changed the list price').first().waitFor();
    await bob.at('#inbox li.unread').first().getByRole('button', { name: 'Read' }).click();
    for (const device of [bob, phone]) await device.at('#unread', /^0$/).waitFor();
    await phone.at('#inbox li.read').first().waitFor();
    assert.deepEqual(phone.complaints, []);
    await phone.page.close();
  });

  test('a task shows its progress, and can be cancelled and retried', async () => {
    const worker = await server.token('worker', 'w-1', 'team-a', 'acme');
    const asked = { type: 'summarize', title: 'Summarize the inspection' };
    const { id } = await server.post('/tasks', await server.token('agent', 'bob', 'team-a', 'acme'), asked);
    const row = bob.page.locator(`#jobs li[data-task="${id}"]`);
    await row.locator('.chip', { hasText: 'queued' }).waitFor();
    const claimed = await server.post('/tasks/claim', worker, { types: ['summarize'] });
    const { fence } = claimed;
    for (const percent of [30, 70]) {
      await server.post(`/tasks/${id}/progress`, worker, { fence, percent, message: `${percent} of 100 pages` });
      await until('the bar has grown', async () => (await row.locator('progress').evaluate((bar) => bar.value)) === percent);
    }
    await row.locator('.words', { hasText: '70 of 100 pages' }).waitFor();
    await row.getByRole('button', { name: 'Cancel' }).click();
    await row.locator('.chip', { hasText: 'cancelling' }).waitFor();
    await server.post(`/tasks/${id}/cancelled`, worker, { fence });
    await row.getByRole('button', { name: 'Retry' }).click();
    await bob.at('#jobs li.queued', 'Summarize the inspection').waitFor();
  });

  test('changes while the service is down are shown when it is back', async () => {
    await openOneOfBobs('clients', 1);
    const path = (await ann.page.locator('#opened-version').textContent()).split(',')[0];
    await server.kill();
    for (const who of [ann, bob]) await who.page.locator('body[data-state=reconnecting]').waitFor();
    await server.run();
    const response = await fetch(`${server.url}/records/${path}`, {
      method: 'PATCH',
      headers: { Authorization: `Bearer ${await server.token('agent', 'bob', 'team-a', 'acme')}`, 'Content-Type': 'application/json' },
      body: '{"phone":"(503) 555-0000"}',
    });
    assert.equal(response.status, 200);
    for (const who of [ann, bob]) {
      await who.field('phone', '(503) 555-0000').waitFor();
      await who.rows('v2').waitFor();
    }
  });

  test('a CSV file is imported with steady progress, and its records are there', async () => {
    await bob.chooseModule('leads');
    const lines = Array.from({ length: 10_000 }, (_, n) => `Imported Lead ${n},lead${n}@example.org,new,${n % 100}`);
    const buffer = Buffer.from(`Name,Email,Status,Score\n${lines.join('\n')}\n`);
    await bob.page.locator('#import input').setInputFiles({ name: 'leads.csv', mimeType: 'text/csv', buffer });
    await bob.press('Import');
    const row = bob.at('#jobs li', 'Import leads.csv into leads').first();
    const seen = [];
    await until('the import has ended', async () => {
      const percent = await row.locator('progress').evaluate((bar) => bar.value);
      if (percent !== seen.at(-1)) seen.push(percent);
      return (await row.getAttribute('class')) === 'completed';
    });
    const between = seen.filter((percent) => percent > 0 && percent < 100);
    assert.ok(between.length >= 2, `${seen}`);
    assert.deepEqual(seen, [...seen].sort((one, other) => one - other));
    await bob.find('lead9999@example.org');
    await bob.field('score', '99').waitFor();
    assert.ok((await bob.rows().count()) <= 200);
  });

  test('nothing of one user is shown to the next', async () => {
    await openOneOfBobs('clients', 0);
    await bob.press('Disconnect');
    await until('all is gone', async () => (await bob.rows().count()) === 0);
    assert.equal(await bob.at('#opened').isVisible(), false);
    assert.equal(await bob.at('#acts li').count(), 0);
  });
});
