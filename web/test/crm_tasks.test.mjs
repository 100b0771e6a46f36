// Tasks and imports in the CRM: progress, Cancel that is never lost, bad rows, retry.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openPages } from './page.mjs';
import { chromiumPath, until } from './support.mjs';

const PROGRESS_MS = 250;

describe('tasks in the CRM', { skip: chromiumPath ? false : 'there is no Chromium here' }, () => {
  let demo;
  let people;
  openPages(['bob'], {}, (opened) => { ({ demo, people } = opened); });

  const card = ({ page }, text) => page.locator('.task-card', { hasText: text });
  const file = (name, text) => ({ name, mimeType: 'text/csv', buffer: Buffer.from(text) });

  /** Drops a file on the page, as from a folder. */
  async function drop({ page }, { name, buffer }) {
    const transfer = await page.evaluateHandle(([title, text]) => {
      const made = new DataTransfer();
      made.items.add(new File([text], title, { type: 'text/csv' }));
      return made;
    }, [name, buffer.toString()]);
    await page.locator('.crm').dispatchEvent('drop', { dataTransfer: transfer });
  }

  /** A task that a worker of the test carries out. */
  async function claimed(title) {
    const { id } = await demo.server.post('/tasks', await demo.token('bob'), { type: 'summarize', title });
    const worker = await demo.server.token('worker', 'w-1', 'team-a', 'acme');
    const { fence } = await demo.server.post('/tasks/claim', worker, { types: ['summarize'], waitSeconds: 5 });
    const post = (verb, body) => demo.server.post(`/tasks/${id}/${verb}`, worker, { fence, ...body });
    return { id, post };
  }

  test('a task is cancelled with the mouse while progress arrives four times a second (phase 3)', () => people.run(async (bob) => {
    const { post } = await claimed('Summarize the inspection');
    let percent = 0;
    const reports = setInterval(() => {
      percent += 1;
      post('progress', { percent, step: 2, steps: 5, message: `Page ${percent}`, partial: { pages: percent } }).catch(() => {});
    }, PROGRESS_MS);
    const own = card(bob, 'Summarize the inspection');
    await own.getByText('Step 2 of 5').waitFor();
    await own.getByText(/Pages: \d/).waitFor();
    const cancel = await own.getByRole('button', { name: 'Cancel' }).elementHandle();
    await cancel.focus();
    const before = await own.locator('progress').evaluate((bar) => bar.value);
    await until('it goes on', async () => (await own.locator('progress').evaluate((bar) => bar.value)) > before + 2);
    assert.equal(await cancel.evaluate((button) => document.activeElement === button && button.isConnected), true, 'the button keeps the focus');
    await cancel.click();
    await own.locator('.chip', { hasText: 'Cancelling' }).waitFor();
    clearInterval(reports);
    // The card says so before the service has answered.
    await until('the worker can confirm', () => post('cancelled', {}).then(() => true, () => false));
    await own.getByRole('button', { name: 'Retry' }).click();
    await card(bob, 'Waiting for a worker').waitFor();
    await bob.page.getByRole('tab', { name: 'AI actions' }).click();
    await bob.page.locator('.task-rows li', { hasText: 'Cancelled' }).waitFor();
    await bob.page.getByRole('tab', { name: 'Activity' }).click();
    await card(bob, 'Waiting for a worker').getByRole('button', { name: 'Cancel' }).click();
    await card(bob, 'Cancelled').getByRole('button', { name: 'Dismiss' }).click();
  }));

  test('two tasks at a time: one fails with its reason and is tried again, the other goes on; both are in the list (issue 5, phase 3, scenario 3)', () => people.run(async (bob) => {
    const [one, two] = [await claimed('Find matches'), await claimed('Create an escrow')];
    await one.post('progress', { percent: 25, message: 'Searching', partial: { matches: 3 } });
    await two.post('progress', { percent: 50, step: 2, steps: 4, message: 'Calculating commission' });
    await card(bob, 'Find matches').getByText('Matches: 3').waitFor();
    await card(bob, 'Calculating commission').getByText('Step 2 of 4').waitFor();
    await one.post('fail', { error: { code: 'no_answer', message: 'The property service does not answer', retryable: false } });
    await card(bob, 'The property service does not answer').locator('.chip', { hasText: 'Failed' }).waitFor();
    await two.post('complete', { result: {}, message: 'Escrow created' });
    await bob.page.mouse.move(5, 5);
    await card(bob, 'Create an escrow').waitFor({ state: 'detached' });
    await bob.page.getByRole('tab', { name: 'AI actions' }).click();
    const recent = bob.page.locator('.task-rows li');
    await recent.filter({ hasText: 'Create an escrow' }).getByText('Done').waitFor();
    await recent.filter({ hasText: 'The property service does not answer' }).getByRole('button', { name: 'Retry' }).click();
    await card(bob, 'Waiting for a worker').waitFor();
    await card(bob, 'Waiting for a worker').getByRole('button', { name: 'Cancel' }).click();
    for (const text of ['Cancelled', 'The property service']) await card(bob, text).getByRole('button', { name: 'Dismiss' }).click();
    await bob.page.getByRole('tab', { name: 'Activity' }).click();
  }));

  test('the output is shown as it is written, and a card goes away 3 s after its success (phase 3)', () => people.run(async (bob) => {
    const { post } = await claimed('Write a letter');
    const own = card(bob, 'Write a letter');
    await own.getByRole('button', { name: 'Output' }).click();
    await post('output', { offset: 0, text: 'Dear Ms. ' });
    await own.locator('pre', { hasText: 'Dear Ms.' }).waitFor();
    await post('output', { offset: 9, text: 'Ünal' });
    await own.locator('pre', { hasText: 'Dear Ms. Ünal' }).waitFor();
    await post('complete', { result: { text: 'Dear Ms. Ünal' } });
    await own.locator('.chip', { hasText: 'Done' }).waitFor();
    await bob.page.mouse.move(5, 5);
    await bob.page.locator('.badge-button').focus();
    await own.waitFor({ state: 'detached' });
  }));

  test('a dropped CSV file shows its first rows and columns, is imported, and its bad rows are a table', () => people.run(async (bob) => {
    await bob.show('Leads');
    await drop(bob, file('contacts.csv', 'Full name,Email,Status,Score\nGood Lead,good@example.org,new,10\nBad Lead,bad@example.org,nonsense,10\n'));
    const dialog = bob.page.getByRole('dialog');
    await dialog.getByText('good@example.org').waitFor();
    assert.equal(await dialog.getByLabel('Field of Email').inputValue(), 'email');
    await dialog.getByRole('button', { name: 'Import into leads' }).click();
    await dialog.getByText('Choose a column for Name').waitFor();
    await dialog.getByLabel('Field of Full name').selectOption('name');
    await dialog.getByRole('button', { name: 'Import into leads' }).click();
    await bob.row('Good Lead').waitFor();
    const own = card(bob, 'Import contacts.csv');
    await own.getByText('1 record imported, 1 row not').waitFor();
    await own.getByRole('button', { name: 'Show bad rows' }).click();
    await bob.page.getByRole('dialog').getByRole('cell', { name: '3', exact: true }).waitFor();
    await bob.page.getByRole('dialog').getByRole('button', { name: 'Close' }).last().click();
    await own.getByRole('button', { name: 'Dismiss' }).click();
  }));

  test('an import of 10,000 rows keeps the page quick and small, is one line of activity, and is cancelled half-way', () => people.run(async (bob) => {
    await bob.show('Leads');
    await bob.page.evaluate(() => {
      globalThis.longest = 0;
      new PerformanceObserver((list) => { for (const { duration } of list.getEntries()) globalThis.longest = Math.max(globalThis.longest, duration); }).observe({ type: 'longtask' });
    });
    const lines = Array.from({ length: 10_000 }, (_, n) => `Imported Lead ${n},lead${n}@example.org,new,${n % 100}`);
    await drop(bob, file('leads.csv', `Name,Email,Status,Score\n${lines.join('\n')}\n`));
    await bob.page.getByRole('dialog').getByRole('button', { name: 'Import into leads' }).click();
    const own = card(bob, 'Import leads.csv');
    await bob.row('Imported Lead').first().waitFor();
    await own.getByRole('button', { name: 'Cancel' }).click();
    await own.locator('.chip', { hasText: 'Cancelled' }).waitFor();
    await bob.page.locator('.acts li', { hasText: /Bob Castillo added \d+ leads/ }).waitFor();
    const { rows, longest } = await bob.page.evaluate(() => ({ rows: document.querySelectorAll('.record-row').length, longest: globalThis.longest }));
    assert.ok(rows < 60, `${rows} rows are in the document`);
    console.log(`the longest task took ${Math.round(longest)} ms`);
    await own.getByRole('button', { name: 'Dismiss' }).click();
  }));

  test('in a list of thousands, the row at the top stays to the pixel while others come, go and are sorted above it', () => people.run(async (bob) => {
    const lines = Array.from({ length: 2_000 }, (_, n) => `Client ${n},active`);
    const task = { type: 'import_csv', title: 'Many clients', params: { module: 'clients', csv: `Name,Status\n${lines.join('\n')}\n` } };
    await demo.server.post('/tasks', await demo.token('bob'), task).catch(() => {});
    await bob.show('Clients');
    await card(bob, 'Many clients').locator('.chip', { hasText: 'Done' }).waitFor();
    await bob.page.getByLabel('Sort', { exact: true }).selectOption('Changed last');
    const list = new ScrolledList(bob.page);
    await until('much is loaded', async () => {
      await list.scrollTo(1e6);
      return (await list.count()) > 1_000;
    });
    await list.scrollTo(20_013);
    await list.watch();
    const [top, second, third, ...others] = await list.rows();
    const selected = await list.select(third);
    const from = await list.count();
    for (let n = 0; n < 3; n += 1) await demo.create('clients', { name: `Newcomer ${n}`, status: 'active' });
    // The rest of a page that was on its way counts too.
    await until('they are in the list', async () => (await list.count()) >= from + 3);
    assert.deepEqual(await list.rows(), [top, second, third, ...others]);
    const change = ({ id }) => demo.change('bob', 'clients', id, { phone: '555 0100' });
    await change(others[4]);
    await change(second);
    await until('two have been sorted to the top', async () => (await list.rows()).every(({ id }) => id !== others[4].id && id !== second.id));
    assert.deepEqual((await list.rows())[0], top);
    const more = Array.from({ length: 300 }, (_, n) => `Later ${n},active`);
    await demo.server.post('/tasks', await demo.token('bob'), { ...task, title: 'Some more', params: { module: 'clients', csv: `Name,Status\n${more.join('\n')}\n` } });
    await until('many have come at once', async () => (await list.count()) >= from + 303);
    assert.deepEqual((await list.rows())[0], top);
    await list.focus(top);
    await change(top);
    await until('the row itself has been sorted to the top', async () => (await list.rows())[0].id !== top.id);
    assert.equal(await list.focused(), top.id, 'and keeps the focus');
    const place = async () => (await list.rows()).find(({ id }) => id === third.id)?.y;
    const y = await place();
    assert.ok(Math.abs(y - second.y) <= 1, 'the rows below it stay where they are');
    const [above] = await list.rows();
    await demo.ask('bob', 'DELETE', `/records/clients/${above.id}`);
    await until('the row at the top is gone', async () => (await list.rows())[0].id !== above.id);
    assert.equal(await place(), y);
    assert.equal(await list.selected(), selected);
    assert.deepEqual(await list.jumps(), [], 'in no frame another row was elsewhere');
    assert.ok((await bob.page.locator('.record-row').count()) < 60);
  }));
});

