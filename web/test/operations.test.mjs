// The operator's view. What only an unwell service has, like a second instance that is silent, comes from a fake of /admin; the rest is real.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { FakeAdmin } from './fake_admin.mjs';
import { Demo } from './page.mjs';
import { chromiumPath, launchBrowser, until } from './support.mjs';
import { View } from './views.mjs';

describe('operations', { skip: chromiumPath ? false : 'there is no Chromium here' }, () => {
  const admin = new FakeAdmin();
  let demo;
  let browser;
  let view;
  let page;
  before(async () => {
    [demo, browser] = await Promise.all([Demo.start(), launchBrowser()]);
    view = await View.open(browser, demo.url, '/operations?as=ann', { before: (opened) => admin.attach(opened) });
    page = view.page;
  });
  after(async () => {
    await view?.close();
    await browser?.close();
    await demo?.stop();
  });

  const part = (name) => page.locator('.parts').getByRole('link', { name }).click();
  const chart = (title) => page.locator('.chart', { has: page.getByRole('heading', { name: title, exact: true }) });
  const row = (hasText) => page.locator('.keyed tbody tr', { hasText });

  test('somebody without the role is told so in plain words, and what to do', async () => {
    const bob = await View.open(browser, demo.url, '/operations?as=bob');
    await bob.run(async () => {
      await bob.page.getByText('This view is for administrators').waitFor();
      await bob.page.getByText('You are signed in as Bob Castillo, with the role “agent”').waitFor();
      assert.deepEqual(await bob.faults(), []);
      await bob.press('Sign in as somebody else');
      await bob.page.getByRole('button', { name: /Ann Berger/ }).waitFor();
    });
    await bob.close();
  });

  test('charts are live: a new sample changes the values, and the keys show those of a time', () => view.run(async () => {
    const latency = chart('Latency');
    await until('there are two samples', async () => ((await latency.locator('path.line-0').getAttribute('d'))?.split('L').length ?? 0) > 1);
    assert.match(await latency.locator('.legend').textContent(), /median [\d.]+ ms.*90 % [\d.]+ ms.*99 % \d+ ms/);
    assert.match(await latency.locator('.plot').getAttribute('aria-label'), /^Latency\. median: [\d.]+ ms now/);
    await latency.locator('.plot').focus();
    await page.keyboard.press('ArrowLeft');
    assert.match(await latency.locator('.chart-when').textContent(), /^\d\d:\d\d:\d\d$/);
    const all = await page.locator('.chart-when').allTextContents();
    assert.equal(new Set(all).size, 1, 'all charts show the same time');
    assert.equal(await page.locator('.charts .chart').count(), 10);
  }));

  test('several instances are shown, and one that does not answer is said to be missing', () => view.run(async () => {
    await row('p0d4mw3x9a1b').getByText('Answers', { exact: true }).waitFor();
    admin.state.secondAnswers = false;
    const { alerts } = admin.state;
    admin.state.alerts = [];
    await row('p0d4mw3x9a1b').getByText('Does not answer').waitFor();
    await page.locator('.operations-state', { hasText: '1 instance missing' }).waitFor();
    Object.assign(admin.state, { secondAnswers: true, alerts });
    await page.locator('.operations-state', { hasText: '1 alert' }).waitFor();
  }));

  test('connections show who, from where, since when and how far behind, and one is ended after a question', () => view.run(async () => {
    await part('Connections');
    await row('Cleo Hartley').getByText('Does not read, 214 events behind').waitFor();
    assert.match(await row('Cleo Hartley').textContent(), /203\.0\.113\.7.*\d min ago.*p0d4mw3x9a1b/);
    await view.press('Disconnect Cleo Hartley');
    await page.getByRole('dialog').getByText('connects again after two to four minutes').waitFor();
    await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click();
    await page.locator('.toast', { hasText: 'Cleo Hartley was disconnected' }).waitFor();
    await row('Cleo Hartley').waitFor({ state: 'detached' });
    assert.deepEqual(admin.changes.splice(0), ['/admin/connections/c-2/disconnect']);
    await page.getByRole('searchbox', { name: 'User' }).fill('bob');
    await page.keyboard.press('Enter');
    await row('Ann Berger').waitFor({ state: 'detached' });
  }));

  test('a button in a row is the same element after the list was loaded again', () => view.run(async () => {
    await part('Connections');
    const button = await page.getByRole('button', { name: 'Disconnect Bob Castillo' }).elementHandle();
    await button.focus();
    await page.waitForResponse((response) => response.url().includes('/admin/connections'));
    await page.locator('.part-head').getByText('connection').waitFor();
    assert.equal(await button.evaluate((element) => element === document.activeElement), true);
  }));

  test('tasks are shown by their state, and one is cancelled', () => view.run(async () => {
    const { id } = await demo.ask('bob', 'POST', '/tasks', { type: 'letter', title: 'A letter to cancel', team: 'team-a' });
    await part('Tasks');
    await page.getByRole('combobox', { name: 'Tasks that are' }).selectOption('queued');
    await row('A letter to cancel').getByText('Waiting').waitFor();
    await row('A letter to cancel').getByText('Bob Castillo').waitFor();
    await view.press('Cancel A letter to cancel');
    await row('A letter to cancel').waitFor({ state: 'detached' });
    assert.equal((await demo.ask('bob', 'GET', `/tasks/${id}`)).state, 'cancelled');
    await page.locator('.facts-card', { hasText: 'Failed in the last hour' }).getByText('3', { exact: true }).waitFor();
  }));

  test('what was set aside has its reason, and is retried or discarded', () => view.run(async () => {
    await part('Relay');
    await row('its type is reserved for tasks').waitFor();
    assert.equal(await row('listings/l-9').getByRole('button', { name: /^Retry/ }).count(), 0, 'it has no event');
    await view.press('Retry escrows/e-1');
    await row('escrows/e-1').waitFor({ state: 'detached' });
    await view.press('Discard listings/l-9');
    await page.getByRole('dialog').getByRole('button', { name: 'Discard' }).click();
    await page.getByText('Nothing is set aside').waitFor();
    assert.deepEqual(admin.changes.splice(0), ['/admin/poison/17/retry', '/admin/poison/16/discard']);
  }));

  test('alerts say what is wrong and what to do, and rules when they fire', () => view.run(async () => {
    await part('Alerts');
    await page.locator('.alert', { hasText: 'Look for a long transaction.' }).getByText('41 s · fires at 30 s').waitFor();
    await row('Relay lag').getByText('Firing').waitFor();
    await row('Tasks failing').getByText('Switched off').waitFor();
    admin.state.alerts = [];
    await page.getByText('Nothing is firing').waitFor();
    await row('Relay lag').getByText('OK', { exact: true }).waitFor();
  }));

  test('without an answer the last figures stay, and their age and the reason are said', () => view.run(async () => {
    await part('Overview');
    await row('k7q2mw3x9a1b').waitFor();
    admin.state.refusal = [503, { code: 'database_unavailable', detail: 'The database does not answer.' }];
    await page.getByRole('alert').getByText('The database does not answer.').waitFor();
    await row('k7q2mw3x9a1b').waitFor();
    admin.state.refusal = null;
    await view.press('Try now');
    await page.locator('.note .banner').waitFor({ state: 'detached' });
  }));

  test('axe-core finds nothing in any part, light or dark, and nothing is wider than a phone', () => view.run(async () => {
    for (const [colorScheme, width] of [['light', 1_440], ['dark', 320]]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 800 });
      for (const name of ['Overview', 'Connections', 'Tasks', 'Relay', 'Alerts']) {
        await part(name);
        await page.locator('.place h2').first().waitFor();
        assert.deepEqual(await view.faults(), [], `${colorScheme}, ${width} px, ${name}`);
        assert.ok((await view.overflow()) <= 0, `${width} px, ${name}`);
      }
    }
  }));

  test('an administrator disconnects a user of the real service, and the page of the user notices', async () => {
    const token = await demo.server.token('admin', 'ann', 'team-a', 'acme');
    const [cleo, ann] = await Promise.all([
      View.open(browser, demo.url, `/#token=${await demo.token('cleo')}`),
      View.open(browser, demo.url, `/operations#token=${token}`),
    ]);
    await cleo.page.locator('body[data-connection=connected]').waitFor();
    await ann.run(async () => {
      await ann.page.locator('.parts').getByRole('link', { name: 'Connections' }).click();
      await ann.page.getByRole('button', { name: /^Disconnect cleo/i }).first().click();
      await ann.page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click();
      await ann.page.locator('.toast', { hasText: 'was disconnected' }).waitFor();
    });
    await cleo.page.locator('body[data-connection=reconnecting]').waitFor();
    await Promise.all([cleo.close(), ann.close()]);
  });
});
