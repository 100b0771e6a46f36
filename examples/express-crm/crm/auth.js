import jwt from 'jsonwebtoken';
import { db } from './db.js';

const { JWT_SECRET } = process.env;

/** Answers with a token and with further settings for the browser. A real CRM asks for a password. */
export const login = (settings) => async (request, response) => {
  const { rows: [user] } = await db.query('select id, name, team_id from users where email = $1', [request.body.email]);
  if (!user) return response.status(401).json({ error: 'nobody has this email' });
  const token = jwt.sign({ id: user.id, name: user.name, teamId: user.team_id }, JWT_SECRET, { expiresIn: '8h' });
  response.json({ ...settings, token, name: user.name });
};

/** The user of a token, and the brokerage, which the token does not name. */
export async function userOf(token) {
  const { id, teamId } = jwt.verify(token, JWT_SECRET);
  const { rows: [team] } = await db.query('select broker_id from teams where id = $1', [teamId]);
  return { id, teamId, brokerId: team.broker_id };
}

export async function signedIn(request, response, next) {
  const token = request.headers.authorization?.split(' ')[1];
  request.user = await userOf(token).catch(() => undefined);
  return request.user ? next() : response.status(401).json({ error: 'sign in first' });
}
