// Two users, each with the page in a browser of their own, with a real server.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { Server, chromiumPath, launchBrowser, until } from './support.mjs';

const WAIT_MS = 30_000;

/** The page of one user. */
class Console {
  static async open(browser, server, user) {
    const opened = new Console();
    opened.user = user;
    opened.page = await browser.newPage();
    opened.page.setDefaultTimeout(WAIT_MS);
    opened.complaints = [];
    opened.page.on('pageerror', (error) => opened.complaints.push(error.message));
    opened.page.on('console', (line) => line.text().includes('Content Security Policy') && opened.complaints.push(line.text()));
    opened.link = `${server.url}/#token=${await server.token('agent', user)}`;
    return opened;
  }

  async enter() {
    await this.page.goto(this.link);
    await this.state('live');
  }

  state(name) {
    return this.page.locator(`body[data-state=${name}]`).waitFor();
  }

  press(name) {
    return this.page.locator('#record').getByRole('button', { name, exact: true }).click();
  }

  person(user, hasText = '') {
    return this.page.locator(`#people li[data-user="${user}"]`, { hasText });
  }

  lock(hasText = '') {
    return this.page.locator('#locks li[data-record="listings/l-1"]', { hasText });
  }

  event(hasText) {
    return this.page.locator('#events li', { hasText });
  }

  said(hasText, how = 'good') {
    return this.page.locator(`#done.${how}`, { hasText }).waitFor();
  }

  online(count) {
    return this.page.locator('#online', { hasText: `${count} online` }).waitFor();
  }

  /** The picture in the form of `GET /presence` and `GET /locks`, as far as it shows them. */
  async picture() {
    return this.page.evaluate(() => ({
      people: [...document.querySelectorAll('#people li')].map((row) => [
        row.dataset.user,
        row.className,
        ...[...row.querySelectorAll('.doing > span')].map((at) => at.textContent),
      ]),
      locks: [...document.querySelectorAll('#locks li')].map((row) => [
        row.dataset.record,
        row.querySelector('strong').textContent,
        Number(row.querySelector('.left').dataset.until),
      ]),
    }));
  }
}

async function pictureOf(server, user) {
  const [{ users }, { locks }] = await Promise.all([server.get('/presence', user), server.get('/locks', user)]);
  const path = ({ module, recordId }) => `${module}/${recordId}`;
  return {
    people: users.map(({ userId, status, viewing, editing }) => [
      userId,
      status,
      ...viewing.map((record) => `views ${path(record)}`),
      ...editing.map((record) => `edits ${path(record)}`),
    ]),
    locks: locks.map((lock) => [path(lock), lock.holder.userId, Date.parse(lock.lockedUntil)]),
  };
}

