// A view of the page in a browser, for tests.
import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';
import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';

const WAIT_MS = 20_000;
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
/** What a browser says by itself when a request fails or is refused: tests cause that. */
const EXPECTED = /Failed to load resource|net::ERR/;

export class View {
  /** What the page has said in its console. */
  complaints = [];

  /** @param {string} path with what signs in: `/inspector?as=bob`, `/operations#token=…` */
  static async open(browser, url, path, options = {}) {
    const view = new View();
    view.url = url;
    view.context = await browser.newContext({ viewport: { width: 1440, height: 900 }, reducedMotion: 'reduce', ...options });
    view.context.setDefaultTimeout(WAIT_MS);
    view.page = await view.context.newPage();
    view.page.on('pageerror', (error) => view.complaints.push(error.stack ?? error.message));
    view.page.on('console', (line) => line.type() === 'error' && !EXPECTED.test(line.text()) && view.complaints.push(line.text()));
    await options.before?.(view.page);
    await view.page.goto(`${url}${path}`);
    await view.page.locator('body[data-state=ready]').waitFor();
    return view;
  }

  /** Runs a test. It fails if the page complains, and says then what the page shows. */
  async run(test) {
    try {
      await test(this.page);
      assert.deepEqual(this.complaints, []);
    } catch (error) {
      const shot = `${process.env.PAGE_SHOTS ?? tmpdir()}/failed-view.png`;
      await this.page.screenshot({ path: shot }).catch(() => {});
      error.message += `\n${[...this.complaints.splice(0), shot].join('; ')}`;
      throw error;
    }
  }

  press(name, options = {}) {
    return this.page.getByRole('button', { name, exact: true, ...options }).first().click();
  }

  /** What axe-core finds. */
  async faults() {
    if (!(await this.page.evaluate(() => 'axe' in globalThis))) await this.page.evaluate(await readFile(AXE, 'utf8'));
    const violations = await this.page.evaluate(async () => (await globalThis.axe.run(document, { resultTypes: ['violations'] })).violations);
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(' ')}`);
  }

  /** How many pixels the page is wider than the window. */
  overflow() {
    return this.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  }

  close() {
    return this.context.close();
  }
}
