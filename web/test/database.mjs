// What a database counts.
import pg from 'pg';

/** Counts the transactions of a database. */
export class TransactionCounter {
  /** With options of `pg`. */
  static async connect(database) {
    const counter = new TransactionCounter();
    counter.client = new pg.Client(database);
    await counter.client.connect();
    return counter;
  }

  async #count() {
    const { rows } = await this.client.query("select xact_commit + xact_rollback as count from pg_stat_database where datname = current_database()");
    return Number(rows[0].count);
  }

  /** Transactions per second until `work` has ended: on average, and the most in a window of 5 s. */
  async during(work) {
    let isOver = false;
    const done = work().finally(() => { isOver = true; });
    const samples = [[Date.now(), await this.#count()]];
    while (!isOver) {
      await Promise.race([done, new Promise((wake) => setTimeout(wake, 1_000))]);
      samples.push([Date.now(), await this.#count()]);
    }
    await done;
    const rate = (from, to) => Math.round(((to[1] - from[1]) * 1_000) / (to[0] - from[0]));
    const windows = samples.slice(5).map((to, at) => rate(samples[at], to));
    return { mean: rate(samples[0], samples.at(-1)), most: Math.max(rate(samples[0], samples.at(-1)), ...windows) };
  }

  close() {
    return this.client.end();
  }
}
