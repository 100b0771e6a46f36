// porchlight: streams that survive, live lists, writes that are not lost.
import { Client } from './client.js';
import { createEnvironment } from './environment.js';

/**
 * Makes a client and connects it.
 *
 *     const client = connect({ url: 'https://crm.example.com', token: () => freshToken() });
 *     client.on('escrow:*', (event) => console.log(event.type, event.recordId));
 *
 * @param {import('./client.js').ClientOptions} [options]
 * @returns {Client}
 */
export function connect(options = {}) {
  const client = new Client(options.environment ?? createEnvironment(), options);
  client.open();
  return client;
}

export { Client, createEnvironment };
export { activity, notifications, tasks } from './feeds.js';
export { lock, presence, typing } from './collaboration.js';
export { PorchlightError } from './error.js';
export { matches } from './event_hub.js';
export { Store } from './store.js';
