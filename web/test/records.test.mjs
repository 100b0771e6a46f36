// Changes of the tables of records by a script with `pg` are published: once, with what changed and
// nothing else, to the right people, after the commit and never after a rollback.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import pg from 'pg';
import { Server, until } from './support.mjs';

const MODULES = [
  { module: 'escrows', singular: 'escrow', required: 'address', open: 'city', secret: ['commission', 'commission'] },
  { module: 'listings', singular: 'listing', required: 'address', open: 'city', secret: ['commission_rate', 'commissionRate'] },
  { module: 'clients', singular: 'client', required: 'name', open: 'phone', secret: ['notes', 'notes'] },
  { module: 'appointments', singular: 'appointment', required: 'title', open: 'location', secret: ['notes', 'notes'] },
  { module: 'leads', singular: 'lead', required: 'name', open: 'phone', secret: ['notes', 'notes'] },
];
const MASKED = '[REDACTED]';
const MARKER = `select porchlight.emit('test:marker', '{"broker": "b-1"}')`;

// Ways in which a client of `pg` can run a statement.
const WAYS = {
  'a query': (client, { sql, values }) => client.query(inline(sql, values)),
  'a query with values': (client, { sql, values }) => client.query(sql, values),
  'a prepared statement': (client, { sql, values }) => client.query({ name: sql.slice(0, 60), text: sql, values }),
  'a transaction that writes elsewhere too': async (client, { sql, values }) => {
    await client.query('begin');
    await client.query(`set local porchlight.user_id = 'carl'`);
    await client.query('insert into public.audit values (1)');
    await client.query(sql, values);
    await client.query('update public.audit set n = n + 1');
    await client.query('commit');
  },
};

const inline = (sql, values) => sql.replace(/\$(\d)/g, (_, n) => pg.escapeLiteral(values[n - 1]));

/** What happens to a record: a statement, and what each of the two teams receives of it. */
function life({ module, required, open, secret: [column, field] }, id) {
  const table = `porchlight.${module}`;
  const change = (set, value, received) => ({
    sql: `update ${table} set ${set} where broker_id = $1 and id = $2`.replace('?', '$3'),
    values: value === undefined ? ['b-1', id] : ['b-1', id, value],
    received,
  });
  const changed = (verb, ...fields) => ({ a: [[verb, [...fields, 'updatedAt', 'version']]] });
  return [
    {
      sql: `insert into ${table} (broker_id, id, team_id, owner_id, ${required}, ${column})
        values ($1, $2, 'team-a', 'ann', $3, '5')`,
      values: ['b-1', id, 'Ünï \'"\\ 🏠'],
      received: { a: [['created', { id, [required]: 'Ünï \'"\\ 🏠', [field]: MASKED, version: 1 }]] },
    },
    change(`${open} = ?`, 'x', changed('updated', open)),
    change(`${open} = ?`, 'x', {}),
    change(`${column} = ?`, '6', changed('updated', field)),
    change('archived_at = now()', undefined, changed('archived', 'archivedAt')),
    change('archived_at = null', undefined, changed('restored', 'archivedAt')),
    change('team_id = ?', 'team-z', {
      a: [['deleted', { reason: 'moved' }]],
      z: [['created', { id, [field]: MASKED, teamId: 'team-z', version: 6 }]],
    }),
    { sql: `delete from ${table} where broker_id = $1 and id = $2`, values: ['b-1', id], received: { z: [['deleted']] } },
  ];
}

describe('a script with pg', () => {
  let server;
  let client;
  let markers = 0;

  before(async () => {
    server = await Server.start();
    client = new pg.Client(server.database);
    await client.connect();
    await client.query('create table public.audit (n int)');
  });

  after(async () => {
    await client?.end();
    await server?.stop();
  });

  /** All events of the record that a member of this team has received. */
  async function receivedBy(team, module, id) {
    const path = `/events?limit=1000&records=${module}/${id}`;
    return (await server.get(path, 'bob', team)).events;
  }

  /** Waits until everything that was committed before is published. */
  async function settle() {
    await client.query(MARKER);
    markers += 1;
    await until('the marker is published', async () => {
      const { events } = await server.get('/events?limit=1000&types=test:marker', 'bob', 'team-a');
      return events.length === markers;
    });
  }

  /** Checks an event field by field. */
  function check(event, [verb, expected], { singular }, actor) {
    assert.equal(event.type, `${singular}:${verb}`);
    assert.equal(event.userId, actor);
    if (Array.isArray(expected)) assert.deepEqual(Object.keys(event.changes).sort(), [...expected].sort());
    for (const [field, value] of Object.entries(Array.isArray(expected) ? {} : (expected ?? {}))) {
      assert.equal(event.data[field], value, field);
    }
    const text = JSON.stringify(event);
    for (const hidden of ['broker_id', 'brokerId', 'updated_by', 'updatedBy', 'fieldVersions']) {
      assert.ok(!text.includes(hidden), text);
    }
  }

  for (const [way, make] of Object.entries(WAYS)) {
    test(`publishes every change of every module by ${way}`, async () => {
      const id = way.replaceAll(' ', '-');
      for (const kind of MODULES) {
        for (const change of life(kind, id)) {
          await client.query('begin');
          await client.query(change.sql, change.values);
          await client.query('rollback');
          await make(client, change);
        }
      }
      await settle();
      const actor = way.startsWith('a transaction') ? 'carl' : undefined;
      for (const kind of MODULES) {
        for (const team of ['a', 'z']) {
          const events = await receivedBy(`team-${team}`, kind.module, id);
          const expected = life(kind, id).flatMap((change) => change.received[team] ?? []);
          assert.equal(events.length, expected.length, `${kind.module} team-${team}`);
          events.forEach((event, n) => check(event, expected[n], kind, actor));
        }
      }
    });
  }

  test('publishes nothing that was undone, wholly or from a savepoint on', async () => {
    await client.query('begin');
    for (const { module, required } of MODULES) {
      const insert = `insert into porchlight.${module} (broker_id, id, ${required}) values ('b-1', $1, 'x')`;
      await client.query(insert, ['kept']);
      await client.query('savepoint here');
      await client.query(insert, ['undone']);
      await client.query(`update porchlight.${module} set ${required} = 'y' where id = 'kept'`);
      await client.query('rollback to here');
    }
    await client.query('commit');
    await settle();
    for (const { module } of MODULES) {
      assert.deepEqual((await receivedBy('team-a', module, 'kept')).map(({ version }) => version), [1]);
      assert.deepEqual(await receivedBy('team-a', module, 'undone'), []);
    }
  });
});
