// A browser in fake time: tabs with locks and channels between them, which can be frozen and crash.
import { createEnvironment } from '../src/environment.js';
import { fakeEnvironment } from '../src/testing/index.js';
import { servePorts } from '../src/tabs/ports.js';
import { tools } from '../src/tabs/tools.js';

/** Locks as browsers have them, for a tab each. */
class Locks {
  /** @type {Map<string, {held: any, waiting: any[]}>} */
  #names = new Map();

  of(tab) {
    return { request: (name, options, run) => this.#request(tab, name, options, run) };
  }

  #request(tab, name, { steal, signal }, run) {
    if (!this.#names.has(name)) this.#names.set(name, { held: null, waiting: [] });
    const lock = this.#names.get(name);
    return new Promise((resolve, reject) => {
      const own = { tab, run, resolve: (value) => tab.later(() => resolve(value)), reject: (error) => tab.later(() => reject(error)) };
      signal?.addEventListener('abort', () => {
        lock.waiting = lock.waiting.filter((one) => one !== own);
        if (lock.held !== own) own.reject(new Error('aborted'));
      });
      if (steal) {
        lock.held?.reject(new Error('stolen'));
        lock.held = null;
        lock.waiting.unshift(own);
      } else lock.waiting.push(own);
      this.#next(lock);
    });
  }

  #next(lock) {
    if (lock.held || !lock.waiting.length) return;
    const own = lock.waiting.shift();
    lock.held = own;
    own.tab.later(async () => {
      own.resolve(await own.run());
      this.#release(lock, own);
    });
  }

  #release(lock, own) {
    if (lock.held !== own) return;
    lock.held = null;
    this.#next(lock);
  }

  forget(tab) {
    for (const lock of this.#names.values()) {
      lock.waiting = lock.waiting.filter((one) => one.tab !== tab);
      if (lock.held?.tab === tab) this.#release(lock, lock.held);
    }
  }
}

export class Browser {
  #world;
  #locks = new Locks();
  #channels = new Set();
  #hasWorkers;
  #Worker;
  /** The running workers by name. */
  workers = new Map();

  constructor(world, { hasWorkers = false, Worker = null } = {}) {
    this.#Worker = Worker;
    this.#world = world;
    this.#hasWorkers = hasWorkers;
  }

  /** Opens a tab with a client that notes the events it receives. */
  async tab({ more = {}, ...options } = {}) {
    const { clock, service } = this.#world;
    const tab = { isFrozen: false, isGone: false, waiting: [], aborts: new Set(), ports: [] };
    tab.later = (run) => {
      if (tab.isGone) return;
      if (tab.isFrozen) tab.waiting.push(run);
      else queueMicrotask(() => (tab.isFrozen ? tab.waiting.push(run) : tab.isGone || run()));
    };
    tab.freeze = () => { tab.isFrozen = true; };
    tab.thaw = () => {
      tab.isFrozen = false;
      for (const run of tab.waiting.splice(0)) tab.later(run);
      page.emit('resume');
    };
    tab.crash = () => {
      tab.isGone = true;
      for (const abort of tab.aborts) abort.abort();
      for (const channel of [...this.#channels]) if (channel.tab === tab) this.#channels.delete(channel);
      this.#locks.forget(tab);
    };
    const page = fakeEnvironment({
      clock,
      fetch: (url, init = {}) => {
        const abort = new AbortController();
        tab.aborts.add(abort);
        return service.fetch(url, { ...init, signal: AbortSignal.any([abort.signal, ...(init.signal ? [init.signal] : [])]) });
      },
      setTimeout: (run, ms) => clock.setTimeout(() => tab.later(run), ms),
      locks: this.#locks.of(tab),
      BroadcastChannel: this.#channelOf(tab),
      SharedWorker: this.#hasWorkers ? this.#workerOf(tab) : this.#Worker,
      ...more,
    });
    tab.seen = [];
    const before = (client) => client.on('listing:sold', ({ recordId }) => tab.seen.push(recordId));
    const { client } = await this.#world.open({ page, isShared: true, before, ...options });
    return Object.assign(tab, { client, page });
  }

  #channelOf(tab) {
    const channels = this.#channels;
    return class {
      constructor(name) {
        this.name = name;
        this.tab = tab;
        channels.add(this);
      }

      postMessage(data) {
        const copy = structuredClone(data);
        tab.later(() => {
          for (const other of channels) if (other !== this && other.name === this.name) other.tab.later(() => other.onmessage?.({ data: copy }));
        });
      }

      close() {
        tab.later(() => channels.delete(this));
      }
    };
  }

  #workerOf(tab) {
    const { workers } = this;
    const { clock, service } = this.#world;
    return class {
      constructor(_url, { name }) {
        if (!workers.has(name)) {
          const abort = new AbortController();
          const fetch = (url, init = {}) => service.fetch(url, { ...init, signal: AbortSignal.any([abort.signal, ...(init.signal ? [init.signal] : [])]) });
          workers.set(name, { isGone: false, abort, connect: servePorts(createEnvironment({ ...clock, now: clock.now, setTimeout: clock.setTimeout, clearTimeout: clock.clearTimeout, fetch }), tools) });
        }
        const worker = workers.get(name);
        const inside = { postMessage: (data) => queueMicrotask(() => worker.isGone || tab.later(() => this.port.onmessage?.({ data }))) };
        this.port = {
          start() {},
          close() { this.onmessage = null; },
          postMessage: (data) => tab.later(() => worker.isGone || inside.onmessage({ data: structuredClone(data) })),
        };
        worker.connect(inside);
      }
    };
  }

  /** All workers are gone, and nobody is told. */
  crashWorkers() {
    for (const worker of this.workers.values()) {
      worker.isGone = true;
      worker.abort.abort();
    }
    this.workers.clear();
  }
}
