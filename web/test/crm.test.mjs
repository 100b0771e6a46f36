// Two people in the CRM: what one does, the other sees at once. Rows of the audit are named by their numbers.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Person, openPages } from './page.mjs';
import { chromiumPath, until } from './support.mjs';

describe('the CRM', { skip: chromiumPath ? false : 'there is no Chromium here' }, () => {
  let demo;
  let browser;
  let people;
  // So that a test need not wait long for somebody to be offline.
  openPages(['bob', 'cleo', 'ann'], { PORCHLIGHT_PRESENCE_GRACE_SECONDS: '3' }, (opened) => { ({ demo, browser, people } = opened); });

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

  test('all five modules: what one creates, changes, archives and deletes, the other sees, and another team does not (issue 1, phase 1, scenario 1)', () => both(async (bob, cleo) => {
    const dan = await Person.open(browser, demo, 'dan');
    const requests = [];
    const kinds = { Escrows: 'address', Listings: 'address', Clients: 'name', Appointments: 'title', Leads: 'name' };
    for (const [module, field] of Object.entries(kinds)) {
      for (const one of [bob, cleo, dan]) await one.show(module);
      const note = (request) => /records\/\w+\?/.test(request.url()) && requests.push(request.url());
      cleo.page.on('request', note);
      const name = `Seen by all in ${module}`;
      const path = `/records/${module.toLowerCase()}`;
      const needed = module === 'Appointments' ? { startsAt: '2030-01-01T10:00:00Z' } : {};
      const { id } = await demo.ask('bob', 'POST', path, { [field]: name, ...needed });
      for (const one of [bob, cleo]) await one.row(name).waitFor();
      await demo.ask('cleo', 'PATCH', `${path}/${id}?merge=fields`, { [field]: `${name} again` });
      for (const one of [bob, cleo]) await one.row(`${name} again`).waitFor();
      await demo.ask('bob', 'POST', `${path}/${id}/archive`);
      for (const one of [bob, cleo]) await one.row(name).waitFor({ state: 'detached' });
      await demo.ask('bob', 'POST', `${path}/${id}/restore`);
      for (const one of [bob, cleo]) await one.row(`${name} again`).waitFor();
      assert.equal(await dan.row(name).count(), 0, 'it is of another team');
      await demo.ask('bob', 'DELETE', `${path}/${id}`);
      for (const one of [bob, cleo]) await one.row(name).waitFor({ state: 'detached' });
      cleo.page.off('request', note);
    }
    assert.deepEqual(requests, [], 'no list is fetched again');
    await dan.context.close();
  }));

  test('edit, archive, restore, complete, a status and a note are shown before the service has answered (issue 4, phase 2)', () => both(async (bob) => {
    const { address } = await escrow();
    const { title } = await demo.create('appointments', { title: 'Optimistic walk', startsAt: '2030-01-01T10:00:00Z', status: 'scheduled' });
    const { name } = await demo.create('leads', { name: 'Olga Optimistic', status: 'new' });
    await bob.openRecord(address);
    const answers = await Held.open(bob.page);
    await bob.change('purchasePrice', '654321');
    await bob.field('purchasePrice', '$654,321').waitFor();
    await bob.row(address).getByText('$654,321').waitFor();
    await bob.field('purchasePrice', 'Saving …').waitFor();
    await answers.release();
    await bob.field('purchasePrice', 'Saved').waitFor();
    await answers.hold();
    await bob.page.getByLabel('Add a note').fill('Written at once');
    await bob.press('Add note');
    await bob.panel.locator('.notes', { hasText: 'Written at once' }).waitFor();
    await bob.press('More');
    await bob.page.getByRole('menuitem', { name: 'Archive' }).click();
    await bob.row(address).waitFor({ state: 'detached' });
    await bob.press('Undo');
    await bob.row(address).waitFor();
    await answers.release();
    await bob.show('Appointments');
    await answers.hold();
    await bob.page.getByRole('button', { name: `Complete ${title}` }).click();
    await bob.row(title).getByText('Completed').waitFor();
    await answers.release();
    await bob.show('Leads');
    await answers.hold();
    await bob.page.getByLabel(`Status of ${name}`).selectOption('contacted');
    await bob.toast(`${name} is contacted`).waitFor();
    assert.equal(await bob.page.getByLabel(`Status of ${name}`).inputValue(), 'contacted');
    assert.ok(answers.held > 0, 'nothing was answered');
    await answers.close();
    await until('all is sent', async () => (await bob.page.locator('.badge-button').textContent()) === 'Live');
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
    const input = bob.field('purchasePrice').locator('.editor input');
    await bob.edit('purchasePrice');
    await input.pressSequentially('abc');
    await input.press('Enter');
    await bob.field('purchasePrice').getByText('This is not a number.').waitFor();
    await input.press('Escape');
    await bob.change('purchasePrice', '-5');
    await bob.toast('Purchase price was not saved').waitFor();
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

  test('notifications on the desktop and a soft sound are off until they are switched on, and come once for all tabs (issue 8, phase 4)', () => both(async (bob) => {
    await bob.context.grantPermissions(['notifications'], { origin: demo.url });
    const pages = [bob.page, await bob.context.newPage()];
    await pages[1].goto(demo.url);
    await pages[1].locator('body[data-state=ready][data-connection=connected]').waitFor();
    for (const page of pages) await page.evaluate(recordAttention);
    const all = async () => (await Promise.all(pages.map((page) => page.evaluate(() => globalThis.attention)))).flat();
    let changes = 0;
    const told = async (title) => {
      const { id } = await demo.create('escrows', { address: title, purchasePrice: 1 });
      await demo.change('cleo', 'escrows', id, { purchasePrice: 2 + (changes += 1) });
      for (const page of pages) await page.locator('.toast', { hasText: title }).waitFor();
      return id;
    };
    await told('1 Silent St');
    assert.deepEqual(await all(), [], 'both are off');
    await pages[0].getByRole('button', { name: /^Notifications/ }).click();
    await pages[0].getByLabel('Notifications on the desktop').check();
    await pages[0].getByLabel('A soft sound').check();
    await until('the sound is tried', async () => (await all()).some(({ is }) => is === 'sound'));
    await pages[0].keyboard.press('Escape');
    for (const page of pages) await page.evaluate(() => { globalThis.attention = []; });
    const id = await told('2 Loud Ln');
    await until('there is a notification', async () => (await all()).some(({ is }) => is === 'desktop'));
    await until('it sounds', async () => (await all()).some(({ is }) => is === 'sound'));
    assert.equal((await all()).filter(({ is }) => is === 'sound').length, 1, 'in one tab');
    const shown = (await all()).filter(({ is }) => is === 'desktop');
    assert.equal(new Set(shown.map(({ tag }) => tag)).size, 1, 'the same one, which replaces the other');
    assert.match(`${shown[0].title} ${shown[0].body}`, /Cleo Hartley.*2 Loud Ln/);
    const clicked = await pages[0].evaluate(() => globalThis.shownNotifications.at(-1)?.onclick() ?? true);
    assert.equal(clicked, true);
    await pages[0].waitForURL(`${demo.url}/#escrows/${id}`);
    await pages[0].getByRole('button', { name: /^Notifications/ }).click();
    for (const label of ['Notifications on the desktop', 'A soft sound']) await pages[0].getByLabel(label).uncheck();
    await pages[1].close();
    await pages[0].reload();
    await bob.isLive();
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

  test('the activity begins with the last 20, and older ones come on scrolling (phase 4)', () => both(async (bob) => {
    const items = bob.page.locator('.side .acts li');
    for (let n = 0; n < 25; n += 1) await demo.change('cleo', 'escrows', (await escrow()).id, { purchasePrice: n });
    await bob.page.reload();
    await items.nth(5).waitFor();
    const first = await bob.page.locator('.side .acts time').count();
    assert.ok(first <= 20, `${first} at first`);
    await until('older ones have come', async () => {
      await bob.page.locator('.side .activity').first().evaluate((list) => { list.scrollTop = list.scrollHeight; });
      return (await bob.page.locator('.side .acts time').count()) > 20;
    });
    await bob.isLive();
  }));

  test('nothing of one user is shown to the next', () => both(async (bob) => {
    await bob.page.getByRole('button', { name: 'You are Bob Castillo' }).click();
    await bob.page.getByRole('menuitem', { name: 'Sign out' }).click();
    await bob.page.getByRole('button', { name: 'Dan Okafor' }).waitFor();
    assert.equal(await bob.page.locator('.record-row, .acts').count(), 0);
    assert.deepEqual(await bob.page.evaluate(() => Object.keys(sessionStorage).filter((key) => /token|session/.test(key))), []);
  }));
});

/** Answers to what is written in a page, held back. */
class Held {
  held = 0;
  #waiting = [];
  #isHeld = true;

  static async open(page) {
    const held = new Held();
    held.page = page;
    held.take = async (route) => {
      if (route.request().method() === 'GET') return route.continue();
      if (held.#isHeld) {
        held.held += 1;
        await new Promise((go) => { held.#waiting.push(go); });
      }
      return route.continue().catch(() => {});
    };
    await page.route('**/records/**', held.take);
    return held;
  }

  hold() {
    this.#isHeld = true;
  }

  release() {
    this.#isHeld = false;
    for (const go of this.#waiting.splice(0)) go();
  }

  async close() {
    this.release();
    await this.page.unroute('**/records/**', this.take);
  }
}

/** In a page: notes what is shown on the desktop and what sounds. The page believes that it is hidden. */
function recordAttention() {
  globalThis.attention = [];
  globalThis.shownNotifications = [];
  Object.defineProperty(document, 'hidden', { get: () => true, configurable: true });
  const { requestPermission } = Notification;
  globalThis.Notification = class {
    static permission = 'granted';
    static requestPermission = () => requestPermission.call(Notification);
    constructor(title, { body, tag }) {
      globalThis.attention.push({ is: 'desktop', title, body, tag });
      globalThis.shownNotifications.push(this);
    }
    close() {}
  };
  globalThis.AudioContext = class extends AudioContext {
    constructor() {
      super();
      globalThis.attention.push({ is: 'sound' });
    }
  };
}
