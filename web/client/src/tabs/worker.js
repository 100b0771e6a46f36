// The SharedWorker that has the stream of all tabs of one user.
import { createEnvironment } from '../environment.js';
import { servePorts } from './ports.js';

const connected = servePorts(createEnvironment());

/** @type {any} */ (globalThis).onconnect = (/** @type {MessageEvent} */ { ports: [port] }) => connected(port);
