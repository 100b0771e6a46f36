// The CRM when the connection fails: nothing is lost, and the page says what happens.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openPages } from './page.mjs';
import { chromiumPath, until } from './support.mjs';

const TABS = 8;
const STREAM = /\/stream(\?|$)/;

describe('the CRM without a connection', { skip: chromiumPath ? false : 'there is no Chromium here' }, () => {
  let demo;
  let browser;
  let people;
  openPages(['bob', 'cleo'], {}, (opened) => { ({ demo, browser, people } = opened); });

  /** The colour of the light in the badge, as people call it. */
  const light = ({ page }) => page.locator('.badge .dot').evaluate((dot) => {
    const [red, green, blue] = getComputedStyle(dot).backgroundColor.match(/\d+/g).map(Number);
    return red > 200 && green > 150 && blue < 120 ? 'yellow' : red > green ? 'red' : green > blue ? 'green' : 'grey';
  });
  const badge = ({ page }, text) => page.locator('.badge-button', { hasText: text }).waitFor();

  test('offline, three edits are counted in the badge, marked in their rows, and sent later (scenario 4, states 1 and 3)', () => people.run(async (bob, cleo) => {
    const made = [];
    for (const n of [1, 2, 3]) made.push(await demo.create('escrows', { address: `${n} Offline Ave`, purchasePrice: 100_000 }));
    await bob.row('3 Offline Ave').waitFor();
    assert.equal(await light(bob), 'green');
    await bob.context.setOffline(true);
    await badge(bob, 'Offline');
    assert.equal(await light(bob), 'red');
    for (const { address } of made) {
      await bob.openRecord(address);
      await bob.change('purchasePrice', '222000');
      await bob.field('purchasePrice', '$222,000').getByText('Waiting to be sent').waitFor();
    }
    await badge(bob, '3 waiting');
    assert.equal(await bob.page.locator('.record-row', { hasText: 'Waiting to be sent' }).count(), 3);
    await bob.context.setOffline(false);
    await badge(bob, 'Live');
    for (const { address } of made) await cleo.row(address).getByText('$222,000').waitFor();
    await until('nothing waits', async () => (await bob.page.locator('.badge-button').textContent()) === 'Live');
  }));

  test('offline, three records are created, and the team has them afterwards (scenario 4)', () => people.run(async (bob, cleo) => {
    await bob.context.setOffline(true);
    await badge(bob, 'Offline');
    for (const n of [1, 2, 3]) {
      await bob.press('New escrow');
      await bob.page.getByLabel('Address').fill(`${n} Created Offline Ct`);
      await bob.page.getByRole('dialog').getByRole('button', { name: 'Create' }).click();
      await bob.panel.getByRole('heading', { name: `${n} Created Offline Ct` }).waitFor();
    }
    await badge(bob, '3 waiting');
    await bob.context.setOffline(false);
    for (const n of [1, 2, 3]) await cleo.row(`${n} Created Offline Ct`).waitFor();
    await until('nothing waits', async () => (await bob.page.locator('.badge-button').textContent()) === 'Live');
  }));

  test('after five minutes without a connection a bar says what to do; a lock ends after five minutes of doing nothing (phases 1 and 4)', () => people.run(async (bob, cleo) => {
    const { address } = await demo.create('escrows', { address: '5 Minutes Mews', buyerName: 'Nobody' });
    const first = bob.page;
    const page = await bob.context.newPage();
    await page.clock.install();
    // A browser that plays to be offline does not do so in workers.
    await page.addInitScript(() => { delete globalThis.SharedWorker; });
    await page.goto(demo.url);
    bob.page = page;
    await bob.isLive();
    for (const one of [bob, cleo]) await one.openRecord(address);
    const input = await bob.edit('buyerName');
    await input.fill('Half a na');
    await cleo.panel.getByText('Bob Castillo is editing this escrow').waitFor();
    await page.clock.fastForward('05:01');
    await cleo.panel.getByText('Bob Castillo is editing this escrow').waitFor({ state: 'detached' });
    await bob.field('buyerName', 'so others may edit').waitFor();
    await bob.isLive();
    await input.press('m');
    await cleo.panel.getByText('Bob Castillo is editing this escrow').waitFor();
    await input.press('Escape');
    await bob.context.setOffline(true);
    await badge(bob, 'Offline');
    await until('the bar is there', async () => {
      await page.clock.fastForward('05:01');
      return (await page.locator('.banner', { hasText: 'no connection for five minutes' }).count()) > 0;
    });
    await bob.context.setOffline(false);
    await page.locator('.banner').waitFor({ state: 'detached' });
    await page.close();
    bob.page = first;
  }));

  test('a collision is shown side by side, and the user decides', () => people.run(async (bob, cleo) => {
    const { id, address } = await demo.create('escrows', { address: '9 Collision Ct', buyerName: 'Nobody', purchasePrice: 100_000 });
    await bob.openRecord(address);
    await bob.context.setOffline(true);
    await badge(bob, 'Offline');
    await bob.change('buyerName', 'Written by Bob');
    await demo.change('bob', 'escrows', id, { buyerName: 'Written elsewhere', purchasePrice: 120_000 });
    await bob.context.setOffline(false);
    const conflict = bob.panel.locator('.conflict');
    await conflict.getByText('Written elsewhere').waitFor();
    await conflict.getByText('Written by Bob').waitFor();
    await bob.row(address).getByText('Needs your decision').waitFor();
    assert.equal(await conflict.getByText('Purchase price').count(), 0, 'another field is no collision');
    await bob.press('Keep these');
    await conflict.waitFor({ state: 'detached' });
    await cleo.openRecord(address);
    await cleo.field('buyerName', 'Written by Bob').waitFor();
    await cleo.field('purchasePrice', '$120,000').waitFor();
  }));

  test('the server is killed and started again: the badge says so, and what was missed is there (scenario 2, state 2)', () => people.run(async (bob, cleo) => {
    const { id, address } = await demo.create('escrows', { address: '1 Restart Rd', purchasePrice: 100_000 });
    for (const one of [bob, cleo]) await one.openRecord(address);
    await demo.server.kill();
    await badge(bob, /Connecting|Error/);
    await until('the light is not green', async () => /yellow|red/.test(await light(bob)));
    await bob.change('titleCompany', 'Written meanwhile');
    await badge(bob, '1 waiting');
    await demo.server.run();
    await demo.change('bob', 'escrows', id, { purchasePrice: 333_000 });
    for (const one of [bob, cleo]) {
      await one.field('purchasePrice', '$333,000').waitFor();
      await one.field('titleCompany', 'Written meanwhile').waitFor();
      await badge(one, 'Live');
    }
  }));

  test('after five attempts the badge shows an error with a button to retry (state 4)', () => people.run(async (bob) => {
    const page = await bob.context.newPage();
    await page.addInitScript(() => { delete globalThis.SharedWorker; });
    await page.route(STREAM, (route) => route.fulfill({ status: 403, contentType: 'application/problem+json', body: '{"code":"origin_not_allowed","status":403,"title":"Forbidden","detail":"no"}' }));
    await page.goto(demo.url);
    await page.locator('.badge[data-state=error]').waitFor();
    await page.unroute(STREAM);
    await page.getByRole('button', { name: 'Retry' }).click();
    await page.locator('.badge[data-state=connected]').waitFor();
    await page.close();
  }));

  test('eight tabs are all live', () => people.run(async (bob) => {
    const first = bob.page;
    const tabs = [];
    for (let n = 1; n < TABS; n += 1) tabs.push(await bob.newPage());
    bob.page = first;
    const { address } = await demo.create('escrows', { address: '8 Tabs Ter', purchasePrice: 100_000 });
    for (const tab of [first, ...tabs]) {
      await tab.locator('.record-row', { hasText: address }).waitFor();
      await tab.locator('.badge[data-state=connected]').waitFor();
    }
    for (const tab of tabs) await tab.close();
  }));

  test('a token that ends is renewed without a word, and one that cannot be asks to sign in again', () => people.run(async (bob) => {
    const context = await browser.newContext();
    const page = await context.newPage();
    const short = await demo.server.token('agent', 'bob', 'team-a', 'acme', ['--ttl', '8s']);
    let asked = 0;
    await page.route('**/demo', async (route) => {
      if (route.request().method() === 'GET') return route.continue();
      asked += 1;
      return asked === 1 ? route.fulfill({ status: 201, json: { token: short, expiresAt: '' } }) : route.continue();
    });
    await page.goto(`${demo.url}/?as=bob`);
    await page.locator('.badge[data-state=connected]').waitFor();
    await until('another token was asked for', async () => asked > 1);
    await page.locator('.badge[data-state=connected]').waitFor();
    await page.goto('about:blank');
    await page.goto(`${demo.url}/#token=not-a-token`);
    await page.locator('.banner', { hasText: 'Your session has ended' }).waitFor();
    assert.equal(new URL(page.url()).hash, '', 'the token does not stay in the address bar');
    await page.getByRole('button', { name: 'Sign in again' }).click();
    await page.getByRole('button', { name: 'Bob Castillo' }).waitFor();
    await context.close();
    await badge(bob, 'Live');
  }));

  test('a person of two brokerages has an outbox for each', async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    for (const broker of ['acme', 'other']) {
      await page.goto('about:blank');
      await page.goto(`${demo.url}/#token=${await demo.server.token('agent', 'bob', 'team-a', broker)}`);
      await page.locator('.badge[data-state=connected]').waitFor();
    }
    const outboxes = async () => (await page.evaluate(() => indexedDB.databases())).map(({ name }) => name);
    await until('both outboxes are there', async () => (await outboxes()).length === 2);
    await context.close();
  });
});