describe('two users of the page', { skip: chromiumPath ? false : 'there is no Chromium here' }, () => {
  let server;
  let browser;
  let ann;
  let bob;

  before(async () => {
    [server, browser] = await Promise.all([Server.start({ PORCHLIGHT_PRESENCE_GRACE_SECONDS: '1' }), launchBrowser()]);
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  beforeEach(async () => {
    [ann, bob] = await Promise.all(['ann', 'bob'].map((user) => Console.open(browser, server, user)));
    await Promise.all([ann.enter(), bob.enter()]);
    await Promise.all([ann.person('bob').waitFor(), bob.person('ann').waitFor()]);
  });

  afterEach(async () => {
    await Promise.all([ann.page.close(), bob.page.close()]);
    assert.deepEqual([...ann.complaints, ...bob.complaints], []);
    await until('nobody is here and nothing is locked', async () => {
      const { people, locks } = await pictureOf(server, 'ann');
      for (const [path, holder] of locks) await server.unlock(path, holder);
      return people.length === 0 && locks.length === 0;
    });
  });

  test('see each other come and go', async () => {
    await Promise.all([ann.online(2), bob.online(2)]);
    assert.match(await ann.person('bob').textContent(), /^bobonline since \d\d:\d\d:\d\d$/);
    assert.match(await ann.person('ann').textContent(), /^annyouonline since/);
    await bob.page.close();
    await ann.person('bob').waitFor({ state: 'detached' });
    await ann.online(1);
    bob = await Console.open(browser, server, 'bob');
    await bob.enter();
    await ann.person('bob').waitFor();
    await ann.online(2);
  });

  test('see what the other views, until the record or the page is closed', async () => {
    await bob.press('View');
    await bob.said('Others see you view listings/l-1');
    await ann.person('bob', 'views listings/l-1').waitFor();
    await bob.press('View');
    await bob.said('You no longer view listings/l-1');
    await ann.person('bob', 'views').waitFor({ state: 'detached' });
    await bob.press('View');
    await bob.page.getByLabel('Record', { exact: true }).first().fill('l-2');
    await bob.page.getByLabel('Record', { exact: true }).first().blur();
    await ann.person('bob', 'views listings/l-2').waitFor();
    await bob.page.goto(`${server.url}/health/live`);
    await ann.person('bob').waitFor({ state: 'detached' });
  });

  test('see what the other has locked, and who holds it', async () => {
    await ann.press('Lock');
    await ann.said('Locked listings/l-1 until');
    await ann.lock('annyou').waitFor();
    await bob.lock('annuntil').waitFor();
    assert.match(await bob.lock().locator('.left').textContent(), /^[45]:\d\d$/);
    await bob.event('listing:locked').waitFor();
    await bob.press('Lock');
    await bob.said('ann has held the lock since', 'bad');
    await bob.press('Request');
    await bob.said('Asked ann for listings/l-1');
    await ann.event('listing:lock_requested').waitFor();
    await ann.press('Unlock');
    await ann.said('Unlocked listings/l-1');
    for (const who of [ann, bob]) await who.lock().waitFor({ state: 'detached' });
    await bob.event('listing:lock_available').waitFor();
    await bob.press('Lock');
    await ann.lock('bob').waitFor();
  });

  test('see the other type, for a while, and no state in the list of events', async () => {
    await bob.press('Type');
    await bob.said('Typing in listings/l-1');
    await ann.person('bob', 'typing listings/l-1 …').waitFor();
    await ann.person('bob', 'typing').waitFor({ state: 'detached' });
    assert.equal(await ann.page.locator('#events li').count(), 0);
    assert.equal(await ann.page.locator('#seen').textContent(), '0');
  });

  test('see the same as before after the service was killed', async () => {
    await ann.press('Lock');
    await bob.press('View');
    await Promise.all([bob.lock('ann').waitFor(), ann.person('bob', 'views').waitFor(), ann.person('ann').waitFor()]);
    const before = await ann.picture();
    assert.deepEqual(before, await pictureOf(server, 'ann'));
    await server.kill();
    await ann.state('reconnecting');
    assert.deepEqual(await ann.picture(), before);
    await server.run();
    await Promise.all([ann.state('live'), bob.state('live')]);
    await until('both pages show the same as before', async () => {
      assert.deepEqual(await ann.picture(), before);
      assert.deepEqual(await bob.picture(), before);
      assert.deepEqual(await pictureOf(server, 'bob'), before);
      return true;
    });
  });

  test('keep a lock for as long as the page is open, even if it was loaded again', async () => {
    await ann.page.clock.install();
    await ann.page.reload();
    await ann.state('live');
    await ann.press('Lock');
    await ann.lock('you').waitFor();
    for (const again of [false, true]) {
      if (again) await ann.page.reload();
      await ann.lock('you').waitFor();
      const { locks: [[, , untilMs]] } = await ann.picture();
      const renewed = ann.page.waitForResponse((response) => response.url().endsWith('/locks/listings/l-1/renew'));
      await ann.page.clock.fastForward(151_000);
      assert.equal((await renewed).status(), 200);
      await until('the lock is shown to last longer', async () => (await ann.picture()).locks[0][2] > untilMs);
    }
  });

  test('see no one after they disconnect', async () => {
    await ann.page.getByRole('button', { name: 'Disconnect' }).click();
    await ann.person('ann').waitFor({ state: 'detached' });
    assert.deepEqual(await ann.picture(), { people: [], locks: [] });
    await bob.person('ann').waitFor({ state: 'detached' });
  });
});
