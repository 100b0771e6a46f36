import { browser, open } from './shot.tmp.mjs';
const bob = await open('bob'); const cleo = await open('cleo');
for (const p of [bob, cleo]) await p.waitForSelector('.record-row');
for (const p of [bob, cleo]) { await p.locator('.record-row', { hasText: '9280' }).first().click(); await p.waitForSelector('.pair'); }
let t = Date.now(); const lap = (n) => { console.log(n, Date.now() - t); };
for (const [n, p] of [['bob', bob], ['cleo', cleo]]) { p.on('request', (r) => /locks|PATCH/.test(r.url() + r.method()) && lap(`${n} ${r.method()} ${r.url().slice(-50)}`)); p.on('response', (r) => /locks/.test(r.url()) && lap(`${n} ${r.status()}`)); }
const price = bob.locator('dd[data-field=purchasePrice]');
await price.locator('button.value').click();
await cleo.getByText('is editing this escrow').waitFor(); lap('banner');
await cleo.getByRole('button', { name: 'View only' }).click(); lap('clicked view only');
await cleo.getByText('View only: ').waitFor(); lap('view only');
await price.locator('.editor input').fill(String(500000 + Math.round(Math.random() * 1000)));
await price.locator('.editor input').press('Enter'); lap('saved');
await cleo.locator('.view-only').waitFor({ state: 'detached' }); lap('gone');
await cleo.goto('about:blank'); t = Date.now();
await bob.getByRole('img', { name: 'Cleo Hartley is online' }).first().waitFor({ state: 'detached' }); lap('offline');
await browser.close();
