// Loads something again and again while its part is shown.

const EVERY_MS = 3_000;

export class Repeated {
  #load;
  #show;
  #timer = null;
  #isShown = false;
  /** Answers to earlier questions are not shown. */
  #turn = 0;

  /** @param {() => Promise<any>} load @param {(loaded: any, error: any) => void} show */
  constructor(load, show) {
    this.#load = load;
    this.#show = show;
  }

  start() {
    this.#isShown = true;
    return this.refresh();
  }

  stop() {
    this.#isShown = false;
    this.#turn += 1;
    clearTimeout(this.#timer);
  }

  async refresh() {
    this.#turn += 1;
    const turn = this.#turn;
    clearTimeout(this.#timer);
    try {
      const loaded = await this.#load();
      if (turn === this.#turn) this.#show(loaded, null);
    } catch (error) {
      if (turn === this.#turn) this.#show(null, error);
    }
    if (turn === this.#turn && this.#isShown) this.#timer = setTimeout(() => this.refresh(), EVERY_MS);
  }
}
