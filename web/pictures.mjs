// Takes the pictures of the documents from the demo: the CRM while three people work. Run it by `scripts/pictures`; `--check` only tries whether
// they can be taken.
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Demo } from './test/page.mjs';
import { launchBrowser } from './test/support.mjs';

const isCheck = process.argv.includes('--check');
const FOLDER = isCheck ? await mkdtemp(join(tmpdir(), 'pictures-')) : fileURLToPath(new URL('../docs/', import.meta.url));
const WIDE = { width: 1360, height: 850 };
const PHONE = { width: 390, height: 760 };
const QUALITY = 70;

const demo = await Demo.start();
const browser = await launchBrowser();

async function open(user, options) {
  const page = await (await browser.newContext(options)).newPage();
  await page.goto(`${demo.url}/?as=${user}`);
  await page.locator('body[data-connection=connected][data-state=ready]').waitFor();
  await page.locator('.record-row .owner').first().waitFor({ state: 'attached' });
  return page;
}

async function take(page, name) {
  await page.locator('body[data-connection=connected]').waitFor();
  await page.evaluate(() => Promise.all(document.getAnimations().filter(({ animationName }) => animationName === 'rise').map(({ finished }) => finished)));
  const session = await page.context().newCDPSession(page);
  const { data } = await session.send('Page.captureScreenshot', { format: 'webp', quality: QUALITY });
  await writeFile(join(FOLDER, name), Buffer.from(data, 'base64'));
  console.log(`${name}: ${Math.round(data.length * 0.75 / 1024)} KiB`);
}

const row = (page, n) => page.locator('.record-row').nth(n);

try {
  const bob = await open('bob', { viewport: WIDE });
  const cleo = await open('cleo', { viewport: WIDE, colorScheme: 'dark' });
  const ann = await open('ann', { viewport: PHONE, isMobile: true, hasTouch: true });
  const name = await row(cleo, 1).locator('.open').textContent();
  for (const page of [bob, cleo]) {
    await page.locator('.record-row', { hasText: name }).first().click();
    await page.locator('.pair').first().waitFor();
  }
  await cleo.getByLabel('Add a note').pressSequentially('Keys are in the');
  await bob.getByText('is typing a note').waitFor();
  await cleo.getByRole('button', { name: /edit close date/ }).click();
  await bob.getByText('Cleo Hartley is editing this escrow').waitFor();
  await demo.ask('ann', 'PATCH', `/records/escrows/${await row(bob, 3).getAttribute('data-id')}?merge=fields`, { status: 'contingent' });
  await bob.locator('.toast', { hasText: 'Ann Berger changed' }).waitFor();
  await take(bob, 'page.webp');
  await take(cleo, 'page-dark.webp');
  await take(ann, 'page-phone.webp');
} finally {
  await browser.close();
  await demo.stop();
}
