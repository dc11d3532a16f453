/** Runs actions of one key one after another; those of different keys run side by side. */
export class KeyedQueue<K> {
  readonly #last = new Map<K, Promise<unknown>>();

  async run<T>(key: K, action: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve();
    // The caller of the previous action handles its failure.
    const current = before.then(action, action);
    this.#last.set(key, current);
    try {
      return await current;
    } finally {
      if (this.#last.get(key) === current) this.#last.delete(key);
    }
  }
}
