// Events of the stream.
import { useEffect, useRef } from 'react';
import { useClient } from './provider.js';

/**
 * @template {string} Type
 * @typedef {import('../events.d.ts').EventOf<Type>} EventOf
 */

/**
 * Calls the handler with each event of a type, like `escrow:updated`, `escrow:*` or `*`, while the component is mounted.
 * @template {string} Type
 * @param {Type | Type[]} types
 * @param {(event: EventOf<Type>, meta: import('../event_hub.js').EventMeta) => void} handler the one of the last rendering is called
 */
export function useEvent(types, handler) {
  const client = useClient();
  const latest = useRef(handler);
  useEffect(() => {
    latest.current = handler;
  });
  const key = [types].flat().join();
  useEffect(() => client.on(/** @type {Type[]} */ (key.split(',')), (event, meta) => latest.current(event, meta)), [client, key]);
}
