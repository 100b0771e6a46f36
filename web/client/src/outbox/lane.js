// Which write may be sent next.

/** @typedef {import('../records/pending.js').Write} Write */

/**
 * The first write that waits for nothing: writes of one record go in order, and one after a conflict waits for its end.
 * @param {readonly Write[]} writes in order
 * @param {(write: Write) => number} readyAt when a write may be sent, in milliseconds since 1970
 * @param {number} now
 * @returns {{next: Write | null, at: number}} the write, or when to look again
 */
export function chooseNext(writes, readyAt, now) {
  /** @type {Set<string>} */
  const blocked = new Set();
  let at = Infinity;
  for (const write of writes) {
    const record = `${write.module}/${write.recordId}`;
    if (!blocked.has(record) && write.state !== 'conflict') {
      const ready = readyAt(write);
      if (ready <= now) return { next: write, at };
      at = Math.min(at, ready);
    }
    blocked.add(record);
  }
  return { next: null, at };
}
