// Parts of the page that need no browser.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { firstRows, plain, separatorOf } from '../console/crm/csv.js';
import { shown } from '../console/crm/modules.js';
import { typed } from '../console/crm/fields.js';
import { asAgo, plural, words } from '../console/elements/format.js';

describe('the parts of the page', () => {
  test('the preview of a file reads quotes, ends of lines and separators like the service', () => {
    assert.deepEqual(firstRows('a,"b ""c"", d"\r\n"x\ny",\n\n1,2\n', 9), [['a', 'b "c", d'], ['x\ny', ''], ['1', '2']]);
    assert.deepEqual(firstRows('1\n2\n3\n', 2), [['1'], ['2']]);
    assert.equal(separatorOf('Name;E-mail, private;City\n'), ';');
    for (const name of ['List Price', 'list_price', 'LIST-PRICE']) assert.equal(plain(name), 'listprice');
  });

  test('values are shown as people write them', () => {
    assert.equal(shown('purchasePrice', 395_000), '$395,000');
    assert.equal(shown('purchasePrice', 395_000.5), '$395,000.50');
    assert.equal(shown('commissionRate', 2.5), '2.5 %');
    assert.equal(shown('yearBuilt', 1_908), '1908');
    assert.equal(shown('closeDate', '1999-12-31'), 'Dec 31, 1999');
    assert.equal(shown('status', 'coming_soon'), 'Coming soon');
    assert.equal(shown('commission', '[REDACTED]'), 'Private');
    assert.equal(words('purchasePrice'), 'Purchase price');
    assert.equal(words('mlsNumber'), 'MLS number');
    assert.equal(plural(1, 'person', 'people'), '1 person');
    assert.equal(asAgo(0, 60_000), '1 minute ago');
  });

  test('what is typed is a value of its field, and nothing is null', () => {
    assert.equal(typed({ type: 'number' }, '12.5'), 12.5);
    for (const text of ['395000', '395,000', ' $395,000.00 ', '395000.']) assert.equal(typed({ type: 'number' }, text), 395_000, text);
    assert.equal(typed({ type: 'number' }, '2.5 %'), 2.5);
    for (const text of ['abc', '4e', '1e5', '39,5000', '-', '$', '1.2.3']) assert.equal(typed({ type: 'integer' }, text), NaN, text);
    assert.equal(typed({ type: 'integer' }, ' '), null);
    assert.deepEqual(typed({ type: 'texts' }, 'a, b ,'), ['a', 'b']);
    assert.equal(typed({ type: 'text' }, '  '), null);
  });
});
