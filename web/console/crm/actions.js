// What a user does with records: shown at once, undone if the service refuses it, and undone by the user with one click.
import { lookOf, oneOf } from './modules.js';

const UNDO_MS = 6_000;

export class Actions {
  #shell;
  #client;
  /** Records that are about to be deleted. */
  #leaving = new Map();
  #observers = new Set();

  constructor(shell) {
    this.#shell = shell;
    this.#client = shell.client;
    addEventListener('pagehide', () => this.#deleteNow());
  }

  observe(observer) {
    this.#observers.add(observer);
  }

  /** Whether the record is about to be deleted, and hidden until then. */
  isLeaving(module, id) {
    return this.#leaving.has(`${module}/${id}`);
  }

  /** Writes fields of a record. Resolves with whether it was done; a refusal is said, with what to do. */
  async update(module, record, changes, undo) {
    const before = Object.fromEntries(Object.keys(changes).map((field) => [field, record[field] ?? null]));
    const { done } = this.#client.update(module, record.id, changes, { isImmediate: true, record });
    if (undo) this.#shell.toast(undo, { act: { label: 'Undo', run: () => this.#client.update(module, record.id, before, { isImmediate: true }) } });
    return this.#settled(done, `${lookOf(module).name(record)} was not changed`);
  }

  create(module, fields) {
    const made = this.#client.create(module, fields);
    this.#settled(made.done, `The ${oneOf(module)} was not created`);
    return made.recordId;
  }

  archive(module, record) {
    const { done } = this.#client.archive(module, record.id, { record });
    this.#shell.toast(`${lookOf(module).name(record)} was archived.`, { act: { label: 'Undo', run: () => this.restore(module, record) } });
    return this.#settled(done, `${lookOf(module).name(record)} was not archived`);
  }

  restore(module, record) {
    const { done } = this.#client.restore(module, record.id, { record });
    return this.#settled(done, `${lookOf(module).name(record)} was not restored`);
  }

  /** Deletes a record when the time to undo it is over: the service keeps nothing of a deleted record. */
  delete(module, record) {
    const path = `${module}/${record.id}`;
    const name = lookOf(module).name(record);
    const run = () => {
      if (!this.#leaving.delete(path)) return;
      const { done } = this.#client.delete(module, record.id, { record });
      this.#settled(done, `${name} was not deleted`).then((isDone) => !isDone && this.#changed(path));
    };
    this.#leaving.set(path, run);
    this.#changed(path);
    const undo = () => {
      this.#leaving.delete(path);
      this.#changed(path);
    };
    this.#shell.toast(`${name} is deleted.`, { act: { label: 'Undo', run: undo }, forMs: UNDO_MS, onEnd: run });
  }

  complete(record) {
    return this.update('appointments', record, { status: 'completed' }, `${record.title} is completed.`);
  }

  #deleteNow() {
    for (const run of [...this.#leaving.values()]) run();
  }

  #changed(path) {
    for (const observer of this.#observers) observer(path);
  }

  async #settled(done, failure) {
    try {
      await done;
      return true;
    } catch (error) {
      if (error.code !== 'discarded' && error.code !== 'closed') this.#shell.toast(`${failure}: ${error.message}`, { kind: 'bad' });
      return false;
    }
  }
}
