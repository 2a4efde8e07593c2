/**
 * What a copy will read, write, take and hold, estimated from a few real ledgers that are read, checked and compressed
 * here, in this process, and written nowhere. Costs that a sample does not show are measured ones (docs/performance.md).
 */
import { buildPartition } from '../actors/build/build-partition.ts';
import { ROW_GROUP } from '../actors/build/parquet-writer.ts';
import type { BuildAnswer } from '../actors/build/spec.ts';
import type { LakeLayout } from '../actors/ports.ts';
import { AHEAD_BYTES } from '../actors/source/local-read.ts';
import type { EraConfig } from '../config/schema.ts';
import { countPartitions } from '../machines/partitions.ts';
import type { Grid, LedgerRange } from '../machines/protocol.ts';
import type { Context } from './context.ts';

/** Places in the range from which ledgers are sampled: their size has grown a thousandfold over the years. */
const SPOTS = 3;
/** Ledgers at one place: at first, and by how much more until a build takes long enough to be measured. */
const FIRST_LEDGERS = 8;
const GROWTH = 4;
const LONG_ENOUGH_MS = 150;
/** Objects that are read at one place at the most; each of a bucket is a request that costs money. */
const MOST_OBJECTS = { local: 16_384, bucket: 512 };

/** From the start of the program's work to its first partition, and from its last one to the end, seconds. */
const START_SECONDS = 0.35;
/** What a commit takes with its fsyncs, one after another within an era, seconds. */
const COMMIT_SECONDS = 0.02;
/** What is left of the speed of a thread when another one works on the same memory. */
const SHARED_SPEED = 0.85;

/** Resident before the first thread, with all that a run loads, bytes. */
const MEMORY_BASE = 100e6;
/** A thread's own heap, code, native contexts and read buffer, bytes. */
const MEMORY_THREAD = 24e6;
/** What a bucket adds per thread, on either side: its SDK, more read ahead; parts on their way. Bytes. */
const MEMORY_BUCKET = 40e6;

export interface Estimate {
  readonly sampled_ledgers: number;
  readonly source_bytes: number;
  readonly raw_bytes: number;
  readonly bronze_bytes: number;
  /** Of the era, were it alone. */
  readonly seconds: number;
}

/** What an era asks of the memory of each thread, bytes. */
export interface ThreadNeeds {
  /** XDR of a row group, and the same compressed. */
  readonly group: number;
  readonly compressed: number;
  /** An object of average size, unpacked. */
  readonly object: number;
}

/** How many builds go on side by side. */
export interface Lanes {
  readonly threads: number;
  readonly cores: number;
}

const never = new AbortController().signal;

/** Builds a few ledgers without writing them anywhere. */
function build(context: Context, era: EraConfig, layout: LakeLayout, range: LedgerRange): Promise<BuildAnswer> {
  const { config, source, sourceSpec } = context;
  return buildPartition(
    {
      kind: 'build',
      chain: { network: era.network, eraId: era.era_id, versionLabel: era.version_label },
      range,
      source: sourceSpec,
      layout,
      staging: { backend: 'local', folder: '', owner: '' },
      key: '',
      attempt: 'plan',
      compression: { codec: config.bronze.compression, level: config.bronze.compression_level },
      checks: { results: config.checks.results, protocolMin: null, protocolMax: null },
    },
    {
      source,
      signal: never,
      onProgress: () => {},
      writer: { write: () => {}, finish: async () => '', abort: async () => {} },
    },
  );
}

/** Sums over what was built at several places. */
interface Sample {
  ledgers: number;
  files: number;
  source: number;
  raw: number;
  bronze: number;
  ms: number;
}

/** `count` ledgers at the beginning, in the middle and at the end; the whole range where it is not much longer. */
function spots(range: LedgerRange, count: number): LedgerRange[] {
  const all = range.end - range.start + 1;
  if (all <= SPOTS * count) return [range];
  return Array.from({ length: SPOTS }, (_, i) => {
    const start = range.start + Math.floor(((all - count) * i) / (SPOTS - 1));
    return { start, end: start + count - 1 };
  });
}

