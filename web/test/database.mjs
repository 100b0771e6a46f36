// What a database counts.
import pg from 'pg';

/** Counts the transactions of a database, and its statements where it has `pg_stat_statements`. */
export class TransactionCounter {
  /** With options of `pg`. */
  static async connect(database) {
    const counter = new TransactionCounter();
    counter.client = new pg.Client(database);
    await counter.client.connect();
    return counter;
  }

  async #count() {
    const { rows } = await this.client.query(`select xact_commit + xact_rollback as transactions, to_regclass('pg_stat_statements') is not null as has_statements
      from pg_stat_database where datname = current_database()`);
    const [{ transactions, has_statements: hasStatements }] = rows;
    if (!hasStatements) return { transactions: Number(transactions), statements: 0 };
    const { rows: sums } = await this.client.query('select sum(calls) as calls from pg_stat_statements where toplevel');
    return { transactions: Number(transactions), statements: Number(sums[0].calls) };
  }

  /** Transactions and statements per second until `work` has ended: on average, and the most in a window of 5 s. */
  async during(work) {
    let isOver = false;
    const done = work().finally(() => { isOver = true; });
    const samples = [{ at: Date.now(), ...await this.#count() }];
    while (!isOver) {
      await Promise.race([done, new Promise((wake) => setTimeout(wake, 1_000))]);
      samples.push({ at: Date.now(), ...await this.#count() });
    }
    await done;
    const rates = (name) => {
      const rate = (from, to) => Math.round(((to[name] - from[name]) * 1_000) / (to.at - from.at));
      const mean = rate(samples[0], samples.at(-1));
      return { mean, most: Math.max(mean, ...samples.slice(5).map((to, at) => rate(samples[at], to))) };
    };
    return { transactions: rates('transactions'), statements: rates('statements') };
  }

  close() {
    return this.client.end();
  }
}
