/**
 * A Galexie lake in a bucket, whatever protocol the bucket speaks. Reads by computed keys; lists only to find the head,
 * or the numbers of a lake that does not say them. It must never write, and never take an error for something missing.
 */
import { BronzeError } from '../../machines/errors.ts';
import type { LakeHead, LedgerRange } from '../../machines/protocol.ts';
import type { LakeLayout, LakeObject, LakeSource, SourceSpec } from '../ports/source.ts';
import type { Bucket } from '../remote/bucket.ts';
import { bucketHead } from './bucket-head.ts';
import { BucketReader, type LakeMemory, MOST } from './bucket-read.ts';
import { findLayout } from './find-layout.ts';
import { LAKE_CONFIG_KEY, type LakeNumbers, parseFileName, parseFolderName } from './keys.ts';
import { LAKE_CONFIG_LIMIT, oversizedConfig, parseLakeConfig } from './lake-config.ts';
import type { SourceMeter } from './meter.ts';
import { cancelled } from './reading.ts';
import { KnownRun } from './run-of-files.ts';

/** What was learnt about each lake by this thread, where every partition opens its lake anew. */
const memories = new Map<string, LakeMemory>();

function memoryOf(spec: BucketSpec): LakeMemory {
  const key = JSON.stringify([spec.address, spec.prefix]);
  const known = memories.get(key);
  if (known) return known;
  const memory: LakeMemory = { suffix: 'zst', suffixWorked: false, average: null, most: MOST, quickest: Infinity };
  memories.set(key, memory);
  return memory;
}

type BucketSpec = Extract<SourceSpec, { mode: 'bucket' }>;

/** Opens lakes of mode `bucket`. */
export class BucketLake implements LakeSource {
  readonly uri: string;
  readonly #bucket: Bucket;
  readonly #prefix: string;
  readonly #configured: LakeNumbers | null;
  readonly #memory: LakeMemory;
  readonly #meter: SourceMeter;
  readonly #run = new KnownRun();

  constructor(spec: BucketSpec, bucket: Bucket, meter: SourceMeter) {
    this.#meter = meter;
    this.#bucket = bucket;
    this.#prefix = spec.prefix;
    this.#configured = spec.configured;
    this.#memory = memoryOf(spec);
    this.uri = `${bucket.uri}${spec.prefix}`;
  }

  /**
   * Costs one GET; without `.config.json` a page of names at the root and one in a folder as well.
   * @throws LAKE_NOT_FOUND, LAKE_CONFIG_INVALID, BUCKET_*, CREDENTIALS_INVALID, ENDPOINT_INVALID, SOURCE_DENIED,
   *   SOURCE_READ, CANCELLED
   */
  async open(signal: AbortSignal): Promise<LakeLayout> {
    cancelled(signal);
    const file = `${this.uri}${LAKE_CONFIG_KEY}`;
    try {
      const config = await this.#bucket.get(`${this.#prefix}${LAKE_CONFIG_KEY}`, LAKE_CONFIG_LIMIT, signal);
      if (config !== null) return parseLakeConfig(config, file);
    } catch (error) {
      throw await this.#whyUnusable(error, file, signal);
    }
    // What is no bucket of this protocol may say 404 to anything; this listing finds that out.
    const filesIn = async (folder: string): Promise<readonly string[]> => {
      cancelled(signal);
      return this.#names(`${folder}/`, signal);
    };
    return findLayout(await this.#names('', signal), this.#configured, filesIn, this.uri);
  }

  /**
   * 1 request near the head; what it costs elsewhere stands in bucket-head.ts.
   * @param enough ledgers of the run that are enough for the caller: then the answer may stop there, without a hole
   * @throws as open
   */
  async head(
    layout: LakeLayout,
    from: number,
    signal: AbortSignal,
    enough = Number.POSITIVE_INFINITY,
  ): Promise<LakeHead> {
    cancelled(signal);
    // No lake holds ledger 0 or 1.
    const first = Math.max(2, from);
    const unknown = this.#run.goOnFrom(first);
    const root = { bucket: this.#bucket, prefix: this.#prefix };
    const answer = await bucketHead(root, layout, unknown, enough - (unknown - first), signal);
    this.#run.reached(first, answer.contiguousTo);
    return answer;
  }

  /** @throws LEDGER_MISSING, OBJECT_TOO_LARGE, and as open */
  read(layout: LakeLayout, range: LedgerRange, signal: AbortSignal): AsyncIterable<readonly LakeObject[]> {
    if (!this.#memory.suffixWorked) this.#memory.suffix = layout.suffix;
    const root = { bucket: this.#bucket, prefix: this.#prefix };
    return new BucketReader(root, layout, range, this.#memory, this.#meter, signal).batches();
  }

  /**
   * Names right below a folder of the lake (`''` = its root): those of the first page that has a name of a lake, which
   * is all that finding the cut needs.
   */
  async #names(folder: string, signal: AbortSignal): Promise<string[]> {
    const below = `${this.#prefix}${folder}`;
    for await (const { objects, folders } of this.#bucket.list(below, { delimiter: '/' }, signal)) {
      const names = [
        ...folders.map((name) => name.slice(below.length, -1)),
        ...objects.map(({ key }) => key.slice(below.length)),
      ];
      if (names.some((name) => parseFolderName(name) !== null || parseFileName(name) !== null)) return names;
    }
    return [];
  }

  /** A `.config.json` that cannot be used may be the page of something that is no bucket at all. */
  async #whyUnusable(error: unknown, file: string, signal: AbortSignal): Promise<unknown> {
    if (!(error instanceof BronzeError)) return error;
    if (error.code !== 'LAKE_CONFIG_INVALID' && error.code !== 'OBJECT_TOO_LARGE') return error;
    try {
      await this.#bucket.check(this.#prefix, signal);
    } catch (problem) {
      if (problem instanceof BronzeError && problem.code === 'ENDPOINT_INVALID') return problem;
    }
    return error.code === 'OBJECT_TOO_LARGE' ? oversizedConfig(file) : error;
  }
}
