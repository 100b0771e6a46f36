// Two people in the CRM: what one does, the other sees at once. Rows of the audit are named by their numbers.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Demo, People } from './page.mjs';
import { chromiumPath, launchBrowser, until } from './support.mjs';

describe('the CRM', { skip: chromiumPath ? false : 'there is no Chromium here' }, () => {
  let demo;
  let browser;
  let people;
  before(async () => {
    [demo, browser] = await Promise.all([Demo.start(), launchBrowser()]);
    people = await People.open(browser, demo, ['bob', 'cleo', 'ann']);
  });
  after(async () => {
    await people?.close();
    await browser?.close();
    await demo?.stop();
  });

  const both = (run) => people.run(run);
  let made = 0;
  /** An escrow with an address of its own, at the top of both lists. */
  async function escrow(fields = {}) {
    made += 1;
    return demo.create('escrows', { address: `${made} Test St`, purchasePrice: 500_000, status: 'open', ...fields });
  }

  test('a visitor signs in with one click, and sees names and currencies, and no ids (10 seconds)', async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(demo.url);
    await page.getByRole('button', { name: 'Bob Castillo' }).click();
    await page.locator('.record-row').first().waitFor();
    await page.locator('.record-row .owner', { hasText: 'Cleo Hartley' }).first().waitFor();
    assert.match(await page.locator('.record-row').first().textContent(), /\$\d/);
    assert.doesNotMatch(await page.locator('main').innerText(), /escrow-\d+|\bteam-a\b|\bbob\b/);
    assert.equal(page.url(), `${demo.url}/`);
    await context.close();
  });

  test('two users edit one record: each sees the change of the other, and who made it (issues 1, 2, 4)', () => both(async (bob, cleo) => {
    const { address } = await escrow();
    for (const one of [bob, cleo]) await one.openRecord(address);
    const requests = [];
    cleo.page.on('request', (request) => request.url().includes('/records/') && requests.push(request.url()));
    await bob.change('purchasePrice', '612345');
    await cleo.field('purchasePrice', '$612,345').waitFor();
    await cleo.field('purchasePrice', 'Changed by Bob Castillo').waitFor();
    await cleo.row(address).getByText('Bob Castillo changed purchase price').waitFor();
    assert.deepEqual(requests, [], 'nothing is fetched again');
    await cleo.change('titleCompany', 'Sunnyside Title');
    await bob.field('titleCompany', 'Sunnyside Title').waitFor();
  }));

  test('what is being typed stays, with its focus, while a colleague changes another field', () => both(async (bob, cleo) => {
    const { id, address } = await escrow();
    await bob.openRecord(address);
    const input = await bob.edit('buyerName');
    await input.fill('Half a na');
    await demo.change('cleo', 'escrows', id, { purchasePrice: 700_000 }).catch(() => {});
    await demo.ask('bob', 'PATCH', `/records/escrows/${id}?merge=fields`, { titleCompany: 'Ticor Title' });
    await bob.field('titleCompany', 'Ticor Title').waitFor();
    await input.press('End');
    await bob.page.keyboard.type('me');
    assert.equal(await input.inputValue(), 'Half a name');
    await input.press('Enter');
    await bob.field('buyerName', 'Half a name').waitFor();
    await cleo.row(address).waitFor();
  }));

  test('editing takes the lock: the other sees who edits, cannot edit, asks, and gets it (issue 7)', () => both(async (bob, cleo) => {
    const { address } = await escrow();
    for (const one of [bob, cleo]) await one.openRecord(address);
    await bob.edit('purchasePrice');
    await cleo.panel.getByText('Bob Castillo is editing this escrow').waitFor();
    await cleo.row(address).getByText('Bob Castillo is editing').waitFor();
    assert.equal(await cleo.field('buyerName').locator('button.value').isDisabled(), true);
    await cleo.press('Ask');
    await bob.panel.getByText('Cleo Hartley asks to edit this escrow').waitFor();
    await bob.press('Hand over');
    await cleo.toast('You can edit this escrow now').waitFor();
    await cleo.change('buyerName', 'Written by Cleo');
    await bob.field('buyerName', 'Written by Cleo').waitFor();
  }));

  test('view only hides the banner, and it is gone when the other has saved', () => both(async (bob, cleo) => {
    const { address } = await escrow();
    for (const one of [bob, cleo]) await one.openRecord(address);
    const input = await bob.edit('purchasePrice');
    await cleo.press('View only');
    await cleo.panel.getByText('View only: Bob Castillo is editing').waitFor();
    await input.fill('510000');
    await input.press('Enter');
    await cleo.panel.locator('.view-only').waitFor({ state: 'detached' });
    await cleo.edit('purchasePrice');
  }));

  test('an administrator takes over, and the other is told', () => both(async (bob, _, ann) => {
    const { address } = await escrow();
    for (const one of [bob, ann]) await one.openRecord(address);
    await bob.edit('purchasePrice');
    await ann.press('Take over');
    await ann.toast('It is yours now').waitFor();
    await bob.field('purchasePrice', 'Somebody has taken over').waitFor();
  }));

  test('a record shows who looks at it and who is typing a note (issues 9, 10)', () => both(async (bob, cleo) => {
    const { address } = await escrow();
    for (const one of [bob, cleo]) await one.openRecord(address);
    await cleo.panel.getByText('Bob Castillo has this open').waitFor();
    await bob.page.getByLabel('Add a note').pressSequentially('Keys are');
    await cleo.panel.getByText('Bob Castillo is typing a note …').waitFor();
    await bob.page.getByLabel('Add a note').fill('Keys are in the box');
    await bob.press('Add note');
    await cleo.panel.locator('.notes', { hasText: 'Bob Castillo: Keys are in the box' }).waitFor();
    await bob.press('Close the record');
    await cleo.panel.getByText('Bob Castillo has this open').waitFor({ state: 'hidden' });
  }));

  test('a refused change is undone, with the reason, and what was typed is kept', () => both(async (bob) => {
    const { address } = await escrow();
    await bob.openRecord(address);
    await bob.change('purchasePrice', '-5');
    await bob.toast('Purchase price was not saved').waitFor();
    const input = bob.field('purchasePrice').locator('.editor input');
    assert.equal(await input.inputValue(), '-5');
    await input.press('Escape');
    await bob.field('purchasePrice', '$500,000').waitFor();
  }));

  test('archive and delete are shown at once and undone with one click', () => both(async (bob, cleo) => {
    const { address } = await escrow();
    for (const act of ['Archive', 'Delete']) {
      await bob.openRecord(address);
      await bob.press('More');
      await bob.page.getByRole('menuitem', { name: act }).click();
      await bob.row(address).waitFor({ state: 'detached' });
      if (act === 'Archive') await cleo.row(address).waitFor({ state: 'detached' });
      await bob.press('Undo');
      await bob.row(address).waitFor();
      await cleo.row(address).waitFor();
      if (await bob.panel.count()) await bob.page.keyboard.press('Escape');
    }
  }));

  test('a new record is there at once, also for the other', () => both(async (bob, cleo) => {
    await bob.show('Leads');
    await cleo.show('Leads');
    await bob.press('New lead');
    await bob.page.getByLabel('Name').fill('Zelda Zimmer');
    await bob.page.getByRole('dialog').getByRole('button', { name: 'Create' }).click();
    await bob.panel.getByRole('heading', { name: 'Zelda Zimmer' }).waitFor();
    await cleo.row('Zelda Zimmer').waitFor();
    await cleo.row('Zelda Zimmer').getByLabel('Status of Zelda Zimmer').selectOption('contacted');
    await bob.field('status', 'Contacted').waitFor();
  }));

  test('an appointment is completed with one click', () => both(async (bob, cleo) => {
    const { title } = await demo.create('appointments', { title: 'Walk-through', startsAt: '2030-01-01T10:00:00Z', status: 'scheduled' });
    for (const one of [bob, cleo]) await one.show('Appointments');
    await bob.page.getByRole('button', { name: `Complete ${title}` }).click();
    await cleo.row(title).getByText('Completed').waitFor();
  }));

  test('a list is searched, filtered and sorted, and follows changes', () => both(async (bob) => {
    await bob.show('Clients');
    await bob.page.getByLabel('Status', { exact: true }).selectOption('past');
    await until('all are of the past', async () => (await bob.page.locator('.record-row .cell-4').allTextContents()).every((text) => text === 'Past'));
    const { name } = await demo.create('clients', { name: 'Yara Young', status: 'past' });
    await bob.row(name).waitFor();
    await bob.page.getByLabel('Search').fill('nobody has this name');
    await bob.page.getByText('Nothing matches').waitFor();
    await bob.press('Show all');
    await bob.page.getByRole('columnheader', { name: 'Budget up to' }).getByRole('button').click();
    await until('it is sorted', async () => {
      const prices = (await bob.page.locator('.record-row .cell-1').allTextContents()).filter(Boolean).map((text) => Number(text.replace(/\D/g, '')));
      return prices.length > 3 && prices.every((price, n) => n === 0 || prices[n - 1] <= price);
    });
  }));

  test('a private field of a colleague is masked and cannot be edited', () => both(async (bob) => {
    const { address } = await demo.create('escrows', { address: '99 Secret St', commission: 5_000 }, 'cleo');
    await bob.openRecord(address);
    await bob.field('commission', 'Private').waitFor();
    assert.equal(await bob.field('commission').locator('button.value').isDisabled(), true);
  }));

  test('a change by another is notified on all devices, with a toast, and read on all (issue 8)', () => both(async (bob, cleo) => {
    const { id } = await escrow();
    const phone = await bob.context.newPage();
    await phone.goto(demo.url);
    await phone.locator('.record-row').first().waitFor();
    await demo.change('cleo', 'escrows', id, { purchasePrice: 777_000 });
    await bob.page.getByRole('button', { name: /Notifications, \d+ unread/ }).waitFor();
    await bob.toast('Cleo Hartley').first().waitFor();
    await phone.getByRole('button', { name: /Notifications, \d+ unread/ }).click();
    await phone.getByText('Mark all as read').click();
    await bob.page.getByRole('button', { name: 'Notifications', exact: true }).waitFor();
    await cleo.page.locator('.acts li', { hasText: 'Cleo Hartley changed the purchase price' }).first().waitFor();
  }));

  test('a notice of the service is a bar that can be closed', () => both(async (bob) => {
    const notice = { audience: { broker: true }, level: 'warning', title: 'Maintenance at 22:00', system: 'maintenance' };
    await demo.server.post('/notifications', await demo.token('crm', 'service'), notice);
    await bob.page.locator('.banner', { hasText: 'Maintenance at 22:00' }).waitFor();
    await bob.page.locator('.banner').getByRole('button', { name: 'Close' }).click();
    await bob.page.locator('.banner').waitFor({ state: 'detached' });
  }));

  test('the header shows who is online, and the badge more on focus (issues 3, 6)', () => both(async (bob, cleo) => {
    await bob.page.getByRole('img', { name: 'Cleo Hartley is online' }).first().waitFor();
    await bob.page.locator('.badge-button').focus();
    await bob.page.locator('#badge-facts', { hasText: /\d people.*now.*A stream.*0 changes/s }).waitFor();
    await cleo.page.goto('about:blank');
    await bob.page.getByRole('img', { name: 'Cleo Hartley is online' }).first().waitFor({ state: 'detached' });
    await cleo.page.goto(demo.url);
  }));

  test('nothing of one user is shown to the next', () => both(async (bob) => {
    await bob.page.getByRole('button', { name: 'You are Bob Castillo' }).click();
    await bob.page.getByRole('menuitem', { name: 'Sign out' }).click();
    await bob.page.getByRole('button', { name: 'Dan Okafor' }).waitFor();
    assert.equal(await bob.page.locator('.record-row, .acts').count(), 0);
    assert.deepEqual(await bob.page.evaluate(() => Object.keys(sessionStorage).filter((key) => /token|session/.test(key))), []);
  }));
});
