// One live record.
import { PorchlightError } from '../error.js';
import { segment } from '../request.js';
import { Live } from './live.js';
import { overlay } from './pending.js';
import { advance } from './record.js';

/** @typedef {import('./record.js').StoredRecord} StoredRecord */

/**
 * @typedef {object} LiveRecordSnapshot
 * @property {'loading' | 'ready' | 'missing' | 'error'} status `missing`: there is no such record that the user may see
 * @property {StoredRecord | null} record
 * @property {readonly import('./pending.js').Write[]} pending the user's changes on their way
 * @property {PorchlightError | null} error
 */

/** @extends {Live<LiveRecordSnapshot>} */
export class LiveRecord extends Live {
  /** @type {StoredRecord | null} */
  #base = null;

  /**
   * @param {import('./live.js').RecordsContext} context
   * @param {{module: string, id: string}} query
   * @param {(isActive: boolean) => void} onActive
   */
  constructor(context, query, onActive) {
    super(context, { status: 'loading', record: null, pending: [], error: null }, onActive);
    this.query = query;
  }

  /** @override @param {number} generation */
  async load(generation) {
    const { module, id } = this.query;
    /** @type {{body: any, headers?: Headers}} */
    const answer = await this.context.request('GET', `/records/${segment(module)}/${segment(id)}`).catch((error) => {
      if (error.status === 404) return { body: null };
      throw error;
    });
    if (generation !== this.generation) return;
    this.#base = answer.body;
    this.loaded(answer.headers?.get('Stream-Position') ?? this.at);
    this.show();
  }

  /** @override @param {PorchlightError} error @param {boolean} isTemporary */
  failed(error, isTemporary) {
    const before = this.getSnapshot();
    this.store.set({ ...before, error, status: isTemporary ? before.status : 'error' });
  }

  /** @override */
  empty() {
    this.#base = null;
    super.empty();
  }

  /** @override @param {import('../connection.js').Delivery} delivery */
  apply({ data }) {
    if (data.recordId !== this.query.id) return false;
    const known = this.#base;
    if (!known) {
      if (data.action === 'created' && data.data?.id === data.recordId) this.#base = data.data;
      else if (data.action !== 'deleted') this.reload();
      return true;
    }
    const next = data.changes && 'teamId' in data.changes ? undefined : advance(known, data);
    if (next === undefined) this.reload();
    else this.#base = next;
    return next !== known;
  }

  /**
   * The service's answer to a write.
   * @param {string} id
   * @param {StoredRecord | null} record null after a delete
   */
  acknowledge(id, record) {
    if (id !== this.query.id || (record && this.#base && this.#base.version >= record.version)) return;
    this.#base = record;
    if (this.isLoaded) this.show();
  }

  /** @param {string} id */
  get(id) {
    return id === this.query.id ? this.getSnapshot().record : null;
  }

  /** @param {string} id */
  pendingChanged(id) {
    if (id === this.query.id && (this.isLoaded || this.#base)) this.show();
  }

  /** @override */
  show() {
    const { module, id } = this.query;
    const pending = this.context.pending.of(module, id);
    const record = pending.length ? overlay(this.#base, pending) : this.#base;
    this.store.set({ status: record ? 'ready' : 'missing', record, pending, error: null });
  }
}
