// Sends writes in order, each once, across reloads, crashes and lost answers.
import { createdOutcome, isChangeOf, outcomeOf, resolvedWrite } from './conflict.js';
import { chooseNext } from './lane.js';
import { LastWrites } from './last_writes.js';
import { Rows } from './rows.js';
import { sendWrite } from './send.js';
import { Sender } from './sender.js';
import { hasAll, restOf } from './split.js';
import { UnloadWarning } from './unload_warning.js';
import { Waits } from './waits.js';

/** So many writes that have ended are remembered. */
const MOST_ENDED = 1_000;

/** @typedef {import('../error.js').PorchlightError} PorchlightError */
/** @typedef {import('../records/pending.js').Write} Write */
/** @typedef {import('../records/record.js').StoredRecord} StoredRecord */

/** @typedef {import('./context.js').OutboxParts} OutboxParts */
/** @typedef {import('./context.js').OutboxContext} OutboxContext */

export class Outbox {
  /** @type {OutboxContext} */
  #context;
  #rows;
  /** @type {Sender} */
  #sender;
  /** @type {Set<string>} */
  #immediate = new Set();
  /** What waits here: another user may write before this outbox has been left. @type {Set<string>} */
  #own = new Set();
  /** What rows and other tabs still say of these is old. @type {Set<string>} */
  #ended = new Set();
  #last;
  #waits;
  #isSending = false;
  #isStopped = false;
  /** @type {any} */
  #timer = null;
  #warning;
  /** @type {(() => void)[]} */
  #offs = [];

