// What the user of a stream may see: whose events the stream has, and what the token says of its user.

export class Rights {
  /** As far as the service has said it. @type {{user?: string | null} | undefined} */
  #scopes;
  /** When a stream last began; empty when the service says that they have changed. @type {string | null} */
  #known = null;

  change() {
    this.#known &&= '';
  }

  /**
   * Why what was loaded before must be loaded again, if it must. The service does not say so: it knows nothing of what a client has loaded.
   * @param {unknown} claims
   * @param {any} scopes a long poll has none
   */
  differ(claims, scopes = this.#scopes) {
    const [before, now] = [this.#known, JSON.stringify([scopes, claims])];
    const reason = (this.#scopes ?? scopes)?.user === scopes?.user ? 'rights' : 'user';
    this.#scopes = scopes;
    this.#known = now;
    return before !== null && before !== now && reason;
  }
}
