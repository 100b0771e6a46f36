import { readFile } from 'node:fs/promises';
import pg from 'pg';

/** `DATABASE_URL`, or else `PGHOST` and the other variables of Postgres. */
export const db = new pg.Pool({ connectionString: process.env.DATABASE_URL });
db.on('error', (error) => console.error('a connection to Postgres ended:', error.message));

/** Runs a file of SQL. */
export const runSql = async (path) => db.query(await readFile(path, 'utf8'));