/** The list of the dashboard, as it is scrolled. */
class ScrolledList {
  constructor(page) {
    this.page = page;
    this.rows = () => page.evaluate(() => globalThis.rowsInSight?.());
  }

  scrollTo(top) {
    return this.page.evaluate((to) => { document.querySelector('.records .rows').scrollTop = to; }, top);
  }

  async count() {
    return Number((await this.page.locator('.filters .quiet-text').textContent()).replace(/\D/g, ''));
  }

  focus({ id }) {
    return this.page.evaluate((one) => document.querySelector(`.record-row[data-id="${one}"] .open`).focus({ preventScroll: true }), id);
  }

  select({ id }) {
    return this.page.evaluate((one) => {
      getSelection().selectAllChildren(document.querySelector(`.record-row[data-id="${one}"] .cell-4`));
      return getSelection().toString();
    }, id);
  }

  selected() {
    return this.page.evaluate(() => getSelection().toString());
  }

  focused() {
    return this.page.evaluate(() => document.activeElement.closest('.record-row')?.dataset.id);
  }

  /** From now on, looks in each frame where the rows are. */
  async watch() {
    await this.page.evaluate(() => {
      const list = document.querySelector('.records .rows');
      globalThis.rowsInSight = () => {
        const { top, bottom } = list.getBoundingClientRect();
        const all = [...list.querySelectorAll('.record-row')].map((row) => ({ id: row.dataset.id, y: row.getBoundingClientRect().top - top, end: row.getBoundingClientRect().bottom - top }));
        return all.filter(({ y, end }) => end > 0 && y < bottom - top).sort((a, b) => a.y - b.y).map(({ id, y }) => ({ id, y }));
      };
    });
    await this.page.waitForFunction(() => globalThis.rowsInSight().length > 5);
    await this.page.evaluate(() => {
      let before = globalThis.rowsInSight();
      globalThis.jumps = [];
      const look = () => {
        const now = globalThis.rowsInSight();
        const stay = now.filter(({ id }) => before.some((one) => one.id === id));
        // Rows may close a gap or make one; they may not all move.
        const moved = stay.filter(({ id, y }) => Math.abs(before.find((one) => one.id === id).y - y) > 1);
        if (!stay.length || moved.length === stay.length) globalThis.jumps.push(`of ${before.length} rows ${stay.length} stayed, moved by ${moved.map(({ id, y }) => y - before.find((one) => one.id === id).y)}; ${document.querySelector('.records .rows').scrollTop}`);
        before = now;
        requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    });
  }

  jumps() {
    return this.page.evaluate(() => globalThis.jumps);
  }
}
