// The verdict about a rolling restart: a run in which nothing happened is not one in which nothing was lost.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { faults } from '../../benches/rolling/verdict.mjs';

const PLAN = { clients: 20, teams: 10, eventsPerSecond: 5 };
const RATES = { transactions: { mean: 100, most: 100 }, statements: { mean: 0, most: 0 } };
const RESTART = { transactions: { mean: 200, most: 300 }, statements: { mean: 0, most: 0 } };
const GOOD = {
  lost: 0, repeated: 0, outOfOrder: 0, resets: 0, longestWaitMs: 5_000, publishingSeconds: 20, published: 100, acknowledged: 100, owed: 200, received: 200,
  unmoved: 0, quiet: RATES, restart: RESTART,
};
const found = (changes) => faults({ ...GOOD, ...changes }, PLAN).join('; ');

test('a restart that went as it must has no faults', () => {
  assert.equal(found({}), '');
});

test('each fault is found', () => {
  assert.match(found({ lost: 1, received: 199 }), /1 receipts were lost/);
  assert.match(found({ repeated: 2 }), /2 receipts were repeated/);
  assert.match(found({ outOfOrder: 3 }), /3 receipts were out of order/);
  assert.match(found({ resets: 4 }), /4 streams were reset/);
  assert.match(found({ longestWaitMs: 5_001 }), /a client waited 5001 ms/);
  assert.match(found({ restart: { ...RESTART, transactions: { mean: 200, most: 301 } } }), /301 transactions\/s/);
  const counted = (most) => ({ quiet: { ...RATES, statements: { mean: 50, most: 60 } }, restart: { transactions: { mean: 200, most: 301 }, statements: { mean: 60, most } } });
  assert.match(found(counted(151)), /151 statements\/s/);
  assert.equal(found(counted(150)), '');
});

test('a run that shows nothing is a fault', () => {
  assert.match(found({ published: 0, acknowledged: 0, owed: 0, received: 0 }), /only 0 events were published.*0 receipts came/);
  assert.match(found({ published: 80, acknowledged: 80, owed: 160, received: 160 }), /only 80 events/);
  assert.match(found({ acknowledged: 99, owed: 198, received: 198 }), /1 events were not acknowledged/);
  assert.match(found({ received: 0 }), /0 receipts came, and 200 were owed/);
  assert.match(found({ owed: 20, received: 20 }), /too few clients/);
  assert.match(found({ unmoved: 5 }), /the streams of 5 clients never ended/);
});