/**
 * Estimates the copy of `range`, which must not be empty.
 * @throws BronzeError what a build of these ledgers throws
 */
export async function estimateCopy(
  context: Context,
  era: EraConfig,
  layout: LakeLayout,
  grid: Grid,
  range: LedgerRange,
  lanes: Lanes,
): Promise<{ estimate: Estimate; needs: ThreadNeeds }> {
  const count = range.end - range.start + 1;
  const rows = Math.min(count, grid.size);
  const most = Math.min(rows, MOST_OBJECTS[context.sourceSpec.mode] * layout.ledgersPerFile);
  const sample: Sample = { ledgers: 0, files: 0, source: 0, raw: 0, bronze: 0, ms: 0 };
  const add = async (at: LedgerRange): Promise<number> => {
    const began = performance.now();
    const answer = await build(context, era, layout, at);
    const ms = performance.now() - began;
    sample.ledgers += at.end - at.start + 1;
    sample.files += 1;
    sample.source += answer.sourceBytes;
    sample.raw += answer.rawBytes;
    sample.bronze += answer.data.byteSize;
    sample.ms += ms;
    return ms;
  };
  // The code gets warm while the right number of ledgers is looked for; nothing of that is counted.
  let length = Math.min(FIRST_LEDGERS, most);
  while ((await add({ start: range.start, end: range.start + length - 1 })) < LONG_ENOUGH_MS && length < most) {
    length = Math.min(length * GROWTH, most);
  }
  Object.assign(sample, { ledgers: 0, files: 0, source: 0, raw: 0, bronze: 0, ms: 0 });
  for (const spot of spots(range, length)) await add(spot);
  // What every file has, however many rows: a partition has it once, and so has each file of the sample.
  const one = await build(context, era, layout, { start: range.end, end: range.end });
  const perRow = (sample.bronze - sample.files * one.data.byteSize) / Math.max(1, sample.ledgers - sample.files);
  const partitions = countPartitions(grid, range.start, range.end);
  const factor = count / sample.ledgers;
  const side = Math.min(lanes.threads, lanes.cores, partitions);
  const speed = side === 1 ? 1 : side * SHARED_SPEED;
  const building = (sample.ms * factor) / 1e3 / speed;
  const group = Math.min(ROW_GROUP.bytes, (sample.raw / sample.ledgers) * rows);
  return {
    estimate: {
      sampled_ledgers: sample.ledgers,
      source_bytes: Math.round(sample.source * factor),
      raw_bytes: Math.round(sample.raw * factor),
      bronze_bytes: Math.round(partitions * one.data.byteSize + Math.max(0, perRow) * (count - partitions)),
      // Commits go on beside the builds; what takes longer is what is waited for.
      seconds: Number((START_SECONDS + Math.max(building, partitions * COMMIT_SECONDS)).toFixed(1)),
    },
    needs: {
      group,
      compressed: (group * sample.bronze) / sample.raw,
      object: (sample.raw / sample.ledgers) * layout.ledgersPerFile,
    },
  };
}

/**
 * Memory of a run, bytes: what it will probably be, and what it will not exceed as long as no object is larger than
 * twice the average of those sampled. The bound holds on a disk that is slow and for ledgers that do not compress.
 * @param needs of every era; the largest count
 * @param buckets how many of lake and Bronze lie in one
 */
export function estimateMemory(
  needs: readonly ThreadNeeds[],
  threads: number,
  buckets: number,
): { memory_bytes: number; memory_bytes_at_most: number } {
  const largest = (of: (one: ThreadNeeds) => number): number => Math.max(0, ...needs.map(of));
  const object = largest((one) => one.object);
  const fixed = MEMORY_THREAD + buckets * MEMORY_BUCKET;
  const usual = fixed + largest((one) => one.group + one.compressed) + object;
  const most = fixed + 2 * ROW_GROUP.bytes + AHEAD_BYTES + 2 * object;
  return {
    memory_bytes: Math.round(MEMORY_BASE + threads * usual),
    memory_bytes_at_most: Math.round(1.1 * MEMORY_BASE + threads * most),
  };
}
