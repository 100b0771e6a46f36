// Begins with what takes longest: the token is asked for before the rest of the script is run.
import { openSession } from './shell/session.js';

const session = openSession();
addEventListener('hashchange', () => location.hash.startsWith('#token=') && location.reload());
import('./start.js').then(({ start }) => start(session));
