// The inspector: the raw stream, its connection, and requests to send.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Demo } from './page.mjs';
import { chromiumPath, launchBrowser, until } from './support.mjs';
import { View } from './views.mjs';

const isLong = process.env.PORCHLIGHT_TEST_LONG === '1';

describe('the inspector', { skip: chromiumPath ? false : 'there is no Chromium here' }, () => {
  let demo;
  let browser;
  let view;
  let page;
  before(async () => {
    [demo, browser] = await Promise.all([Demo.start(), launchBrowser()]);
    view = await View.open(browser, demo.url, '/inspector?as=bob');
    page = view.page;
  });
  after(async () => {
    await view?.close();
    await browser?.close();
    await demo?.stop();
  });

  const rows = (hasText) => page.locator('.event-row:not([hidden])', { hasText });
  const tab = (name) => page.getByRole('tab', { name, exact: true }).click();
  const history = (hasText) => page.locator('.history li', { hasText });
  const isLive = () => page.locator('main[data-stream=connected]').waitFor();
  let made = 0;
  /** An escrow whose id is in its event. */
  async function escrow() {
    made += 1;
    return demo.create('escrows', { address: `${made} Inspector Way`, purchasePrice: 500_000, status: 'open' });
  }
  /** Opens a stream as its address says. */
  async function inspect(choice = { from: 'now' }) {
    await page.evaluate((hash) => { location.hash = hash; }, new URLSearchParams({ n: String(made += 1), ...choice }).toString());
    await isLive();
  }

  test('it begins with the last events, and shows a change with its position and its delay', () => view.run(async () => {
    await isLive();
    await rows('appointment:created').first().waitFor();
    const { id } = await escrow();
    const row = rows(`escrows/${id}`);
    await row.waitFor();
    assert.equal(await row.locator('.type').textContent(), 'escrow:created');
    assert.match(await row.locator('.position').textContent(), /^\d+$/);
    assert.match(await row.locator('.delay').textContent(), /^\d+(\.\d)? m?s$/);
  }));

  test('an event is read in full, by the mouse or by the arrow keys', () => view.run(async () => {
    await inspect();
    const { id } = await escrow();
    await rows(id).click();
    await page.locator('.event-panel').getByText(`escrows/${id}`).waitFor();
    assert.match(await page.locator('.event-panel .json').first().textContent(), /"purchasePrice": 500000/);
    await page.locator('.event-rows').focus();
    await page.keyboard.press('ArrowUp');
    await page.locator('.event-panel h2', { hasText: 'snapshot' }).waitFor();
  }));

  test('a search and the kinds narrow the list, and what comes later, too', () => view.run(async () => {
    await inspect();
    const [one, two] = [await escrow(), await escrow()];
    await rows(two.id).waitFor();
    await page.getByLabel('Search in the events').fill(one.address.toUpperCase());
    await rows(two.id).waitFor({ state: 'hidden' });
    assert.equal(await rows().count(), 1);
    await demo.change('bob', 'escrows', one.id, { notes: one.address });
    await rows('escrow:updated').waitFor();
    await page.locator('.kind[data-kind=record]').click();
    await page.getByText('Nothing matches').waitFor();
    await view.press('Show all');
    await rows(two.id).waitFor();
  }));

  test('pause holds the list still, and going on shows what has come', () => view.run(async () => {
    await inspect();
    await view.press('Pause');
    const { id } = await escrow();
    await page.getByRole('button', { name: 'Go on (1 new)' }).click();
    await rows(id).waitFor();
  }));

  test('scrolling up ends following, and f follows again', () => view.run(async () => {
    await inspect({ from: 'all' });
    await until('there are more rows than fit', () => page.evaluate(() => document.querySelector('.event-rows').scrollHeight > 2_000));
    const follow = page.getByRole('button', { name: 'Follow' });
    await page.locator('.event-rows').hover();
    await page.mouse.wheel(0, -900);
    await page.locator('button[aria-pressed=false]', { hasText: 'Follow' }).waitFor();
    const { id } = await escrow();
    await page.waitForFunction(() => /received/.test(document.querySelector('.facts').textContent));
    assert.equal(await rows(id).count(), 0);
    await page.locator('.event-rows').press('f');
    await rows(id).waitFor();
    assert.equal(await follow.getAttribute('aria-pressed'), 'true');
  }));

  test('one record, one type, a position, a time: the stream begins there', () => view.run(async () => {
    await inspect();
    const [one, two] = [await escrow(), await escrow()];
    await rows(one.id).click();
    await view.press('Replay from here');
    await rows(two.id).waitFor();
    const replayed = await rows('escrow:created').locator('.about').allTextContents();
    assert.deepEqual(replayed, [one, two].map(({ id }) => `escrows/${id}`));
    await rows(one.id).click();
    await view.press('Only this record');
    await until('only it is there', async () => (await rows('escrow:created').count()) === 1);
    await inspect({ types: 'escrow:*', from: 'time', start: two.createdAt.slice(0, 19) });
    await rows(two.id).waitFor();
    const oldest = await rows('escrow:').first().locator('.at').textContent();
    assert.ok(oldest.slice(0, 8) >= two.createdAt.slice(11, 19), oldest);
  }));

  test('a cut is repaired, and nothing is missing', () => view.run(async () => {
    await inspect();
    await tab('Connection');
    await view.press('Go offline');
    await history('there is no network').waitFor();
    const { id } = await escrow();
    await view.press('Go online');
    await rows(id).waitFor();
    await view.press('Cut');
    await history('Disconnected: the connection broke').waitFor();
    await isLive();
    assert.equal(await rows(id).count(), 1);
    assert.equal(await page.locator('body').getAttribute('data-connection'), 'connected', 'the rest of the page is not touched');
  }));

  test('an expired token is replaced, and a lost position is a reset', () => view.run(async () => {
    await inspect();
    await tab('Connection');
    const tokens = [];
    page.on('request', (request) => request.url().endsWith('/demo') && tokens.push(request.url()));
    await view.press('Expire');
    await history('the token has expired').waitFor();
    await until('it is connected again', async () => (await history('Connected at').count()) === 2);
    assert.equal(tokens.length, 1, 'another token was asked for');
    await view.press('Reset');
    await rows('stream:reset').waitFor();
    await history('Reset (unknown)').waitFor();
    await isLive();
  }));

  test('publish works in the demo, and its JavaScript does the same', () => view.run(async () => {
    await inspect();
    await tab('Send');
    await page.locator('.request-form').getByLabel('Record', { exact: true }).fill('l-77');
    await view.press('Send');
    await page.locator('.answer-line.good', { hasText: '201' }).waitFor();
    await rows('listing:sold').waitFor();
    const code = (await page.locator('.code').nth(1).textContent()).replaceAll(demo.url, demo.server.url);
    const run = new Function('token', 'console', `return (async () => { ${code} })()`);
    const said = [];
    await run(await demo.server.token('service', 'crm', 'team-a', 'acme'), { log: (status) => said.push(status) });
    assert.deepEqual(said, [201]);
    await until('both are there', async () => (await rows('l-77').count()) === 2);
    assert.match(await page.locator('.code').first().textContent(), /^curl -X POST .*\/events'/);
  }));

  test('locks, signals and tasks are sent, and a refusal says why', () => view.run(async () => {
    await inspect();
    await tab('Send');
    const { id } = await escrow();
    const request = page.getByRole('combobox', { name: 'Request' });
    const send = async (name, values) => {
      await request.selectOption(name);
      for (const [label, value] of Object.entries(values)) await page.locator('.request-form').getByLabel(label, { exact: true }).fill(value);
      await view.press('Send');
    };
    await send('lock', { Record: id });
    await rows('escrow:locked').waitFor();
    await send('signal', { Record: id });
    await rows('user:typing').waitFor();
    await send('task', { Title: 'Greet' });
    await rows('ai:task:queued').first().waitFor();
    await request.selectOption('signal');
    await page.getByRole('combobox', { name: 'Where' }).selectOption('team');
    await send('signal', { Team: 'of-others' });
    await page.locator('.answer-line.bad', { hasText: '404' }).waitFor();
    await request.selectOption('task');
    await page.getByLabel('Params, as JSON').fill('{to: 1}');
    await page.getByText('“params” is not JSON').waitFor();
  }));

  test('the token is decoded, with its end and what the service says', () => view.run(async () => {
    await tab('Token');
    await page.getByText('The brokerage (broker_id)').waitFor();
    assert.match(await page.locator('.token-panel .pairs').textContent(), /in 1\d min/);
    await page.locator('.json', { hasText: 'heartbeatSeconds' }).waitFor();
  }));

  test('the outbox shows what waits in any tab, and why', () => view.run(async () => {
    const { address } = await escrow();
    await view.context.route('**/records/escrows/*', (route) => (route.request().method() === 'PATCH' ? route.abort() : route.continue()));
    const crm = await view.context.newPage();
    await crm.goto(`${demo.url}/`);
    await crm.locator('.record-row', { hasText: address }).first().click();
    await crm.locator('dd[data-field=buyerName] button.value').click();
    await crm.locator('dd[data-field=buyerName] .editor input').fill('Waits');
    await crm.keyboard.press('Enter');
    await page.bringToFront();
    await tab('Outbox');
    await page.locator('.write', { hasText: 'Waits' }).waitFor();
    await view.context.unroute('**/records/escrows/*');
    await view.press('Send now');
    await page.getByText('Nothing waits').waitFor();
    await crm.close();
  }));

  test('no tab is cut where the panel is narrow', () => view.run(async () => {
    for (const width of [961, 1_024, 1_248, 1_440]) {
      await page.setViewportSize({ width, height: 900 });
      const hidden = await page.getByRole('tablist').evaluate((list) => list.scrollWidth - list.clientWidth);
      assert.ok(hidden <= 0, `${width} px: ${hidden} px of the tabs are hidden`);
    }
  }));

  test('axe-core finds nothing, light or dark, and nothing is wider than a phone', () => view.run(async () => {
    await inspect({ from: 'all' });
    await rows('created').first().waitFor();
    for (const [colorScheme, width] of [['light', 1_440], ['dark', 320]]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 800 });
      for (const name of ['Connection', 'Send', 'Token', 'Outbox', ...(width < 900 ? ['Events'] : [])]) {
        await tab(name);
        assert.deepEqual(await view.faults(), [], `${colorScheme}, ${width} px, ${name}`);
        assert.ok((await view.overflow()) <= 0, `${width} px, ${name}`);
      }
    }
    await rows('created').last().click();
    assert.deepEqual(await view.faults(), []);
    await page.setViewportSize({ width: 1_440, height: 900 });
    await page.emulateMedia({ colorScheme: 'light' });
  }));

  test('many events leave the document small, and the page quick; the CRM too', { timeout: 900_000 }, () => view.run(async () => {
    const [before, after, aSecond] = isLong ? [20_000, 100_000, 200] : [300, 1_300, 1_000];
    await inspect({ types: 'listing:flood' });
    const crm = isLong ? await View.open(browser, demo.url, '/?as=cleo') : null;
    const pages = await Promise.all([page, crm?.page].filter(Boolean).map((one) => PageFigures.of(one)));
    const figures = () => Promise.all(pages.map((one) => one.now()));
    const flood = await Flood.start(page, demo);
    await flood.until(before, aSecond * 10);
    const early = await figures();
    await flood.until(after - 1_000, isLong ? aSecond * 10 : aSecond);
    for (const one of pages) await one.forgetTasks();
    await flood.until(after, isLong ? aSecond : 1_000);
    const late = await figures();
    if (isLong) console.log(JSON.stringify({ early, late }));
    await crm?.close();
    late.forEach(({ rows, nodes, heap, longTasks }, n) => {
      assert.ok(rows < 100 && nodes < early[n].nodes + 100, `rows: ${rows}, nodes: ${early[n].nodes} to ${nodes}`);
      if (!isLong) return;
      assert.ok(heap - early[n].heap < 8 * 2 ** 20, `heap: ${early[n].heap} to ${heap}`);
      assert.deepEqual(longTasks, [], 'at 200 events a second');
    });
  }));
});

