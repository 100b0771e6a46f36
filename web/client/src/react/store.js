// Stores of the client as React values.
import { useMemo, useSyncExternalStore } from 'react';

/**
 * What hooks watch: the snapshot is the same object until something changes.
 * @template T
 * @typedef {{subscribe: (listener: () => void) => () => void, getSnapshot: () => T}} Watchable
 */

/**
 * @template T
 * @param {Watchable<T>} store
 * @param {T} initial what a server renders, and the browser until it has taken over
 * @returns {T}
 */
export function useStore(store, initial) {
  return useSyncExternalStore(store.subscribe, store.getSnapshot, () => initial);
}

/**
 * A part of a store: the component is rendered again only when this part changes.
 * @template T, Part
 * @param {Watchable<T>} store
 * @param {T} initial
 * @param {(value: T) => Part} select
 * @returns {Part}
 */
export function useSelected(store, initial, select) {
  const last = useMemo(() => ({ part: /** @type {Part | undefined} */ (undefined) }), [store]);
  const [read, readInitial] = useMemo(() => {
    const memo = (/** @type {() => T} */ get) => {
      /** @type {T | undefined} */
      let seen;
      /** @type {Part | undefined} */
      let part;
      return () => {
        const value = get();
        if (part === undefined || !Object.is(value, seen)) {
          const next = select(value);
          const before = part ?? last.part;
          part = before !== undefined && isEqual(before, next) ? before : next;
          seen = value;
          last.part = part;
        }
        return /** @type {Part} */ (part);
      };
    };
    return [memo(store.getSnapshot), memo(() => initial)];
  }, [store, initial, select]);
  return useSyncExternalStore(store.subscribe, read, readInitial);
}

/**
 * Whether two values have the same members.
 * @param {any} a
 * @param {any} b
 * @returns {boolean}
 */
export function isEqual(a, b) {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || !a || !b) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.is(a[key], b[key]));
}

/** For hooks that have nothing to watch yet. */
export const NEVER = () => () => {};
