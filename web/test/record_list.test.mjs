// A list of records, built from pages and events. No browser is needed.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { advance, RecordList, MOST_RECORDS } from '../console/record_list.js';

const record = (id, version = 1, fields = {}) => ({ id, version, status: 'open', archivedAt: null, address: `${id} Oak St`, ...fields });
const at = (n) => `${n}-k7q2mw`;
const recordEvent = (action, id, version, more = {}) => ({ type: `escrow:${action}`, module: 'escrows', action, recordId: id, version, ...more });
const created = (id, version = 1, fields) => recordEvent('created', id, version, { data: record(id, version, fields) });
const updated = (id, version, changes) => recordEvent('updated', id, version, { changes: { ...changes, version } });
const deleted = (id, version) => recordEvent('deleted', id, version);

function listOf(records, wanted) {
  const list = new RecordList('escrows', wanted);
  list.answer(records, at(10));
  return list;
}

const seen = (list) => list.all().map(({ id, version, status }) => `${id} v${version} ${status}`);

describe('a record', () => {
  test('applies events of the next version, and no older ones', () => {
    const known = record('e-1', 3);
    assert.equal(advance(known, updated('e-1', 3, { status: 'closed' })), known);
    assert.deepEqual(advance(known, updated('e-1', 4, { status: 'closed' })), record('e-1', 4, { status: 'closed' }));
  });

  test('is not known any more once a version was missed, unless an event has all of it', () => {
    assert.equal(advance(record('e-1', 3), updated('e-1', 5, { status: 'closed' })), undefined);
    assert.deepEqual(advance(record('e-1', 3), created('e-1', 5)), record('e-1', 5));
  });

  test('is removed when it is deleted', () => {
    assert.equal(advance(record('e-1', 3), deleted('e-1', 3)), null);
  });
});

describe('a list of records', () => {
  test('follows created, changed and deleted records; new ones come first', () => {
    const list = listOf([record('e-1'), record('e-2')]);
    assert.equal(list.take(created('e-3'), at(11)).isChange, true);
    assert.equal(list.take(updated('e-2', 2, { status: 'pending' }), at(12)).isChange, true);
    assert.equal(list.take(deleted('e-1', 1), at(13)).isChange, true);
    assert.deepEqual(seen(list), ['e-3 v1 open', 'e-2 v2 pending']);
  });

  test('ignores events of other modules and other kinds, and older events', () => {
    const list = listOf([record('e-1')]);
    for (const [event, position] of [
      [{ ...created('l-1'), module: 'listings' }, at(11)],
      [{ type: 'escrow:locked', module: 'escrows', action: 'locked', recordId: 'e-1' }, at(11)],
      [updated('e-1', 2, { status: 'closed' }), at(10)],
      [updated('e-1', 1, { status: 'closed' }), at(11)],
      [updated('e-9', 2, { status: 'closed' }), at(11)],
    ]) assert.deepEqual({ missing: undefined, ...list.take(event, position) }, { isChange: false, missing: undefined });
    assert.deepEqual(seen(list), ['e-1 v1 open']);
  });

  test('a page that is answered late loses nothing that arrived meanwhile', () => {
    const list = new RecordList('escrows');
    list.take(updated('e-1', 2, { status: 'closed' }), at(11));
    list.take(deleted('e-2', 1), at(12));
    list.take(created('e-3'), at(13));
    list.answer([record('e-1'), record('e-2')], at(10));
    assert.deepEqual(seen(list), ['e-3 v1 open', 'e-1 v2 closed']);
  });

  test('a further page adds records and undoes no change', () => {
    const list = listOf([record('e-1', 2)]);
    list.take(updated('e-1', 3, { status: 'pending' }), at(11));
    list.answer([record('e-1', 2), record('e-0')], at(10), false);
    assert.deepEqual(seen(list), ['e-1 v3 pending', 'e-0 v1 open']);
  });

  test('a record is requested after a missed event, and the answer replaces it', () => {
    const list = listOf([record('e-1')]);
    assert.deepEqual(list.take(updated('e-1', 4, { status: 'closed' }), at(11)), { isChange: false, missing: 'e-1' });
    list.put('e-1', record('e-1', 4, { status: 'closed' }), at(11));
    assert.deepEqual(seen(list), ['e-1 v4 closed']);
  });

  test('filtered by status has records with this status, and requests those that may have got it', () => {
    const list = listOf([record('e-1')], { status: 'open' });
    assert.equal(list.take(updated('e-1', 2, { status: 'closed' }), at(11)).isChange, true);
    assert.equal(list.take(created('e-2', 1, { status: 'closed' }), at(12)).isChange, false);
    assert.deepEqual(seen(list), []);
    assert.equal(list.take(updated('e-7', 2, { status: 'open' }), at(13)).missing, 'e-7');
    assert.equal(list.take(updated('e-8', 2, { city: 'Bend' }), at(14)).missing, undefined);
  });

  test('an archived record leaves, a restored one is requested', () => {
    const list = listOf([record('e-1')]);
    const archivedAt = '2025-11-02T12:00:00Z';
    list.take(recordEvent('archived', 'e-1', 2, { changes: { archivedAt, version: 2 } }), at(11));
    assert.deepEqual(seen(list), []);
    const restored = recordEvent('restored', 'e-1', 3, { changes: { archivedAt: null, version: 3 } });
    assert.equal(list.take(restored, at(12)).missing, 'e-1');
  });

  test('has a limit: new records come in, and the last ones are removed', () => {
    const many = Array.from({ length: MOST_RECORDS - 1 }, (_, n) => record(`e-${n}`));
    const list = listOf(many);
    list.take(created('new-1'), at(11));
    assert.equal(list.isFull, true);
    list.take(created('new-2'), at(12));
    list.answer([record('later')], at(10), false);
    const ids = list.all().map(({ id }) => id);
    assert.equal(ids.length, MOST_RECORDS);
    assert.deepEqual([ids[0], ids[1], ids.at(-1)], ['new-2', 'new-1', `e-${MOST_RECORDS - 3}`]);
  });

  test('filtered by words has records with all of them, in upper or lower case', () => {
    const list = listOf([], { words: 'oak E-1' });
    list.take(created('e-1'), at(11));
    list.take(created('e-2'), at(12));
    assert.deepEqual(seen(list), ['e-1 v1 open']);
  });

  test('positions beyond what a number can be are distinguished', () => {
    const list = new RecordList('escrows');
    list.answer([record('e-1')], '9007199254740993-k7q2mw');
    assert.equal(list.take(deleted('e-1', 1), '9007199254740992-k7q2mw').isChange, false);
    assert.equal(list.take(deleted('e-1', 1), '9007199254740994-k7q2mw').isChange, true);
  });
});
