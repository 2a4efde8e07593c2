/** How full a disk is, asked at a scrape. */
import type { StatsFs } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { Ask } from './ask.ts';

export interface DiskFacts {
  /** Bytes that this user may still write. */
  readonly free: number;
  /** Bytes in all. */
  readonly size: number;
}

export class Disk {
  readonly #ask: Ask<DiskFacts>;

  /** `ask`: how the file system of a path is asked. */
  constructor(path: string, ask: (path: string) => Promise<StatsFs> = statfs) {
    this.#ask = new Ask(async () => {
      const { bavail, blocks, bsize } = await ask(path);
      return { free: bavail * bsize, size: blocks * bsize };
    });
  }

  /** Null where it cannot be told now. Never throws. */
  facts(): Promise<DiskFacts | null> {
    return this.#ask.answer();
  }
}
