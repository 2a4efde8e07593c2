/**
 * A Galexie lake in a folder. Reads by computed keys; lists only to find the head, or the numbers of a lake that does
 * not say them. It writes nothing below the lake's root and touches no path that is not a key.
 */
import { open, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { BronzeError } from '../../machines/errors.ts';
import type { LakeHead, LedgerRange } from '../../machines/protocol.ts';
import type { LakeLayout, LakeObject, LakeSource, SourceSpec } from '../ports/source.ts';
import { findLayout } from './find-layout.ts';
import {
  fileRange,
  LAKE_CONFIG_KEY,
  type LakeNumbers,
  MAX_LEDGER,
  parseFolderName,
  partitionFolder,
  partitionRange,
} from './keys.ts';
import { LAKE_CONFIG_LIMIT, notALake, parseLakeConfig } from './lake-config.ts';
import { LocalReader, READ_FLAGS, sourceError } from './local-read.ts';
import type { SourceMeter } from './meter.ts';
import { cancelled, type SuffixMemory } from './reading.ts';
import { fileStarts, KnownRun, RunOfFiles } from './run-of-files.ts';

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException | null)?.code === 'ENOENT';

/** Opens lakes of mode `local`. */
export class LocalLake implements LakeSource {
  readonly uri: string;
  readonly #root: string;
  readonly #configured: LakeNumbers | null;
  readonly #memory: SuffixMemory = { suffix: 'zst' };
  readonly #meter: SourceMeter;
  readonly #slowMs: number | undefined;
  #remembers = false;
  readonly #run = new KnownRun();

  /** `slowMs`: milliseconds above which a read counts as slow; tests set it. */
  constructor(spec: Extract<SourceSpec, { mode: 'local' }>, meter: SourceMeter, slowMs?: number) {
    this.#meter = meter;
    this.#slowMs = slowMs;
    this.#root = resolve(spec.path);
    this.#configured = spec.configured;
    this.uri = pathToFileURL(this.#root).href;
  }

  /** @throws LAKE_NOT_FOUND, LAKE_CONFIG_INVALID, SOURCE_DENIED, SOURCE_READ, CANCELLED */
  async open(signal: AbortSignal): Promise<LakeLayout> {
    cancelled(signal);
    const config = await this.#readConfig();
    if (config !== null) return parseLakeConfig(config, join(this.#root, LAKE_CONFIG_KEY));
    const names = await this.#list('');
    if (names === null) {
      throw new BronzeError('LAKE_NOT_FOUND', `there is no lake at ${this.#root}`, { details: { object: this.#root } });
    }
    cancelled(signal);
    const filesIn = async (folder: string): Promise<readonly string[]> => {
      cancelled(signal);
      return (await this.#list(folder)) ?? [];
    };
    return findLayout(names, this.#configured, filesIn, this.#root);
  }

  /** @throws SOURCE_DENIED, SOURCE_READ, LAKE_NOT_FOUND, CANCELLED */
  async head(layout: LakeLayout, from: number, signal: AbortSignal): Promise<LakeHead> {
    // No lake holds ledger 0 or 1.
    const first = Math.max(2, from);
    const unknown = this.#run.goOnFrom(first);
    const run = new RunOfFiles(layout, unknown);
    let head: number | null = null;
    const see = (starts: readonly number[]): void => {
      const last = starts.at(-1);
      if (last !== undefined) head = Math.max(head ?? 0, fileRange(layout, last).end);
    };
    const root = await this.#list('');
    if (root === null) {
      throw new BronzeError('LAKE_NOT_FOUND', `there is no lake at ${this.#root}`, { details: { object: this.#root } });
    }
    if (layout.filesPerPartition === 1) {
      const starts = fileStarts(layout, root);
      see(starts);
      run.follow(starts);
    } else {
      const size = layout.ledgersPerFile * layout.filesPerPartition;
      const folders = root
        .map(parseFolderName)
        .filter((r) => r !== null)
        .filter((r) => r.start % size === 0 && r.end - r.start + 1 === size)
        .map((r) => r.start)
        .sort((a, b) => a - b);
      const starts = async (folder: number): Promise<number[]> => {
        cancelled(signal);
        const names = await this.#list(partitionFolder(layout, folder));
        const { end } = partitionRange(layout, folder);
        return fileStarts(layout, names ?? []).filter((start) => start >= folder && start <= end);
      };
      // Newest first: the newest folder that has an object holds the head.
      for (let i = folders.length - 1; i >= 0 && head === null; i -= 1) see(await starts(folders[i] as number));
      const begin = partitionRange(layout, Math.min(unknown, MAX_LEDGER)).start;
      for (const folder of folders) {
        if (folder < begin) continue;
        const found = await starts(folder);
        see(found);
        if (!run.follow(found)) break;
      }
    }
    const answer = run.found(head);
    this.#run.reached(first, answer.contiguousTo);
    return answer;
  }

  /** @throws LEDGER_MISSING, SOURCE_DENIED, SOURCE_READ, OBJECT_TOO_LARGE, CANCELLED */
  read(layout: LakeLayout, range: LedgerRange, signal: AbortSignal): AsyncIterable<readonly LakeObject[]> {
    if (!this.#remembers) {
      this.#memory.suffix = layout.suffix;
      this.#remembers = true;
    }
    return new LocalReader(this.#root, layout, range, this.#memory, this.#meter, signal, this.#slowMs).batches();
  }

  /** Null where there is none. */
  async #readConfig(): Promise<Uint8Array | null> {
    const path = join(this.#root, LAKE_CONFIG_KEY);
    try {
      const handle = await open(path, READ_FLAGS);
      try {
        const buffer = Buffer.alloc(LAKE_CONFIG_LIMIT + 1);
        const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
        return buffer.subarray(0, bytesRead);
      } finally {
        await handle.close();
      }
    } catch (error) {
      if (isMissing(error)) return null;
      if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') throw notALake(this.#root);
      throw sourceError(error, path);
    }
  }

  /** Names in a folder of the lake; null where there is no such folder. */
  async #list(folder: string): Promise<string[] | null> {
    try {
      return await readdir(join(this.#root, folder));
    } catch (error) {
      if (isMissing(error)) return null;
      throw sourceError(error, folder === '' ? this.#root : folder);
    }
  }
}
