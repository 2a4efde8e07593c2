/**
 * Builds one partition: lake -> strict unpacking -> every ledger checked and linked -> rows -> Parquet -> staging. It
 * must never give an answer for fewer rows than the range has, nor leave anything staged when it fails: whatever goes
 * wrong, at whatever ledger, the staged file is removed and the error names ledger, object and check.
 */
import { BronzeError, type Details, fromFailure } from '../../machines/errors.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import { trustedFailure } from '../anchor/trusted-hashes.ts';
import { throwIfCancelled } from '../bounded.ts';
import { dataFileName } from '../bronze/names.ts';
import { checkBatch } from '../check/batch.ts';
import { checkLink, LedgerChecker, type LedgerFacts } from '../check/ledger-checker.ts';
import type { LakeObject, LakeSource } from '../ports/source.ts';
import type { StagingWriter } from '../ports/store.ts';
import { Arena, type Extent, FrameDecompressor } from '../zstd.ts';
import { checksDone } from './checks-done.ts';
import { type PageCompressor, pageCompressor } from './compression.ts';
import { EndsGatherer } from './ends.ts';
import { bothDone, LedgerParquetWriter, PageMemory } from './parquet-writer.ts';
import type { BuildAnswer, BuildTask, CompressionSpec, Progress } from './spec.ts';

/** Milliseconds between two reports of progress. */
const PROGRESS_MS = 300;

/**
 * Memory and native contexts that a thread keeps from partition to partition, so that its pages stay resident: one
 * unpacked object, one row group, one compressed page. Not to be shared by two builds at a time.
 */
export class BuildMemory {
  readonly object = new Arena();
  readonly frames = new FrameDecompressor();
  readonly pages = new PageMemory();
  #compressor: { readonly spec: CompressionSpec; readonly pages: PageCompressor } | null = null;

  compressor(spec: CompressionSpec): PageCompressor {
    const known = this.#compressor;
    if (known?.spec.codec === spec.codec && known.spec.level === spec.level) return known.pages;
    const pages = pageCompressor(spec);
    this.#compressor = { spec, pages };
    return pages;
  }
}

export interface BuildEnvironment {
  readonly source: LakeSource;
  /** Where the file goes; finished or aborted here. */
  readonly writer: StagingWriter;
  readonly signal: AbortSignal;
  /** At most a few times a second. */
  readonly onProgress: (progress: Progress) => void;
  /** Asked before every ledger whether to go on, for a canceller that a busy thread cannot hear. */
  readonly cancelled?: () => boolean;
  readonly memory?: BuildMemory;
}

/**
 * Reads, checks and stages one partition. Memory: what the source reads ahead, one unpacked object, one row group and
 * its compressed pages, and about 10 KB of footer per row group, whatever the partition.
 * @throws BronzeError what the source throws; OBJECT_*, BATCH_INVALID; the codes of a ledger that fails a check;
 *   LINK_BROKEN; LEDGER_MISSING and ROW_COUNT where objects hold other ledgers than they should; STORE_*; CANCELLED
 */
export async function buildPartition(task: BuildTask, env: BuildEnvironment): Promise<BuildAnswer> {
  try {
    const build = new PartitionBuild(task, env);
    await build.readAll();
    return await build.finish();
  } catch (error) {
    await env.writer.abort();
    throw settled(error, task.range, env.signal);
  }
}

class PartitionBuild {
  readonly #task: BuildTask;
  readonly #env: BuildEnvironment;
  readonly #memory: BuildMemory;
  readonly #checker: LedgerChecker;
  readonly #parquet: LedgerParquetWriter;
  readonly #ends: EndsGatherer;
  /** Trusted hashes that were compared. */
  #trusted = 0;
  #firstObject = '';
  #sourceBytes = 0;
  #rawBytes = 0;
  #reported = performance.now();
  /** What the sink asked to wait for within the present object. */
  #pending: Promise<unknown> | null = null;

