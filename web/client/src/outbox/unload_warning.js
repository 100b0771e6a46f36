// A page that is left while writes wait asks first.

export class UnloadWarning {
  #env;
  /** @type {(() => void) | null} */
  #stop = null;

  /** @param {import('../environment.js').Environment} env */
  constructor(env) {
    this.#env = env;
  }

  /** @param {boolean} isNeeded */
  show(isNeeded) {
    if (isNeeded === Boolean(this.#stop)) return;
    this.#stop?.();
    this.#stop = isNeeded ? this.#listen() : null;
  }

  #listen() {
    return this.#env.listen('beforeunload', (event) => {
      event.preventDefault();
      event.returnValue = '';
    });
  }
}
