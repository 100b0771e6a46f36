// Takes the picture of the README: the page with the example brokerage, while two people work.
// Run it by `scripts/pictures`.
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { launchBrowser, Server, until } from './test/support.mjs';

const FILE = fileURLToPath(new URL('../docs/page.webp', import.meta.url));
const SIZE = { width: 1360, height: 1130 };
const QUALITY = 70;

const server = await Server.start({ PORCHLIGHT_DEMO: 'true' });
const browser = await launchBrowser();

async function open(user, role, teams) {
  const page = await browser.newPage({ viewport: SIZE });
  await page.goto(`${server.url}/#token=${await server.token(role, user, teams, 'acme')}`);
  await page.waitForSelector('body[data-state="live"]');
  return page;
}

/** Changes the price of a listing, as the page of its owner does. */
async function lower(listing, token) {
  await fetch(`${server.url}/records/listings/${listing.id}?merge=fields`, {
    method: 'PATCH',
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json', 'If-Match': `"${listing.version}"` },
    body: JSON.stringify({ listPrice: listing.listPrice - 5_000 }),
  });
}

try {
  const ann = await open('ann', 'admin', 'team-a,team-b');
  await open('bob', 'agent', 'team-a');
  await open('cleo', 'agent', 'team-a');
  const token = await server.token('agent', 'bob', 'team-a', 'acme');
  const answer = await fetch(`${server.url}/records/listings?limit=3`, { headers: { Authorization: `Bearer ${token}` } });
  const { records } = await answer.json();
  for (const listing of records) await lower(listing, token);
  await server.post('/locks', token, { module: 'listings', recordId: records[0].id, session: 'tab-1' });
  await server.post('/tasks', token, { type: 'summarize', title: 'Summarise new leads', params: {} });
  await ann.locator('section[aria-labelledby="records-title"] select').first().selectOption('listings');
  await until('the changes are shown', async () => (await ann.textContent('body')).includes('listing:locked'));
  await ann.waitForTimeout(1_000); // animations end
  const session = await ann.context().newCDPSession(ann);
  const { data } = await session.send('Page.captureScreenshot', { format: 'webp', quality: QUALITY });
  await writeFile(FILE, Buffer.from(data, 'base64'));
  console.log(`${FILE}: ${Math.round(data.length * 0.75 / 1024)} KiB`);
} finally {
  await browser.close();
  await server.stop();
}