  /**
   * @param {OutboxContext} context
   * @param {string} name differs by service and user
   */
  constructor(context, name) {
    this.#context = context;
    this.#last = new LastWrites(context.same);
    this.#waits = new Waits(context);
    this.#rows = new Rows(context, `porchlight:outbox:${name}`, (write) => this.#found(write));
    this.#warning = new UnloadWarning(context.env);
    this.#sender = new Sender(context.env, name, {
      began: () => this.#pump(),
      changed: (write, isImmediate) => this.#changedElsewhere(write, isImmediate),
      flush: () => this.#hurry(),
      settled: (id, record, problem) => this.#settledElsewhere(id, record, problem),
      isBusy: () => this.#waiting.length > 0,
    });
  }

  /**
   * @param {OutboxContext} context
   * @param {string} name
   * @param {OutboxParts['connection']} connection
   */
  static async open(context, name, connection) {
    const outbox = new Outbox(context, name);
    // A write that ends while the rows are read is heard of.
    outbox.#sender.listen();
    await outbox.#rows.open();
    outbox.#offs.push(context.pending.store.subscribe(() => outbox.#warn()), context.events.fold((deliveries) => outbox.#heard(deliveries)));
    outbox.#warn();
    outbox.#sender.start();
    outbox.#follow(connection);
    return outbox;
  }

  #warn() {
    this.#warning.show(this.#context.warnsBeforeUnload && this.#waiting.length > 0 && !this.#isStopped);
  }

  get #waiting() {
    return this.#context.pending.store.getSnapshot();
  }

  /**
   * It may have been sent when its page ended, with an unknown outcome, and is sent again.
   * @param {Write} stored
   */
  #found(stored) {
    const { pending } = this.#context;
    const state = stored.state === 'sending' ? /** @type {const} */ ('queued') : stored.state;
    if (this.#find(stored.id) || this.#ended.has(stored.id)) return;
    this.#own.add(stored.id);
    pending.put({ ...stored, state, attempts: Math.max(1, stored.attempts) });
  }

  /** The stream may bring a change of this user before its answer comes. @param {import('../received.js').Delivery[]} deliveries */
  #heard(deliveries) {
    const { pending, userId, same } = this.#context;
    if (!this.#waiting.length) return;
    for (const { data } of deliveries) {
      for (const write of pending.of(data.module, data.recordId)) if (isChangeOf(write, data, userId, same)) pending.put({ ...write, isConfirmed: true });
    }
  }

  /** @param {string} id */
  #end(id) {
    this.#own.delete(id);
    this.#immediate.delete(id);
    this.#waits.end(id);
    this.#ended.add(id);
    if (this.#ended.size > MOST_ENDED) this.#ended.delete(/** @type {string} */ (this.#ended.values().next().value));
  }

  // ---- from outside

  /**
   * @param {string} id of a pending change
   * @param {boolean} isImmediate
   */
  async add(id, isImmediate) {
    if (isImmediate) this.#immediate.add(id);
    const write = this.#find(id);
    if (!write) return;
    this.#own.add(id);
    const stored = this.#rows.put(write);
    // The tab that sends a write removes it afterwards, in order, and need not wait. Another tab may know of it only when it is stored.
    if (!this.#sender.isSender) await stored;
    const current = this.#find(id);
    // It may have been sent meanwhile, without this change.
    if (current?.attempts === 0) this.#tell('added', current);
    this.#pump();
    await stored;
  }

  /** @param {string} id */
  async discard(id) {
    const write = this.#find(id);
    if (!write) return false;
    if (write.state === 'sending') throw this.#context.fail('is_sending', 'the write is being sent at this moment');
    await this.#settle(write, null, this.#context.fail('discarded', 'the write was discarded'));
    // What waited behind its conflict may go.
    this.#pump();
    return true;
  }

  /**
   * @param {string} id
   * @param {'mine' | 'theirs' | Record<string, any>} how
   */
  async resolve(id, how) {
    const write = this.#find(id);
    if (!write?.conflict) return false;
    const resolved = resolvedWrite(write, write.conflict, how);
    if (!Object.keys(resolved.changes).length) return this.discard(id);
    this.#immediate.add(id);
    await this.#change(resolved);
    this.#pump();
    return true;
  }

  /** Sends everything that waits for further writes to the same fields. */
  flush() {
    this.#sender.tell('flush');
    this.#hurry();
  }

  #hurry() {
    for (const { id } of this.#waiting) this.#immediate.add(id);
    this.#pump();
  }

  /**
   * Once the service can be reached again, nothing waits any longer.
   * @param {OutboxParts['connection']} connection
   */
  #follow(connection) {
    let was = connection.getSnapshot().state;
    this.#offs.push(connection.subscribe(() => {
      const { state } = connection.getSnapshot();
      const isBack = state === 'connected' && was !== 'connected';
      was = state;
      if (!isBack) return;
      this.#waits.clear();
      this.#pump();
    }));
  }

  /** Another user has signed in. What is stored is sent when the owner is back; what waits in memory is lost, as by a reload. */
  leave() {
    this.stop();
    const { fail, writes } = this.#context;
    for (const id of this.#own) writes.settle(id, null, fail('other_user', 'another user has signed in'));
  }

  stop() {
    this.#isStopped = true;
    this.#context.env.clearTimeout(this.#timer);
    this.#warning.show(false);
    for (const off of this.#offs.splice(0)) off();
    this.#sender.stop();
    this.#rows.close();
  }

  // ---- sending

  /** @param {string} id */
  #find(id) {
    return this.#waiting.find((write) => write.id === id);
  }

  #pump() {
    if (this.#isSending || this.#isStopped || !this.#sender.isSender) return;
    const { env } = this.#context;
    env.clearTimeout(this.#timer);
    const { next, at } = chooseNext(this.#waiting, (write) => this.#waits.readyAt(write, this.#immediate.has(write.id)), env.now());
    if (next) this.#send(next);
    else if (at < Infinity) this.#timer = env.setTimeout(() => this.#pump(), Math.max(1, at - env.now()));
  }

  /** @param {Write} queued */
  async #send(queued) {
    this.#isSending = true;
    const write = { ...queued, state: /** @type {const} */ ('sending'), attempts: queued.attempts + 1, reason: null };
    // What is stored already is as good as this after a crash, so the request does not wait for the disk.
    this.#change(write);
    let outcome;
    try {
      const record = await sendWrite(this.#context.request, write);
      outcome = /** @type {import('./conflict.js').Outcome} */ ({ is: 'done', record });
    } catch (error) {
      outcome = outcomeOf(this.#find(write.id) ?? write, /** @type {PorchlightError} */ (error), this.#context.same);
    }
    if (outcome.is === 'look') outcome = await this.#look(write, outcome.taken);
    this.#isSending = false;
    if (this.#isStopped) return;
    // While this tab was frozen, another one may have sent it, or discarded it.
    if (!this.#ended.has(write.id)) await this.#conclude(this.#find(write.id) ?? write, outcome);
    this.#pump();
  }

  /**
   * @param {Write} write
   * @param {PorchlightError} taken
   * @returns {Promise<import('./conflict.js').Outcome>}
   */
  async #look(write, taken) {
    const { request, same } = this.#context;
    try {
      const { body } = await request('GET', `/records/${encodeURIComponent(write.module)}/${encodeURIComponent(write.recordId)}`);
      return createdOutcome(write, body, taken, same);
    } catch (error) {
      const outcome = outcomeOf(write, /** @type {PorchlightError} */ (error), same);
      // A record that this user may not see is not theirs.
      return outcome.is === 'later' ? outcome : { is: 'refused', error: taken };
    }
  }

  /**
   * @param {Write} write
   * @param {import('./conflict.js').Outcome} outcome
   */
  async #conclude(write, outcome) {
    if (outcome.is !== 'later' || !outcome.isForAll) this.#waits.answered();
    if (outcome.is === 'done') return this.#settle(write, outcome.record, null);
    if (outcome.is === 'refused') return this.#settle(write, null, outcome.error);
    if (outcome.is === 'conflict' && this.#last.hasOvertaken(write, outcome.conflict)) return this.#leaveOut(write, outcome.conflict);
    if (outcome.is === 'conflict') {
      this.#context.tell('warning', 'conflict', { module: write.module, recordId: write.recordId, fields: outcome.conflict.fields });
      this.#context.acknowledge(write.module, write.recordId, outcome.conflict.record);
      await this.#change({ ...write, state: 'conflict', reason: 'conflict', conflict: outcome.conflict });
    } else if (outcome.is === 'again') await this.#change({ ...write, state: 'queued', ...outcome.change });
    else if (outcome.is === 'later') await this.#wait(write, outcome);
  }

  /**
   * Writes what is not in conflict, if anything is left.
   * @param {Write} write
   * @param {import('./conflict.js').Conflict} conflict
   */
  async #leaveOut(write, conflict) {
    const rest = resolvedWrite(write, conflict, 'theirs');
    if (Object.keys(rest.changes).length) await this.#change(rest);
    else await this.#settle(write, conflict.record, null);
  }

  /**
   * @param {Write} write
   * @param {{reason: string, waitMs: number | null, isForAll: boolean}} outcome
   */
  async #wait(write, outcome) {
    this.#waits.begin(write, outcome, this.#waiting);
    await this.#change({ ...write, state: 'queued', reason: outcome.reason });
  }

  /**
   * @param {Write} write
   * @param {StoredRecord | null} record
   * @param {PorchlightError | null} error
   */
  async #settle(write, record, error) {
    const { module, recordId, id } = write;
    if (error) this.#context.tell('warning', 'a write was refused', { module, recordId, code: error.code });
    else this.#confirm(write, record);
    this.#context.writes.settle(id, record, error);
    this.#end(id);
    const ending = { id, module, recordId, record, problem: error && { code: error.code, message: error.message } };
    this.#sender.tell('settled', ending);
    await this.#rows.remove(id);
    // A tab that was opened after the first message may have read the row before it was gone.
    this.#sender.tell('settled', ending);
  }

  /**
   * @param {Write} write
   * @param {StoredRecord | null} record
   */
  #confirm(write, record) {
    const { module, recordId, kind, id } = write;
    this.#last.add(write);
    if (record || kind === 'delete') this.#context.acknowledge(module, recordId, record);
    if (!record) return;
    // What follows was written by someone who saw this change already.
    for (const later of this.#context.pending.of(module, recordId)) {
      const isSeen = Object.keys(later.changes).every((field) => later.known[field] === undefined || this.#context.same(record[field] ?? null, later.known[field]));
      if (later.id !== id && later.kind === 'update' && isSeen) this.#context.pending.put({ ...later, base: record.version });
    }
  }

  /**
   * @param {Write} write
   * @returns {Promise<Write>}
   */
  async #change(write) {
    this.#context.pending.put(write);
    this.#tell('changed', write);
    await this.#rows.put(write);
    return write;
  }

  // ---- other tabs

  /**
   * @param {'added' | 'changed'} what
   * @param {Write} write
   */
  #tell(what, write) {
    this.#sender.tell(what, write, this.#immediate.has(write.id));
  }

  /**
   * @param {Write} write
   * @param {boolean} isImmediate
   */
  #changedElsewhere(write, isImmediate) {
    const known = this.#find(write.id);
    const wasSent = known && known.attempts > 0 && known.state !== 'conflict';
    // A change that comes too late: the tab that has made it hears so, and splits it off.
    if (this.#ended.has(write.id) || (wasSent && write.attempts === 0)) return;
    if (known?.attempts === 0 && write.attempts > 0) this.#splitOff(known, write);
    if (isImmediate) this.#immediate.add(write.id);
    this.#own.add(write.id);
    // This tab may know already that an earlier write has been done, and the other one not yet.
    const base = Math.max(known?.base ?? 0, write.base ?? 0) || null;
    this.#context.pending.put({ ...write, base });
    this.#pump();
  }

  /**
   * The sending tab did not know this tab's last change of a write yet.
   * @param {Write} own
   * @param {Write} sent
   */
  #splitOff(own, sent) {
    const { env, pending, writes, same } = this.#context;
    const rest = restOf(own, sent, env.uuid(), same);
    if (!Object.keys(rest.changes).length) return;
    if (!writes.move(own.id, rest.id, (changes) => !hasAll(sent.changes, changes, same))) return;
    pending.put(rest);
    this.add(rest.id, this.#immediate.has(own.id));
  }

  /**
   * Another tab has sent or discarded it.
   * @param {{id: string, module: string, recordId: string}} write
   * @param {StoredRecord | null} record
   * @param {{code: string, message: string} | null} problem
   */
  #settledElsewhere(write, record, problem) {
    if (this.#ended.has(write.id)) return;
    const known = this.#find(write.id);
    if (known && !problem) this.#confirm(known, record);
    this.#context.writes.settle(write.id, record, problem && this.#context.fail(problem.code, problem.message));
    this.#end(write.id);
    // This tab may have stored it after the other one has removed it.
    if (this.#rows.hasPut(write.id)) this.#rows.remove(write.id);
    this.#pump();
  }
}
