// The SharedWorker that has the stream of all tabs of one user.
import { createEnvironment } from '../environment.js';
import { servePorts } from './ports.js';
import { tools } from './tools.js';

const connected = servePorts(createEnvironment(), tools);

/** @type {any} */ (globalThis).onconnect = (/** @type {MessageEvent} */ { ports: [port] }) => connected(port);
