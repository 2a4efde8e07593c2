/** How full a disk is, asked at a scrape. It must never hold up a scrape, nor pile up questions to a disk that hangs. */
import type { StatsFs } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** How long a scrape waits for it, ms. */
const PATIENCE_MS = 1_000;

export interface DiskFacts {
  /** Bytes that this user may still write. */
  readonly free: number;
  /** Bytes in all. */
  readonly size: number;
}

export class Disk {
  readonly #ask: () => Promise<StatsFs>;
  /** A question that was not answered yet: of a file system that hangs it may never be. */
  #asked: Promise<DiskFacts | null> | null = null;

  /** `ask`: how the file system of a path is asked. */
  constructor(path: string, ask: (path: string) => Promise<StatsFs> = statfs) {
    this.#ask = () => ask(path);
  }

  /** Null where it cannot be told now. Never throws. */
  async facts(): Promise<DiskFacts | null> {
    this.#asked ??= this.#look();
    const over = new AbortController();
    const late = sleep(PATIENCE_MS, null, { signal: over.signal, ref: false }).catch(() => null);
    try {
      return await Promise.race([this.#asked, late]);
    } finally {
      over.abort();
    }
  }

  async #look(): Promise<DiskFacts | null> {
    try {
      const { bavail, blocks, bsize } = await this.#ask();
      return { free: bavail * bsize, size: blocks * bsize };
    } catch {
      return null;
    } finally {
      this.#asked = null;
    }
  }
}
