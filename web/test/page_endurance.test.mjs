// What a page meets in a long day: many records, what others do meanwhile, addresses that are wrong, a browser that keeps nothing.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openPages } from './page.mjs';
import { chromiumPath, until } from './support.mjs';

const RECORDS = 12;
/** What the list of recent activity and the like may grow by. A record that was not let go has 240 nodes and 30 listeners. */
const NODES_PER_RECORD = 20;
const LISTENERS_PER_RECORD = 2;

describe('the page, all day long', { skip: chromiumPath ? false : 'there is no Chromium here' }, () => {
  let demo;
  let browser;
  let people;
  openPages(['bob', 'cleo'], {}, (opened) => { ({ demo, browser, people } = opened); });

  /** How much the document has, after what nobody refers to is gone. */
  async function sizeOf(context, page) {
    const debug = await context.newCDPSession(page);
    await debug.send('Performance.enable');
    // What is collected may hold the last reference to something else.
    for (let n = 0; n < 3; n += 1) await debug.send('HeapProfiler.collectGarbage');
    const { metrics } = await debug.send('Performance.getMetrics');
    await debug.detach();
    const of = (wanted) => metrics.find(({ name }) => name === wanted).value;
    return { nodes: of('Nodes'), listeners: of('JSEventListeners') };
  }

  async function openRecords({ page }) {
    const ids = await page.locator('.record-row').evaluateAll((rows) => rows.map(({ dataset }) => dataset.id));
    for (let n = 0; n < RECORDS; n += 1) {
      const id = ids[n % ids.length];
      await page.evaluate((path) => { location.hash = path; }, `escrows/${id}`);
      await page.locator(`.record-row.is-open[data-id="${id}"]`).waitFor();
      await page.locator('section.record .pair').first().waitFor();
      await page.getByRole('button', { name: 'More', exact: true }).click();
      await page.keyboard.press('Escape');
    }
    await page.evaluate(() => { location.hash = 'escrows'; });
    await page.locator('section.record').waitFor({ state: 'detached' });
  }

  test('a record that is closed leaves nothing behind', () => people.run(async (bob) => {
    const { context, page } = bob;
    // What is made once for all is made now.
    await openRecords(bob);
    const before = await sizeOf(context, page);
    await openRecords(bob);
    // What is under way for a record that was just closed still holds it.
    let [nodes, listeners] = [];
    await until('the records are gone', async () => {
      const now = await sizeOf(context, page);
      [nodes, listeners] = [now.nodes - before.nodes, now.listeners - before.listeners].map((count) => Math.round(count / RECORDS));
      return nodes < NODES_PER_RECORD && listeners < LISTENERS_PER_RECORD;
    }).catch(() => assert.fail(`each leaves ${nodes} nodes and ${listeners} listeners`));
  }));

  test('a menu closes when the user presses elsewhere, each time', () => people.run(async ({ page }) => {
    for (let n = 0; n < 2; n += 1) {
      await page.getByRole('button', { name: /^You are/ }).click();
      await page.getByRole('menuitem', { name: 'Keys' }).waitFor();
      await page.locator('.dashboard').click({ position: { x: 5, y: 5 } });
      await page.getByRole('menuitem', { name: 'Keys' }).waitFor({ state: 'hidden' });
    }
  }));

  /** The text of what has the focus. */
  const focused = (page) => page.evaluate(() => document.activeElement.textContent);

  test('what has the focus keeps it while others do something', () => people.run(async ({ page }) => {
    const { id, address } = await demo.create('escrows', { address: '1 Focus St', purchasePrice: 1 });
    const links = page.locator('.side .acts a');
    const mine = links.filter({ hasText: address });
    await mine.first().focus();
    const element = await mine.first().elementHandle();
    for (const price of [2, 3]) {
      const text = await links.first().textContent();
      await demo.create('escrows', { address: `${price} Focus St`, purchasePrice: price });
      await until('the newest act is another one', async () => (await links.first().textContent()) !== text);
    }
    assert.ok(await element.evaluate((one) => one === document.activeElement), `the focus is in ${await focused(page)}`);

    await demo.change('cleo', 'escrows', id, { purchasePrice: 4 });
    await page.getByRole('button', { name: /^Notifications, \d+ unread/ }).click();
    const items = page.locator('.inbox-item');
    await items.filter({ hasText: address }).first().focus();
    const item = await items.filter({ hasText: address }).first().elementHandle();
    const other = await demo.create('escrows', { address: '4 Focus St', purchasePrice: 4 });
    await demo.change('cleo', 'escrows', other.id, { purchasePrice: 5 });
    await items.filter({ hasText: other.address }).first().waitFor();
    assert.ok(await item.evaluate((one) => one === document.activeElement), `the focus is in ${await focused(page)}`);
    // The same notification once more: it moves to the top, and so does the focus.
    await demo.change('cleo', 'escrows', id, { purchasePrice: 6 });
    await until('it is the first', async () => (await items.first().textContent()).includes(address));
    assert.match(await focused(page), new RegExp(address));
  }));

  const press = (page, button) => button.focus().then(() => page.keyboard.press('Enter'));
  const isOnBody = (page) => page.evaluate(() => document.activeElement === document.body);

  test('a button that goes away when it was pressed leaves the focus near it', () => people.run(async (bob, cleo) => {
    const { title } = await demo.create('appointments', { title: 'Keys for Ada', status: 'scheduled' });
    const { name } = await demo.create('leads', { name: 'Ada Focus', status: 'new' });
    const { address } = await demo.create('escrows', { address: '9 Focus St', purchasePrice: 1 });
    const { page } = bob;
    await bob.show('Appointments');
    await press(page, page.getByRole('button', { name: `Complete ${title}` }));
    await bob.row(title).getByText('Completed').waitFor();
    assert.equal(await focused(page), title);

    await bob.show('Leads');
    const status = bob.row(name).locator('select');
    await status.focus();
    await status.selectOption('qualified');
    await bob.row(name).locator('select.good').waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.value), 'qualified');

    await bob.show('Escrows');
    for (const one of [bob, cleo]) await one.openRecord(address);
    await bob.edit('purchasePrice');
    await press(cleo.page, cleo.panel.getByRole('button', { name: 'Ask' }));
    await cleo.panel.getByText('Asked: you get it').waitFor();
    assert.equal(await focused(cleo.page), 'View only');
    await cleo.page.keyboard.press('Enter');
    await cleo.panel.getByText('View only: ').waitFor();
    assert.equal(await focused(cleo.page), address);
    await press(page, bob.panel.getByRole('button', { name: 'Hand over' }));
    await bob.panel.getByText('is editing this escrow').waitFor();
    assert.ok(!(await isOnBody(page)));
    await cleo.press('Close the record');

    const { id } = await demo.server.post('/tasks', await demo.token('bob'), { type: 'summarize', title: 'To be cancelled' });
    const card = page.locator(`.task-card[data-task="${id}"]`);
    await press(page, card.getByRole('button', { name: 'Cancel' }));
    await card.getByText('Cancelled', { exact: true }).waitFor();
    assert.equal(await focused(page), 'Output');
    await press(page, card.getByRole('button', { name: 'Dismiss' }));
    await card.waitFor({ state: 'detached' });
    assert.ok(!(await isOnBody(page)));
  }));

  test('who steps from event to event in the inspector keeps the focus, and names come when they are known', () => people.run(async (bob) => {
    // Each of these has a position and a user, and nothing comes between them.
    const ids = [];
    for (const n of [1, 2, 3]) ids.push((await demo.create('escrows', { address: `${n} Step St`, purchasePrice: n })).id);
    const page = await bob.newPage('/inspector#types=escrow:created');
    await bob.isLive();
    await page.locator('.event-row', { hasText: ids[2] }).waitFor();
    await page.locator('.event-row', { hasText: ids[0] }).click();
    const next = page.getByRole('button', { name: 'The next event' });
    const type = page.locator('.event-head h2');
    await next.focus();
    for (const id of ids.slice(1)) {
      await page.keyboard.press('Enter');
      await page.locator('.event-panel dd', { hasText: `escrows/${id}` }).waitFor();
    }
    assert.ok(await next.evaluate((one) => one === document.activeElement), await type.textContent());
    await page.locator('.event-panel dd', { hasText: /^[A-Z]\w+ [A-Z]\w+ \(/ }).waitFor();
  }));

  test('the list marks the open record without a connection too', () => people.run(async (bob) => {
    const { context, page } = bob;
    await context.setOffline(true);
    await page.locator('.badge-button', { hasText: 'Offline' }).waitFor();
    const row = page.locator('.record-row').first();
    await row.click();
    await page.locator('.record-row.is-open').waitFor();
    await page.keyboard.press('Escape');
    await page.locator('.record-row.is-open').waitFor({ state: 'detached' });
    await page.locator('.badge-button').focus();
    assert.match(await page.locator('#badge-facts').textContent(), /Last sync(just now|\d seconds ago)/, 'that was when the connection was lost');
  }));

  test('the status of a lead can be chosen in its row, also if the list comes before the names of the statuses', () => people.run(async (bob) => {
    let answer;
    const isAsked = new Promise((asked) => { answer = asked; });
    await bob.context.route(/\/records$/, async (route) => {
      await isAsked;
      await route.continue();
    });
    await bob.newPage('/#leads');
    await bob.page.locator('.records[aria-label=Leads] .record-row').first().waitFor();
    answer();
    await bob.page.locator('.record-row select').first().waitFor();
    await bob.context.unroute(/\/records$/);
  }));

  test('an address that cannot be read leads to the first dashboard', () => people.run(async (bob) => {
    for (const hash of ['#leads/100%', '#%', '#nothing/like/this', '#escrows/no%2Fsuch']) {
      await bob.newPage(`/${hash}`);
      await bob.isLive();
      await bob.page.locator('.records[aria-label=Escrows] .record-row').first().waitFor();
      await bob.page.close();
    }
  }));

  test('a browser that keeps nothing shows the page all the same', async () => {
    const context = await browser.newContext();
    await context.addInitScript(() => {
      const blocked = { get() { throw new DOMException('Access is denied for this document.', 'SecurityError'); } };
      for (const name of ['localStorage', 'sessionStorage']) Object.defineProperty(globalThis, name, blocked);
    });
    const page = await context.newPage();
    const complaints = [];
    page.on('pageerror', ({ message }) => complaints.push(message));
    await page.goto(demo.url);
    await page.getByRole('button', { name: 'Bob Castillo' }).click();
    await page.locator('.record-row').first().waitFor();
    await page.getByRole('button', { name: /^Notifications/ }).click();
    const sound = page.getByLabel('A soft sound');
    await sound.check();
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: /^Notifications/ }).click();
    assert.ok(await sound.isChecked(), 'the page remembers it');
    await page.getByRole('button', { name: /^You are/ }).click();
    await page.getByRole('menuitem', { name: 'Sign out' }).click();
    await page.getByRole('button', { name: 'Bob Castillo' }).waitFor();
    assert.deepEqual(complaints, []);
    await context.close();
  });
});
