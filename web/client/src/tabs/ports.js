// What a SharedWorker does: one hub, and a port for each tab.
import { Hub } from './hub.js';

/**
 * Returns what is called with each port that connects.
 * @param {import('../environment.js').Environment} env
 * @param {import('./tools.js').Tools} tools
 * @returns {(port: MessagePort) => void}
 */
export function servePorts(env, tools) {
  const from = env.uuid();
  /** @type {Map<string, MessagePort>} */
  const ports = new Map();
  const hub = new Hub(env, tools, (to, told) => {
    const receivers = to === null ? new Set(ports.values()) : [ports.get(to)];
    for (const port of receivers) port?.postMessage({ from, to, ...told });
  });
  return (port) => {
    port.onmessage = ({ data }) => {
      ports.set(data.id, port);
      hub.receive(data);
      for (const id of ports.keys()) if (!hub.has(id)) ports.delete(id);
    };
  };
}
