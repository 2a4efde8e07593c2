/**
 * A question that a scrape asks of something that may hang: a disk, a server. It does not hold up a scrape, and asks
 * nothing more of what does not answer.
 */
import { setTimeout as sleep } from 'node:timers/promises';

/** How long a scrape waits for an answer, ms. */
const PATIENCE_MS = 1_000;

export class Ask<T> {
  readonly #question: () => Promise<T>;
  /** A question that was not answered yet: of what hangs it may never be. */
  #asked: Promise<T | null> | null = null;

  constructor(question: () => Promise<T>) {
    this.#question = question;
  }

  /** Null where it cannot be told now. Never throws. */
  async answer(): Promise<T | null> {
    this.#asked ??= this.#ask();
    const over = new AbortController();
    const late = sleep(PATIENCE_MS, null, { signal: over.signal, ref: false }).catch(() => null);
    try {
      return await Promise.race([this.#asked, late]);
    } finally {
      over.abort();
    }
  }

  async #ask(): Promise<T | null> {
    try {
      return await this.#question();
    } catch {
      return null;
    } finally {
      this.#asked = null;
    }
  }
}
