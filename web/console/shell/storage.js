// What the browser keeps for the page. Where it keeps nothing, because the user has blocked it or it is full, the memory of the page does.

class Kept {
  #name;
  #memory = new Map();

  constructor(name) {
    this.#name = name;
  }

  get(key) {
    return this.#memory.get(key) ?? this.#try((storage) => storage.getItem(key)) ?? null;
  }

  set(key, text) {
    if (this.#try((storage) => { storage.setItem(key, text); return true; })) this.#memory.delete(key);
    else this.#memory.set(key, text);
  }

  remove(key) {
    this.#memory.delete(key);
    this.#try((storage) => storage.removeItem(key));
  }

  /** A browser that blocks storage throws when it is merely mentioned. */
  #try(use) {
    try {
      return use(globalThis[this.#name]);
    } catch {
      return null;
    }
  }
}

/** For this tab. */
export const ofTab = new Kept('sessionStorage');
/** For all tabs. */
export const ofBrowser = new Kept('localStorage');
