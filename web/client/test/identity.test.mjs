// Whose token it is, as the service reads it.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { CLAIM_NAMES, identityOf } from '../src/identity.js';
import { shareKey } from '../src/tabs/share_key.js';
import { tools } from '../src/tabs/tools.js';
import { claimsOf } from '../src/token.js';
import { tokenWith } from './support.mjs';

const of = (claims) => Object.values(identityOf(claimsOf(tokenWith(claims))));

describe('the identity of a token', () => {
  test('has the names of the service', async () => {
    const source = await readFile(new URL('../../../src/identity/claims.rs', import.meta.url), 'utf8');
    for (const [name, names] of Object.entries(CLAIM_NAMES)) {
      const [, list] = source.match(new RegExp(`const ${name.toUpperCase()}: &\\[&str\\] = &\\[(.*)\\];`));
      assert.deepEqual(names, list.split(', ').map((one) => JSON.parse(one)), name);
    }
  });

  test('is read by every name, the first one first', () => {
    assert.deepEqual(of({ sub: 'ann', id: 'x', broker_id: 'b-1', teams: ['t-1', 't-2'] }), ['ann', 'b-1', ['t-1', 't-2']]);
    assert.deepEqual(of({ id: 'ann', brokerId: 'b-1', teamId: 't-1' }), ['ann', 'b-1', ['t-1']]);
    assert.deepEqual(of({ sub: null, user_id: 7, brokerId: 3, teamIds: [1, 2], team_id: 'a, b,' }), ['7', '3', ['1', '2', 'a', 'b']]);
    assert.deepEqual(of({ userId: 'ann' }), ['ann', null, []]);
  });

  test('is unknown without such a claim, and where a number has lost digits', () => {
    for (const claims of [{}, { sub: '' }, { sub: {} }, { uid: 'ann' }, { sub: 2 ** 60 }]) assert.deepEqual(of(claims), [null, null, []], JSON.stringify(claims));
    for (const token of ['opaque', 'a.b.c']) assert.equal(identityOf(claimsOf(token)).userId, null);
  });
});

describe('the name of a shared stream', () => {
  const wanted = { base: 'http://crm.test', path: '/stream', query: {} };
  const keyOf = (claims, more) => shareKey({ ...wanted, token: claims && tokenWith(claims), ...more }, tools);

  test('differs by everything that a token says of the user', () => {
    const ann = { id: 'ann', brokerId: 'b-1', teamId: 't-1', role: 'agent' };
    const others = [{ ...ann, id: 'bob' }, { ...ann, brokerId: 'b-2' }, { ...ann, teamId: 't-2' }, { ...ann, role: 'admin' }];
    assert.equal(new Set([ann, ...others].map((claims) => keyOf(claims))).size, 5);
    const configured = [{ 'https://crm.test/user': 'ann', org: 'b-1' }, { 'https://crm.test/user': 'bob', org: 'b-1' }, { 'https://crm.test/user': 'ann', org: 'b-2' }];
    assert.equal(new Set(configured.map((claims) => keyOf(claims))).size, 3);
  });

  test('stays the same when the token is renewed', () => {
    const ann = { sub: 'ann', role: 'agent' };
    assert.equal(keyOf({ ...ann, iat: 1, nbf: 1, exp: 2, jti: 'a' }), keyOf({ role: 'agent', sub: 'ann', iat: 5, nbf: 5, exp: 6, jti: 'b' }));
  });

  test('is missing where nobody can tell users apart', () => {
    for (const claims of [null, {}, { iat: 1, exp: 2, jti: 'a' }, { sub: 2 ** 60 }]) assert.equal(keyOf(claims), null, JSON.stringify(claims));
    assert.notEqual(keyOf(null, { userId: 'ann' }), keyOf(null, { userId: 'bob' }));
  });
});
