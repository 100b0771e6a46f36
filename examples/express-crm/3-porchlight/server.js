import express from 'express';
import { login, signedIn } from '../crm/auth.js';
import { runSql } from '../crm/db.js';
import { MODULES } from '../crm/modules.js';
import { records } from '../crm/records.js';

await runSql('../crm/schema.sql');
await runSql('watch.sql');
const app = express();
app.use(express.static('../crm'), express.static('dist'), express.json());
app.post('/api/login', login({ porchlight: process.env.PORCHLIGHT_URL ?? 'http://127.0.0.1:8080' }));
for (const module of Object.keys(MODULES)) {
  app.use(`/api/${module}`, signedIn, records(module));
}
const server = app.listen(process.env.PORT ?? 3000, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
