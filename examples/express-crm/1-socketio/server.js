import express from 'express';
import { login, signedIn } from '../crm/auth.js';
import { runSql } from '../crm/db.js';
import { records } from '../crm/records.js';
import * as websocket from './websocket.js';

await runSql('../crm/schema.sql');
const app = express();
app.use(express.static('../crm'), express.static('dist'), express.json());
app.post('/api/login', login());
app.use('/api/escrows', signedIn, records('escrows', escrowChanged));
for (const module of ['listings', 'clients', 'appointments', 'leads']) {
  app.use(`/api/${module}`, signedIn, records(module)); // nobody sees these changes
}
const server = app.listen(process.env.PORT ?? 3000, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
websocket.start(server);

function escrowChanged(action, row, user) {
  const update = { entityType: 'escrow', entityId: row.id, action, userId: user.id, teamId: user.teamId, data: row };
  websocket.sendToBroker(user.brokerId, 'data:update', update);
  websocket.sendToTeam(user.teamId, 'data:update', update);
  websocket.sendToUser(user.id, 'data:update', update);
}