/** Publishes events. */
class Flood {
  #sent = 0;

  static async start(page, demo) {
    const flood = new Flood();
    flood.page = page;
    flood.demo = demo;
    flood.token = await demo.server.token('service', 'crm', 'team-a', 'acme');
    return flood;
  }

  /** Sends events at this rate until there are so many, and waits until the page has them. */
  async until(count, aSecond) {
    const tenth = Math.ceil(aSecond / 10);
    let next = Date.now();
    while (this.#sent < count) {
      const events = Array.from({ length: Math.min(tenth, count - this.#sent) }, (_, n) => ({
        type: 'listing:flood', audience: { broker: true }, module: 'listings', recordId: `l-${this.#sent + n}`, data: { price: 100_000 + n, text: 'x'.repeat(200) },
      }));
      await this.demo.server.post('/events', this.token, { events });
      this.#sent += events.length;
      next += 100;
      await new Promise((wake) => { setTimeout(wake, next - Date.now()); });
    }
    await until('all have arrived', async () => Number((await this.page.locator('.facts').textContent()).split(' ')[0].replaceAll(',', '')) >= count);
  }
}

/** What a page costs. */
class PageFigures {
  static async of(page) {
    const figures = new PageFigures();
    figures.page = page;
    figures.devtools = await page.context().newCDPSession(page);
    await figures.devtools.send('HeapProfiler.enable');
    await page.evaluate(() => {
      globalThis.longTasks = [];
      new PerformanceObserver((list) => globalThis.longTasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: 'longtask' });
    });
    return figures;
  }

  forgetTasks() {
    return this.page.evaluate(() => { globalThis.longTasks.length = 0; });
  }

  async now() {
    const longTasks = await this.page.evaluate(() => globalThis.longTasks.map(Math.round));
    await this.devtools.send('HeapProfiler.collectGarbage');
    const { usedSize } = await this.devtools.send('Runtime.getHeapUsage');
    const [rows, nodes] = await this.page.evaluate(() => [document.querySelectorAll('.event-row, .record-row').length, document.querySelectorAll('*').length]);
    return { heap: usedSize, rows, nodes, longTasks };
  }
}
