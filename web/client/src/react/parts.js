// Parts of the client that exist while components use them.
import { useMemo } from 'react';
import { useStore } from './store.js';

/** @typedef {import('../client.js').Client} Client */

/**
 * @template Snapshot
 * @typedef {import('./store.js').Watchable<Snapshot> & {close?: () => void, release?: () => unknown}} Part
 */

/** How many components use a part, and whether it is theirs alone. @type {WeakMap<Client, Map<string, {users: number, isOwn: boolean}>>} */
const uses = new WeakMap();

/**
 * A part is made when the first component is mounted, not when it is rendered, and ended after the last one is gone.
 * @template Snapshot
 * @template {Part<Snapshot>} P
 * @param {Client} client
 * @param {string} name of the part
 * @param {() => P} make gets the part from the client
 * @param {Snapshot} initial what is shown before, and by a server
 */
function partOf(client, name, make, initial) {
  /** @type {P | null} */
  let part = null;
  return {
    /** @param {() => void} listener */
    subscribe(listener) {
      const own = uses.get(client) ?? new Map();
      uses.set(client, own);
      const use = own.get(name) ?? { users: 0, isOwn: !client.hasPart(name) };
      own.set(name, use);
      use.users += 1;
      part = make();
      const off = part.subscribe(listener);
      return () => {
        off();
        use.users -= 1;
        // StrictMode subscribes again at once.
        queueMicrotask(async () => {
          const isUnused = () => use.users === 0 && own.get(name) === use;
          // A lock waits for what was written under it. A component may come meanwhile, and goes on with it.
          if (isUnused() && use.isOwn) await part?.release?.();
          if (!isUnused()) return;
          own.delete(name);
          if (use.isOwn) client.endPart(name);
        });
      };
    },
    getSnapshot: () => part?.getSnapshot() ?? initial,
    /** The part, while the component is mounted. */
    get part() {
      return part;
    },
  };
}

/**
 * @template Snapshot
 * @template {Part<Snapshot>} P
 * @param {Client} client
 * @param {string} name
 * @param {() => P} make
 * @param {Snapshot} initial
 */
export function usePart(client, name, make, initial) {
  // `make` is part of the name.
  const shared = useMemo(() => partOf(client, name, make, initial), [client, name]);
  return { shared, snapshot: useStore(shared, initial) };
}

