// A list of records, as pages and messages make it. No browser is needed.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { advance, Book, MOST_KEPT } from '../console/book.js';

const record = (id, version = 1, fields = {}) => ({ id, version, status: 'open', archivedAt: null, address: `${id} Oak St`, ...fields });
const at = (n) => `${n}-k7q2mw`;
const told = (action, id, version, more = {}) => ({ type: `escrow:${action}`, module: 'escrows', action, recordId: id, version, ...more });
const created = (id, version = 1, fields) => told('created', id, version, { data: record(id, version, fields) });
const updated = (id, version, changes) => told('updated', id, version, { changes: { ...changes, version } });
const deleted = (id, version) => told('deleted', id, version);

function bookOf(records, wanted) {
  const book = new Book('escrows', wanted);
  book.answer(records, at(10));
  return book;
}

const seen = (book) => book.list().map(({ id, version, status }) => `${id} v${version} ${status}`);

describe('a record', () => {
  test('goes on by what is told of the next version, and by nothing older', () => {
    const known = record('e-1', 3);
    assert.equal(advance(known, updated('e-1', 3, { status: 'closed' })), known);
    assert.deepEqual(advance(known, updated('e-1', 4, { status: 'closed' })), record('e-1', 4, { status: 'closed' }));
  });

  test('is not known any more once a version was missed, unless all of it is told', () => {
    assert.equal(advance(record('e-1', 3), updated('e-1', 5, { status: 'closed' })), undefined);
    assert.deepEqual(advance(record('e-1', 3), created('e-1', 5)), record('e-1', 5));
  });

  test('is gone when it is deleted', () => {
    assert.equal(advance(record('e-1', 3), deleted('e-1', 3)), null);
  });
});

describe('a list of records', () => {
  test('follows what is made, changed and deleted; what is new comes first', () => {
    const book = bookOf([record('e-1'), record('e-2')]);
    assert.equal(book.take(created('e-3'), at(11)).isChange, true);
    assert.equal(book.take(updated('e-2', 2, { status: 'pending' }), at(12)).isChange, true);
    assert.equal(book.take(deleted('e-1', 1), at(13)).isChange, true);
    assert.deepEqual(seen(book), ['e-3 v1 open', 'e-2 v2 pending']);
  });

  test('takes nothing of other modules, of other kinds or of before', () => {
    const book = bookOf([record('e-1')]);
    for (const [event, position] of [
      [{ ...created('l-1'), module: 'listings' }, at(11)],
      [{ type: 'escrow:locked', module: 'escrows', action: 'locked', recordId: 'e-1' }, at(11)],
      [updated('e-1', 2, { status: 'closed' }), at(10)],
      [updated('e-1', 1, { status: 'closed' }), at(11)],
      [updated('e-9', 2, { status: 'closed' }), at(11)],
    ]) assert.deepEqual({ missing: undefined, ...book.take(event, position) }, { isChange: false, missing: undefined });
    assert.deepEqual(seen(book), ['e-1 v1 open']);
  });

  test('a page that is answered late loses nothing that was heard meanwhile', () => {
    const book = new Book('escrows');
    book.take(updated('e-1', 2, { status: 'closed' }), at(11));
    book.take(deleted('e-2', 1), at(12));
    book.take(created('e-3'), at(13));
    book.answer([record('e-1'), record('e-2')], at(10));
    assert.deepEqual(seen(book), ['e-3 v1 open', 'e-1 v2 closed']);
  });

  test('a further page adds to it, and takes back nothing', () => {
    const book = bookOf([record('e-1', 2)]);
    book.take(updated('e-1', 3, { status: 'pending' }), at(11));
    book.answer([record('e-1', 2), record('e-0')], at(10), false);
    assert.deepEqual(seen(book), ['e-1 v3 pending', 'e-0 v1 open']);
  });

  test('what was missed is asked for, and what is answered counts', () => {
    const book = bookOf([record('e-1')]);
    assert.deepEqual(book.take(updated('e-1', 4, { status: 'closed' }), at(11)), { isChange: false, missing: 'e-1' });
    book.put('e-1', record('e-1', 4, { status: 'closed' }), at(11));
    assert.deepEqual(seen(book), ['e-1 v4 closed']);
  });

  test('of a status has what is of that status, and asks for what may have become so', () => {
    const book = bookOf([record('e-1')], { status: 'open' });
    assert.equal(book.take(updated('e-1', 2, { status: 'closed' }), at(11)).isChange, true);
    assert.equal(book.take(created('e-2', 1, { status: 'closed' }), at(12)).isChange, false);
    assert.deepEqual(seen(book), []);
    assert.equal(book.take(updated('e-7', 2, { status: 'open' }), at(13)).missing, 'e-7');
    assert.equal(book.take(updated('e-8', 2, { city: 'Bend' }), at(14)).missing, undefined);
  });

  test('what is archived leaves, what is restored is asked for', () => {
    const book = bookOf([record('e-1')]);
    const archivedAt = '2025-11-02T12:00:00Z';
    book.take(told('archived', 'e-1', 2, { changes: { archivedAt, version: 2 } }), at(11));
    assert.deepEqual(seen(book), []);
    const restored = told('restored', 'e-1', 3, { changes: { archivedAt: null, version: 3 } });
    assert.equal(book.take(restored, at(12)).missing, 'e-1');
  });

  test('has an end: what is new is there, and what was last goes', () => {
    const many = Array.from({ length: MOST_KEPT - 1 }, (_, n) => record(`e-${n}`));
    const book = bookOf(many);
    book.take(created('new-1'), at(11));
    assert.equal(book.isFull, true);
    book.take(created('new-2'), at(12));
    book.answer([record('later')], at(10), false);
    const ids = book.list().map(({ id }) => id);
    assert.equal(ids.length, MOST_KEPT);
    assert.deepEqual([ids[0], ids[1], ids.at(-1)], ['new-2', 'new-1', `e-${MOST_KEPT - 3}`]);
  });

  test('with words has what has all of them, in any case', () => {
    const book = bookOf([], { words: 'oak E-1' });
    book.take(created('e-1'), at(11));
    book.take(created('e-2'), at(12));
    assert.deepEqual(seen(book), ['e-1 v1 open']);
  });

  test('positions beyond what a number can be are told apart', () => {
    const book = new Book('escrows');
    book.answer([record('e-1')], '9007199254740993-k7q2mw');
    assert.equal(book.take(deleted('e-1', 1), '9007199254740992-k7q2mw').isChange, false);
    assert.equal(book.take(deleted('e-1', 1), '9007199254740994-k7q2mw').isChange, true);
  });
});
