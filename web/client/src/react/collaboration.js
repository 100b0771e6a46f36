// Working together: locks, presence, typing.
import { useEffect, useMemo, useRef } from 'react';
import { lock, presence, typing } from '../collaboration.js';
import { NOBODY } from '../collaboration/people.js';
import { useConnection } from './connection.js';
import { usePart } from './parts.js';
import { useClient } from './provider.js';

/** @typedef {import('../collaboration/locks.js').LockSnapshot} LockSnapshot */
/** @typedef {import('../collaboration/presence.js').Presence} Presence */
/** @typedef {import('../collaboration/presence.js').RecordRef} RecordRef */
/** @typedef {import('../events.d.ts').Person} Person */
/** @typedef {{viewing?: RecordRef | null, editing?: RecordRef | null}} Open */

/** @type {LockSnapshot} */
const NO_LOCK = Object.freeze({ status: 'idle', lock: null, fence: null, reason: null, isRequested: false, requestedBy: null });

/** A form that is opened takes it: nobody else has it, or a form that was open before is about to release it. */
const FREE = new Set(['idle', 'held', 'released']);

/** @param {{state: string}} connection */
const isLiveOf = ({ state }) => state === 'connected';

/**
 * The lock of a record. It is released when the last component that uses it is gone. Writes of the record carry its fence.
 * @param {string} module
 * @param {string} id
 * @param {{auto?: boolean, leaseSeconds?: number, idleMs?: number}} [options] `auto`: locks the record while the component is mounted. `idleMs`: it is lost
 * when the user does nothing for so long, five minutes by default, never with 0
 */
export function useLock(module, id, { auto = false, ...options } = {}) {
  const client = useClient();
  const { shared, snapshot } = usePart(client, `lock:${module}/${id}`, () => lock(client, module, id, options), NO_LOCK);
  const isLive = useConnection(isLiveOf);
  useEffect(() => {
    const { status } = shared.getSnapshot();
    // Why it failed is in the snapshot.
    if (auto && FREE.has(status)) shared.part?.acquire().catch(() => {});
  }, [auto, shared]);
  useEffect(() => {
    // It is tried again when the connection is back; what was released since stays so.
    if (auto && shared.getSnapshot().status === 'idle') shared.part?.acquire().catch(() => {});
  }, [auto, shared, isLive]);
  return useMemo(() => ({
    ...snapshot,
    isHeld: snapshot.status === 'held',
    /** The user who holds it, if that is somebody else. */
    heldBy: snapshot.status === 'other' ? snapshot.lock?.holder.userId ?? null : null,
    acquire: async () => shared.part?.acquire() ?? false,
    release: async () => shared.part?.release(),
    /** Asks its holder for it; it is taken when it becomes free. */
    request: async () => shared.part?.request(),
    /** For admins, and once its holder is offline. */
    takeOver: async () => shared.part?.takeOver() ?? false,
  }), [shared, snapshot]);
}

/** What each component has open; the last one of them counts. @type {WeakMap<Presence, Map<object, Open>>} */
const reports = new WeakMap();

/** @param {Presence} here */
function report(here) {
  const all = [...reports.get(here)?.values() ?? []];
  const last = (/** @type {keyof Open} */ what) => all.findLast((open) => open[what])?.[what] ?? null;
  if (all.length) here.show({ viewing: last('viewing'), editing: last('editing') });
  else here.leave();
}

/**
 * Who is here. With a record, it also reports that this user views or edits it while the component is mounted; without one, it only listens.
 * @param {Open} [open]
 */
export function usePresence({ viewing, editing } = {}) {
  const client = useClient();
  const { shared, snapshot } = usePart(client, 'presence', () => presence(client), NOBODY);
  const me = useRef({});
  const key = JSON.stringify([viewing ?? null, editing ?? null]);
  useEffect(() => {
    const [viewed, edited] = JSON.parse(key);
    const here = shared.part;
    if (!here || (!viewed && !edited)) return undefined;
    const own = reports.get(here) ?? new Map();
    reports.set(here, own);
    own.set(me.current, { viewing: viewed, editing: edited });
    report(here);
    return () => {
      own.delete(me.current);
      // Another component may come at once, and then this tab was never away.
      queueMicrotask(() => report(here));
    };
  }, [shared, key]);
  return useMemo(() => {
    const [viewed, edited] = JSON.parse(key);
    const record = viewed ?? edited;
    const having = (/** @type {'viewing' | 'editing'} */ what) => snapshot.people.filter((person) => record && person[what]
      .some(({ module, recordId }) => module === record.module && recordId === record.recordId));
    return { ...snapshot, /** Who has the record open. */ viewers: having('viewing'), /** Who edits it. */ editors: having('editing') };
  }, [snapshot, key]);
}

/**
 * Who types, and `type` to be called at every key.
 * @param {{module: string, recordId: string} | {team: string}} target
 */
export function useTyping(target) {
  const client = useClient();
  const { snapshot } = usePart(client, 'presence', () => presence(client), NOBODY);
  const key = JSON.stringify(target);
  const signal = useMemo(() => typing(client, JSON.parse(key)), [client, key]);
  useEffect(() => () => signal.stop(), [signal]);
  return useMemo(() => {
    const { module = null, recordId = null, team = null } = JSON.parse(key);
    const here = snapshot.typing.filter((one) => one.name === 'typing' && one.module === module && one.recordId === recordId && one.team === team);
    return {
      /** The ids of the others who type. */
      typing: [...new Set(here.filter(({ session }) => session !== client.session).map(({ userId }) => userId))],
      type: () => signal.type(),
      stop: () => signal.stop(),
    };
  }, [snapshot, signal, key, client]);
}
