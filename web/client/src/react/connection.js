// Whether the page is live, and what still waits to be sent.
import { createElement, useCallback, useMemo } from 'react';
import { useClient } from './provider.js';
import { useSelected } from './store.js';

/** @typedef {import('../connection_status.js').ConnectionState} ConnectionState */
/** @typedef {import('../records/pending.js').Write} Write */

/** @type {ConnectionState} */
const INITIAL = Object.freeze({
  state: 'connecting', reason: null, nextRetryAt: null, transport: 'fetch', position: null, pendingWrites: 0,
  isLost: false, isDisconnectedLong: false, failures: 0, connectedAt: null,
});
/** @type {import('../writes.js').OutboxState} */
const NO_WRITES = Object.freeze({ writes: Object.freeze([]), storage: 'none' });

/** What people read. @type {Record<ConnectionState['state'], 'live' | 'connecting' | 'offline' | 'error'>} */
const SHOWN = { connected: 'live', connecting: 'connecting', reconnecting: 'connecting', offline: 'offline', error: 'error', 'needs-auth': 'error' };
const LABELS = { live: 'Live', connecting: 'Connecting', offline: 'Offline', error: 'Error', retry: 'Retry' };
const COLORS = { live: '#1a7f37', connecting: '#bf8700', offline: '#6e7781', error: '#cf222e' };

const storageOf = (/** @type {import('../writes.js').OutboxState} */ { storage }) => storage;
const identity = (/** @type {any} */ value) => value;

/**
 * The state of the connection. With a function that picks a part of it, the component is rendered again only when this part changes:
 * `useConnection((connection) => connection.isLost)`.
 * @template [Part=ConnectionState & {retry: () => void}]
 * @param {(connection: ConnectionState & {retry: () => void}) => Part} [select]
 * @returns {Part}
 */
export function useConnection(select = identity) {
  const client = useClient();
  const retry = useCallback(() => client.retry(), [client]);
  const pick = useCallback((/** @type {ConnectionState} */ state) => select({ ...state, retry }), [select, retry]);
  return useSelected(client.connection, INITIAL, pick);
}

/**
 * The writes that wait, why they do, and what to do about it.
 * @param {{module?: string, recordId?: string}} [of] only those of a module or record
 */
export function usePendingWrites({ module, recordId } = {}) {
  const { outbox } = useClient();
  const storage = useSelected(outbox, NO_WRITES, storageOf);
  const writes = useSelected(outbox, NO_WRITES, useCallback((state) => state.writes.filter((write) => (module === undefined || write.module === module)
    && (recordId === undefined || write.recordId === recordId)), [module, recordId]));
  return useMemo(() => ({
    writes,
    /** The user and somebody else have changed the same fields: `resolve` them. */
    conflicts: writes.filter((write) => write.state === 'conflict'),
    /** `memory`: a reload loses what waits. */
    storage,
    discard: (/** @type {string} */ id) => outbox.discard(id),
    resolve: (/** @type {string} */ id, /** @type {'mine' | 'theirs' | Record<string, any>} */ how) => outbox.resolve(id, how),
    flush: () => outbox.flush(),
  }), [writes, storage, outbox]);
}

/**
 * A dot and a word: Live, Connecting, Offline or Error, the last two with a button to retry. Style it with the class `porchlight-badge`, its attribute
 * `data-state`, and the variables `--porchlight-live`, `--porchlight-connecting`, `--porchlight-offline`, `--porchlight-error`
 * (colours), `--porchlight-dot` (size) and `--porchlight-gap`.
 * @param {{labels?: Partial<typeof LABELS>, className?: string}} props
 */
export function ConnectionBadge({ labels, className = '' }) {
  const { state, reason, retry } = useConnection(pickForBadge);
  const shown = SHOWN[state];
  const text = { ...LABELS, ...labels };
  const size = 'var(--porchlight-dot, 0.6em)';
  const dot = createElement('span', {
    'aria-hidden': true,
    style: { width: size, height: size, borderRadius: '50%', background: `var(--porchlight-${shown}, ${COLORS[shown]})` },
  });
  const button = shown === 'error' || shown === 'offline' ? createElement('button', { type: 'button', onClick: retry }, text.retry) : null;
  const flex = { display: 'inline-flex', alignItems: 'center', gap: 'var(--porchlight-gap, 0.4em)' };
  return createElement(
    'span', { className: `porchlight-badge ${className}`.trim(), 'data-state': shown, title: reason ?? undefined, style: flex },
    createElement('span', { role: 'status', style: flex }, dot, text[shown]), button,
  );
}

/** @param {ConnectionState & {retry: () => void}} connection */
const pickForBadge = ({ state, reason, retry }) => ({ state, reason, retry });
