// Random writes in one tab while another one sends, with late messages and slow disks: whatever the order, nothing is lost and no write lingers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IDBFactory } from 'fake-indexeddb';
import { seeded } from '../src/testing/index.js';
import { Browser } from './browser.mjs';
import { fill, send, tick, world } from './support.mjs';

/** In short, some that have found something. */
const SEEDS = process.env.PORCHLIGHT_TEST_LONG ? Array.from({ length: 60 }, (_, n) => n + 1) : [1, 2, 6, 16];
const WRITES = 40;
/** Fewer than the writes: those of one merge window are one request, and no request is made for nothing. */
const MOST_REQUESTS = 60;

/** Channels whose messages come late, and in order for each receiver. */
function lateChannels(clock, lateMs) {
  const open = new Set();
  return () => {
    const due = new Map();
    return class {
      constructor(name) {
        this.name = name;
        open.add(this);
      }
      postMessage(data) {
        const copy = structuredClone(data);
        for (const other of open) if (other !== this && other.name === this.name) this.#deliver(other, copy);
      }
      #deliver(other, data) {
        const at = Math.max(clock.now() + lateMs(), due.get(other) ?? 0);
        due.set(other, at);
        clock.setTimeout(() => other.onmessage?.({ data }), at - clock.now());
      }
      close() {
        open.delete(this);
      }
    };
  };
}

/** A database whose changes are reported late. */
const slowDisk = (factory, clock, lateMs) => ({
  open(...given) {
    const request = factory.open(...given);
    request.addEventListener('success', () => {
      const database = request.result;
      const begin = database.transaction;
      database.transaction = (...asked) => {
        const transaction = begin.apply(database, asked);
        const late = (run) => transaction.addEventListener('complete', () => clock.setTimeout(run, lateMs()));
        if (asked[1] === 'readwrite') Object.defineProperty(transaction, 'oncomplete', { set: late });
        return transaction;
      };
    });
    return request;
  },
});

async function randomTabs(random) {
  const upTo = (most) => Math.floor(random() * most);
  const made = world();
  await fill(made, 2);
  const own = new Browser(made);
  const factory = new IDBFactory();
  const channelOf = lateChannels(made.clock, () => upTo(random() < 0.2 ? 30 : 3));
  const diskOf = () => slowDisk(factory, made.clock, () => upTo(random() < 0.3 ? 40 : 4));
  const open = () => own.tab({ mergeMs: 100, isShared: false, more: { indexedDB: diskOf(), BroadcastChannel: channelOf() } });
  const tabs = [await open(), await open(), await open()];
  await tick(made.clock, 100);
  return { ...made, open, tabs, upTo };
}

/** Writes rising prices in the second tab. What it returns is filled while writes end. */
async function writeAtRandom({ clock, service, tabs, upTo }, random) {
  const last = new Map();
  const faults = [];
  for (let price = 1_001; price <= 1_000 + WRITES; price += 1) {
    const id = random() < 0.8 ? 'e-1' : 'e-2';
    last.set(id, price);
    const changes = random() < 0.8 ? { purchasePrice: price } : { purchasePrice: price, city: `c${price}` };
    const { done } = tabs[1].client.update('escrows', id, changes, { isImmediate: random() < 0.1 });
    done.then((record) => record.purchasePrice >= price || faults.push(`done of ${price} has ${record.purchasePrice}`), (error) => faults.push(`${price}: ${error}`));
    if (random() < 0.3) service.faults.add({ kind: 'delay', method: 'PATCH', ms: upTo(30) });
    await tick(clock, upTo(random() < 0.5 ? 20 : 120));
  }
  return { last, faults };
}

for (const seed of SEEDS) {
  test(`what one tab writes while another sends arrives, with seed ${seed}`, async () => {
    const random = seeded(seed);
    const all = await randomTabs(random);
    const { last, faults } = await writeAtRandom(all, random);
    for (let i = 0; i < 40; i += 1) await tick(all.clock, 100);
    assert.deepEqual(faults, []);
    for (const tab of [...all.tabs, await all.open()]) assert.deepEqual(tab.client.outbox.pending(), []);
    for (const [id, price] of last) assert.equal((await send(all.service, 'GET', `/records/escrows/${id}`)).body.purchasePrice, price);
    const requests = all.service.requests.filter(({ method }) => method === 'PATCH').length;
    assert.ok(requests <= MOST_REQUESTS, `${requests} requests`);
  });
}