  constructor(task: BuildTask, env: BuildEnvironment) {
    this.#task = task;
    this.#env = env;
    this.#memory = env.memory ?? new BuildMemory();
    this.#checker = new LedgerChecker(task.checks);
    this.#ends = new EndsGatherer(task.checks);
    const compressor = this.#memory.compressor(task.compression);
    this.#parquet = new LedgerParquetWriter(
      { chain: task.chain, range: task.range, compressor },
      env.writer,
      this.#memory.pages,
    );
  }

  async readAll(): Promise<void> {
    const { source, signal } = this.#env;
    const { layout, range } = this.#task;
    this.#stopIfCancelled();
    for await (const objects of source.read(layout, range, signal)) {
      for (const object of objects) {
        this.#addObject(object);
        if (this.#pending) await this.#pending;
        this.#pending = null;
      }
      this.#report(false);
    }
  }

  async finish(): Promise<BuildAnswer> {
    const task = this.#task;
    const expected = task.range.end - task.range.start + 1;
    if (this.#parquet.rows !== expected || this.#ends.last?.sequence !== task.range.end) {
      throw new BronzeError('ROW_COUNT', `the partition has ${this.#parquet.rows} ledgers instead of ${expected}`, {
        details: {
          ledger: this.#next(),
          check: 'row_count',
          expected: String(expected),
          found: String(this.#parquet.rows),
        },
      });
    }
    this.#stopIfCancelled();
    const file = await this.#parquet.finish();
    const handle = await this.#env.writer.finish();
    // The last moment at which it can still be taken back: after it the handle belongs to the caller.
    this.#stopIfCancelled();
    this.#report(true);
    return {
      handle,
      data: {
        file: dataFileName(task.range),
        checksum: `sha256:${file.sha256}`,
        rowCount: file.rowCount,
        byteSize: file.byteSize,
      },
      ledgers: this.#ends.ends(),
      writer: this.#parquet.versions,
      checks: checksDone(task.checks),
      firstObject: this.#firstObject,
      sourceBytes: this.#sourceBytes,
      rawBytes: this.#rawBytes,
    };
  }

  /** The ledger that the next row must be. */
  #next(): number {
    return this.#task.range.start + this.#parquet.rows;
  }

  #addObject(object: LakeObject): void {
    const { key, named, bytes } = object;
    try {
      const arena = named.start === named.end ? this.#memory.pages.xdr : this.#memory.object;
      const extent = this.#unpack(arena, object);
      this.#sourceBytes += bytes.length;
      checkBatch(
        arena.bytes,
        extent,
        named,
        this.#checker,
        (facts, start, end) => this.#addLedger(facts, arena.bytes, { start, end }, key),
        // Of a file that reaches beyond the partition, the other ledgers are walked, and hashed by their own partition.
        { object: key, only: this.#task.range },
      );
    } catch (error) {
      throw placed(error, { ledger: Math.max(named.start, this.#next()), object: key });
    }
  }

  /** One of a single ledger goes to where the Parquet page wants it. */
  #unpack(arena: Arena, { key, bytes }: LakeObject): Extent {
    const { frames, pages } = this.#memory;
    if (arena === pages.xdr) return this.#parquet.unpackInPlace((page) => frames.decompressInto(page, bytes, key));
    arena.reset();
    return frames.decompressInto(arena, bytes, key);
  }

  #addLedger(facts: LedgerFacts, bytes: Uint8Array, xdr: Extent, object: string): void {
    this.#stopIfCancelled();
    const next = this.#next();
    if (facts.sequence !== next) throw misplaced(facts.sequence, next, object);
    const { last } = this.#ends;
    if (last === null) this.#firstObject = object;
    else checkLink(facts, last.ledgerHash);
    this.#checkTrusted(facts);
    const pending = this.#parquet.add(facts, bytes, xdr);
    if (pending) this.#pending = bothDone(this.#pending, pending);
    this.#ends.add(facts);
    this.#rawBytes += xdr.end - xdr.start;
  }

  #checkTrusted({ sequence, ledgerHash }: LedgerFacts): void {
    const known = this.#task.checks.trusted?.[this.#trusted];
    if (known?.ledger !== sequence) return;
    this.#trusted += 1;
    if (known.hash !== ledgerHash) throw fromFailure(trustedFailure(known, ledgerHash, 'a file of trusted hashes'));
  }

  #stopIfCancelled(): void {
    throwIfCancelled(this.#env.signal);
    if (this.#env.cancelled?.()) throw new BronzeError('CANCELLED', 'the work was cancelled');
  }

  #report(last: boolean): void {
    const now = performance.now();
    if (!last && now - this.#reported < PROGRESS_MS) return;
    this.#reported = now;
    this.#env.onProgress({ ledgers: this.#parquet.rows, rawBytes: this.#rawBytes });
  }
}

/** An object is whole, but does not hold what its neighbours leave to it. */
function misplaced(sequence: number, next: number, object: string): BronzeError {
  const details: Details = { ledger: next, object, check: 'batch', expected: String(next), found: String(sequence) };
  if (sequence > next) {
    return new BronzeError('LEDGER_MISSING', `ledger ${next} is in no object: ${object} goes on with ${sequence}`, {
      details,
    });
  }
  return new BronzeError('BATCH_INVALID', `ledger ${sequence} came again in ${object}`, { details });
}

/** The same error with what it does not say itself about the place. */
function placed(error: unknown, place: Details): unknown {
  if (!(error instanceof BronzeError)) return error;
  const details = { ...place, ...error.details };
  const named = error.details.object === undefined && place.object !== undefined;
  return new BronzeError(error.code, named ? `${error.message} (${place.object})` : error.message, {
    details,
    cause: error.cause ?? error,
    retryable: error.retryable,
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
  });
}

/** Every error gets the partition; an AbortError of a library becomes CANCELLED, but no other error is hidden by it. */
function settled(error: unknown, range: LedgerRange, signal: AbortSignal): unknown {
  const aborted = signal.aborted && error instanceof Error && (error.name === 'AbortError' || error === signal.reason);
  const coded = aborted ? new BronzeError('CANCELLED', 'the work was cancelled', { cause: error }) : error;
  return placed(coded, { start: range.start, end: range.end });
}
