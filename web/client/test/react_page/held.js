// Counts what a page holds: timers, listeners of the window and the document, workers, and requests under way.
window.held = { timers: new Set(), listeners: new Set(), workers: 0, requests: 0 };

const { setTimeout: set, clearTimeout: clear, setInterval: setOften, clearInterval: clearOften, fetch: ask } = window;
window.setTimeout = (run, ms, ...rest) => {
  const id = set((...given) => {
    window.held.timers.delete(id);
    run(...given);
  }, ms, ...rest);
  window.held.timers.add(id);
  return id;
};
window.clearTimeout = (id) => {
  window.held.timers.delete(id);
  clear(id);
};
window.setInterval = (...given) => {
  const id = setOften(...given);
  window.held.timers.add(id);
  return id;
};
window.clearInterval = (id) => {
  window.held.timers.delete(id);
  clearOften(id);
};
const names = new Map();
const nameOf = (run) => names.get(run) ?? names.set(run, names.size).get(run);
for (const [place, target] of [['window', window], ['document', document]]) {
  const { addEventListener, removeEventListener } = target;
  target.addEventListener = (type, run, ...rest) => {
    window.held.listeners.add(`${place} ${type} ${nameOf(run)}`);
    addEventListener.call(target, type, run, ...rest);
  };
  target.removeEventListener = (type, run, ...rest) => {
    window.held.listeners.delete(`${place} ${type} ${nameOf(run)}`);
    removeEventListener.call(target, type, run, ...rest);
  };
}
for (const name of ['Worker', 'SharedWorker', 'BroadcastChannel']) {
  const Original = window[name];
  window[name] = class extends Original {
    constructor(...given) {
      super(...given);
      window.held.workers += 1;
      const port = this.port ?? this;
      const close = (port.close ?? port.terminate).bind(port);
      port[port.close ? 'close' : 'terminate'] = () => {
        window.held.workers -= 1;
        close();
      };
    }
  };
}
window.fetch = async (...given) => {
  window.held.requests += 1;
  try {
    return await ask(...given);
  } finally {
    window.held.requests -= 1;
  }
};
/** What is held now, as text. */
window.holding = () => JSON.stringify({ timers: window.held.timers.size, listeners: [...window.held.listeners].sort(), workers: window.held.workers, requests: window.held.requests });
