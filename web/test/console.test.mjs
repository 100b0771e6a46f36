// The page in a real browser, with a real server.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { Server, chromiumPath, launchBrowser } from './support.mjs';

const WAIT_MS = 30_000;

describe('the page', { skip: chromiumPath ? false : 'there is no Chromium here' }, () => {
  let server;
  let browser;
  let page;
  let complaints;

  before(async () => {
    [server, browser] = await Promise.all([Server.start(), launchBrowser()]);
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  beforeEach(async () => {
    page = await browser.newPage();
    page.setDefaultTimeout(WAIT_MS);
    complaints = [];
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (line) => line.text().includes('Content Security Policy') && complaints.push(line.text()));
  });

  afterEach(async () => {
    await page.close();
    assert.deepEqual(complaints, []);
  });

  const state = (name) => page.locator(`body[data-state=${name}]`).waitFor();
  const rows = (text) => page.locator('#events li', { hasText: text });

  async function open(role) {
    await page.goto(`${server.url}/#token=${await server.token(role)}`);
    await state('live');
  }

  test('an event that is published appears, and its JSON on a click', async () => {
    await open('agent');
    await server.publish({ type: 'listing:updated', recordId: 'l-7', changes: { listPrice: 395000 } });
    await rows('listings/l-7').click();
    assert.match(await rows('listings/l-7').locator('pre').textContent(), /"listPrice": 395000/);
    assert.match(await page.locator('#position').textContent(), /^\d+-\w+$/);
  });

  test('an event that is published with the form appears', async () => {
    await open('service');
    await page.getByRole('button', { name: 'Publish' }).click();
    await rows('listing:sold').waitFor();
    assert.match(await page.locator('#published').textContent(), /^Published at \d+-\w+$/);
  });

  test('a user that may not publish gets the reason', async () => {
    await open('agent');
    await page.getByRole('button', { name: 'Publish' }).click();
    await page.locator('#published.bad', { hasText: 'service' }).waitFor();
  });

  test('the content of an event is shown as text, never as HTML', async () => {
    await open('agent');
    await server.publish({ type: 'listing:updated', recordId: 'l-8', data: { note: '<img src=x alt=oops>' } });
    await rows('listings/l-8').click();
    assert.match(await rows('listings/l-8').locator('pre').textContent(), /<img src=x/);
    assert.equal(await page.locator('#events img').count(), 0);
  });

  test('after the server was killed it reconnects, and shows missed events once', async () => {
    await open('agent');
    await server.publish({ type: 'listing:updated', recordId: 'before' });
    await rows('listings/before').waitFor();
    await server.kill();
    await state('reconnecting');
    await server.run();
    await server.publish({ type: 'listing:updated', recordId: 'meanwhile' });
    await state('live');
    await server.publish({ type: 'listing:updated', recordId: 'afterwards' });
    await rows('listings/afterwards').waitFor();
    const shown = await page.locator('#events .record').allTextContents();
    assert.deepEqual(shown, ['listings/afterwards', 'listings/meanwhile', 'listings/before']);
  });

  test('a bad token is refused with an explanation', async () => {
    await page.goto(`${server.url}/#token=not-a-token`);
    await state('ended');
    assert.match(await page.locator('#state').textContent(), /^ended: .*token/);
  });

  test('a token in the link does not stay in the address bar', async () => {
    await open('agent');
    assert.equal(page.url(), `${server.url}/`);
    await page.reload();
    await state('live');
  });
});
