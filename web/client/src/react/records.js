// Live lists, live records, and writes.
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { useClient } from './provider.js';
import { NEVER, useStore } from './store.js';

/** @typedef {import('../records/record.js').StoredRecord} StoredRecord */
/** @typedef {import('../writes.js').WriteOptions} WriteOptions */
/** @typedef {import('../writes.js').WriteHandle} WriteHandle */
/** @typedef {import('../error.js').PorchlightError} PorchlightError */
/** @typedef {{filter?: import('../records/record.js').Filter, sort?: string, limit?: number}} ListOptions */

/** @type {import('../records/collection.js').CollectionSnapshot} */
const LOADING_LIST = Object.freeze({ status: 'loading', records: Object.freeze([]), hasMore: false, isLoadingMore: false, error: null });
/** @type {import('../records/live_record.js').LiveRecordSnapshot} */
const LOADING_RECORD = Object.freeze({ status: 'loading', record: null, pending: Object.freeze([]), error: null });
/** @type {import('../records/live_record.js').LiveRecordSnapshot} */
const NO_RECORD = Object.freeze({ ...LOADING_RECORD, status: 'missing' });
const NOTHING = { subscribe: NEVER, getSnapshot: () => NO_RECORD };

/**
 * A live list. A record that has not changed is the same object as before, so a row in `memo` is rendered again only when its record changes.
 * @template {StoredRecord} [Of=StoredRecord]
 * @param {string} module
 * @param {ListOptions} [options]
 */
export function useRecords(module, options = {}) {
  const client = useClient();
  const key = JSON.stringify(options);
  const list = useMemo(() => client.records(module, JSON.parse(key)), [client, module, key]);
  const snapshot = useStore(list, LOADING_LIST);
  return useMemo(() => ({
    ...snapshot,
    records: /** @type {readonly Of[]} */ (snapshot.records),
    loadMore: () => list.loadMore(),
    reload: () => list.reload(),
  }), [snapshot, list]);
}

/**
 * A live record, with its writes. Without an id it is `missing`.
 * @template {StoredRecord} [Of=StoredRecord]
 * @param {string} module
 * @param {string | null | undefined} id
 */
export function useRecord(module, id) {
  const client = useClient();
  const one = useMemo(() => (id ? client.record(module, id) : NOTHING), [client, module, id]);
  const snapshot = useStore(one, id ? LOADING_RECORD : NO_RECORD);
  return useMemo(() => ({ ...snapshot, record: /** @type {Of | null} */ (snapshot.record), ...writesOf(client, module, id ?? '') }), [snapshot, client, module, id]);
}

/**
 * @param {import('../client.js').Client} client
 * @param {string} module
 * @param {string} id
 */
const writesOf = (client, module, id) => ({
  update: (/** @type {Record<string, any>} */ changes, /** @type {WriteOptions} */ options) => client.update(module, id, changes, options),
  archive: (/** @type {WriteOptions} */ options) => client.archive(module, id, options),
  restore: (/** @type {WriteOptions} */ options) => client.restore(module, id, options),
  remove: (/** @type {WriteOptions} */ options) => client.delete(module, id, options),
});

/**
 * Writes to the records of a module. Each is shown at once in all live lists and records, survives a reload, and is undone if the service refuses it:
 * then `error` says why, and `onError` is called. The functions stay the same, so they can be passed to rows in `memo`.
 * @param {string} module
 * @param {{onError?: (error: PorchlightError, recordId: string) => void, onSuccess?: (record: StoredRecord | null, recordId: string) => void}} [options]
 */
export function useMutation(module, options = {}) {
  const client = useClient();
  const [state, setState] = useState({ waiting: 0, error: /** @type {PorchlightError | null} */ (null) });
  const latest = useRef(options);
  useEffect(() => {
    latest.current = options;
  });
  const follow = useCallback(/** @template {WriteHandle} Handle @param {Handle} handle @param {string} id */ (handle, id) => {
    // Each write counts up and down once, also before the component is mounted and while it is hidden.
    const show = (/** @type {number} */ step, /** @type {{error?: PorchlightError | null}} */ more) => {
      setState((before) => ({ ...before, ...more, waiting: before.waiting + step }));
    };
    show(1, { error: null });
    handle.done.then((record) => {
      show(-1, {});
      latest.current.onSuccess?.(record, id);
    }, (error) => {
      show(-1, { error });
      latest.current.onError?.(error, id);
    });
    return handle;
  }, []);
  const actions = useMemo(() => ({
    /** @param {Record<string, any>} fields @param {WriteOptions} [write] */
    create(fields, write) {
      const handle = client.create(module, fields, write);
      return follow(handle, handle.recordId);
    },
    /** @param {string} id @param {Record<string, any>} changes @param {WriteOptions} [write] */
    update: (id, changes, write) => follow(client.update(module, id, changes, write), id),
    /** @param {string} id @param {WriteOptions} [write] */
    archive: (id, write) => follow(client.archive(module, id, write), id),
    /** @param {string} id @param {WriteOptions} [write] */
    restore: (id, write) => follow(client.restore(module, id, write), id),
    /** @param {string} id @param {WriteOptions} [write] */
    remove: (id, write) => follow(client.delete(module, id, write), id),
    reset: () => setState((before) => ({ ...before, error: null })),
  }), [client, module, follow]);
  return useMemo(() => ({ ...actions, isPending: state.waiting > 0, error: state.error }), [actions, state]);
}
