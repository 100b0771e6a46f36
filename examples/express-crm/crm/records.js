import { Router } from 'express';
import { db } from './db.js';
import { MODULES } from './modules.js';

/** The routes of one module. `changed` is called after each change. */
export function records(module, changed = () => {}) {
  const router = Router();
  const given = (body) => MODULES[module].filter((field) => field in body);

  async function answer(request, response, action, sql, values) {
    const { rows: [row] } = await db.query(`${sql} returning *`, values);
    if (!row) return response.status(404).json({ error: 'no such record' });
    changed(action, row, request.user);
    response.json(row);
  }

  router.get('/', async ({ user }, response) => {
    const { rows } = await db.query(`select * from ${module} where team_id = $1 order by created_at`, [user.teamId]);
    response.json(rows);
  });

  router.post('/', (request, response) => {
    const { body, user } = request;
    const columns = ['broker_id', 'team_id', 'owner_id', 'updated_by', ...given(body)];
    const values = [user.brokerId, user.teamId, user.id, user.id, ...given(body).map((field) => body[field])];
    const places = values.map((_, n) => `$${n + 1}`);
    return answer(request, response, 'create', `insert into ${module} (${columns}) values (${places})`, values);
  });

  router.patch('/:id', (request, response) => {
    const { body, user, params } = request;
    const sets = given(body).map((field, n) => `${field} = $${n + 4}`);
    const sql = `update ${module} set ${['version = version + 1', 'updated_by = $3', ...sets]} where id = $1 and team_id = $2`;
    const values = [params.id, user.teamId, user.id, ...given(body).map((field) => body[field])];
    return answer(request, response, 'update', sql, values);
  });

  router.delete('/:id', (request, response) => {
    const { user, params } = request;
    return answer(request, response, 'delete', `delete from ${module} where id = $1 and team_id = $2`, [params.id, user.teamId]);
  });

  return router;
}
