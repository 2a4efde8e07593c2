/**
 * What a copy will read, write, take and hold, estimated from a few real ledgers that are read, checked and compressed
 * here, in this process, and written nowhere. Costs that a sample does not show are measured ones (docs/performance.md).
 */
import { buildPartition } from '../actors/parquet/build-partition.ts';
import { ROW_GROUP } from '../actors/parquet/parquet-writer.ts';
import type { BuildAnswer } from '../actors/parquet/spec.ts';
import type { LakeLayout } from '../actors/ports/source.ts';
import { fileCount, fileOf } from '../actors/source/keys.ts';
import { AHEAD_BYTES } from '../actors/source/local-read.ts';
import { localSizes } from '../actors/source/local-sizes.ts';
import { networkPassphrase } from '../config/networks.ts';
import type { EraConfig } from '../config/schema.ts';
import { countPartitions, partitionAt } from '../machines/partitions.ts';
import type { Grid, LedgerRange } from '../machines/protocol.ts';
import type { Context } from './context.ts';

/** Stretches that the range is cut into, with a sample from each: the size of ledgers changes a thousandfold over years. */
const STRATA = 16;
/** Ledgers at one place: at first, and by how much more until a build takes long enough to be measured. */
const FIRST_LEDGERS = 8;
const GROWTH = 4;
const LONG_ENOUGH_MS = 150;
/** XDR of the sample of one stretch, bytes, where a partition has as much: shorter ones compress worse than partitions do. */
const ENOUGH_BYTES = 512e3;
/** Objects that are read in all at the most; each of a bucket is a request that costs money. */
const MOST_OBJECTS = { local: 49_152, bucket: 1_536 };

/** How much larger the largest partition may be than the densest sample makes it: where sizes are known, and where not. */
const MARGIN = { known: 1.2, guessed: 2 };
/** Manifests, events and other small files that are staged on their way, bytes. */
const SMALL_FILES = 65_536;

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

/** Bytes, or what is estimated of them: the most likely figure, and what it hardly is below or above. */
interface Range {
  readonly likely: number;
  readonly low: number;
  readonly high: number;
}

export interface Estimate {
  readonly sampled_ledgers: number;
  readonly source_bytes: number;
  readonly raw_bytes: number;
  readonly raw_bytes_low: number;
  readonly raw_bytes_high: number;
  readonly bronze_bytes: number;
  readonly bronze_bytes_low: number;
  readonly bronze_bytes_high: number;
  /** Of the era, were it alone. */
  readonly seconds: number;
  /** The largest partition that may come, bytes: of the densest place that was seen, and some more. */
  readonly partition_bytes_at_most: number;
  /** What may lie staged at once, bytes: a whole window of the largest partitions. */
  readonly staging_bytes_at_most: number;
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

/** Builds a few ledgers without writing them anywhere. Throws what a build throws. */
export function buildUnwritten(
  context: Context,
  era: EraConfig,
  layout: LakeLayout,
  range: LedgerRange,
): Promise<BuildAnswer> {
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
      checks: {
        results: config.checks.results,
        protocolMin: null,
        protocolMax: null,
        networkPassphrase: config.checks.signatures === 'all' ? networkPassphrase(config, era.network) : null,
      },
    },
    {
      source,
      signal: never,
      onProgress: () => {},
      writer: { write: () => {}, finish: async () => '', abort: async () => {} },
    },
  );
}

/** One stretch of the range: what there is of it, and what was built of a piece from its middle. */
interface Stratum {
  /** What it is weighed by: bytes in the lake where they are known, otherwise ledgers. */
  readonly weight: number;
  /** The same of the piece. */
  readonly sampled: number;
  readonly ledgers: number;
  readonly source: number;
  readonly raw: number;
  /** Rows only: what every file has besides is counted once a partition. */
  readonly bronze: number;
  readonly ms: number;
}

type Figure = 'source' | 'raw' | 'bronze' | 'ms';

/** What a figure is of one unit of weight, at one place. */
const density = (stratum: Stratum | undefined, of: Figure): number | null =>
  stratum && stratum.sampled > 0 ? stratum[of] / stratum.sampled : null;

/**
 * The whole from its stretches. Between two places that were looked at it may be as at either of them: that is the
 * interval, which is nothing where all was read.
 */
function total(strata: readonly Stratum[], of: Figure): Range {
  const sum = { likely: 0, low: 0, high: 0 };
  for (const [i, stratum] of strata.entries()) {
    const here = density(stratum, of) ?? 0;
    const around = [here, density(strata[i - 1], of) ?? here, density(strata[i + 1], of) ?? here];
    const rest = Math.max(0, stratum.weight - stratum.sampled);
    sum.likely += stratum[of] + rest * here;
    sum.low += stratum[of] + rest * Math.min(...around);
    sum.high += stratum[of] + rest * Math.max(...around);
  }
  return { likely: Math.round(sum.likely), low: Math.round(sum.low), high: Math.round(sum.high) };
}

/** Ledgers of the objects `first` to `last` of those that hold a range, as far as they are in it. */
function ledgersOf(layout: LakeLayout, range: LedgerRange, first: number, last: number): LedgerRange {
  const { named } = fileOf(layout, range, last);
  return { start: fileOf(layout, range, first).first, end: Math.min(named.end, range.end) };
}

const sumOf = (sizes: readonly number[]): number => sizes.reduce((sum, size) => sum + size, 0);

/** Bytes in the lake of the partition that has most of them; `sizes` of all objects of the range, in order. */
function largestSource(layout: LakeLayout, grid: Grid, range: LedgerRange, sizes: readonly number[]): number {
  let largest = 0;
  let at = range.start;
  for (let next = partitionAt(grid, at); next && next.start <= range.end; next = partitionAt(grid, at)) {
    const before = at === range.start ? 0 : fileCount(layout, { start: range.start, end: at }) - 1;
    const end = Math.min(next.end, range.end);
    largest = Math.max(largest, sumOf(sizes.slice(before, before + fileCount(layout, { start: at, end }))));
    at = next.end + 1;
  }
  return largest;
}

/** Objects that partitions cut are read by both. */
function readTwice(layout: LakeLayout, grid: Grid, partitions: number): number {
  const { ledgersPerFile } = layout;
  return grid.size % ledgersPerFile === 0 && grid.origin % ledgersPerFile === 0 ? 0 : partitions - 1;
}

/**
 * Estimates the copy of `range`, which must not be empty.
 * @param mended partitions that recovery has built besides: they take no place in the window
 * @throws BronzeError what a build of these ledgers throws
 */
export async function estimateCopy(
  context: Context,
  era: EraConfig,
  layout: LakeLayout,
  grid: Grid,
  range: LedgerRange,
  lanes: Lanes,
  mended: number,
): Promise<{ estimate: Estimate; needs: ThreadNeeds }> {
  const { sourceSpec, config } = context;
  const count = range.end - range.start + 1;
  const objects = fileCount(layout, range);
  const rows = Math.min(count, grid.size);
  const most = Math.min(count, Math.ceil(MOST_OBJECTS[sourceSpec.mode] / STRATA) * layout.ledgersPerFile);
  const timed = async (at: LedgerRange) => {
    const began = performance.now();
    const answer = await buildUnwritten(context, era, layout, at);
    return { answer, ms: performance.now() - began };
  };
  // The code gets warm while the right number of ledgers is looked for; no time of that is counted.
  let length = Math.min(FIRST_LEDGERS, most);
  for (;;) {
    const { answer, ms } = await timed({ start: range.start, end: range.start + length - 1 });
    if (ms >= LONG_ENOUGH_MS || length >= most) {
      length = Math.min(most, rows, Math.ceil((ENOUGH_BYTES * length) / Math.max(1, answer.rawBytes)));
      break;
    }
    length = Math.min(length * GROWTH, most);
  }
  // What every file has, however many rows.
  const frame = (await buildUnwritten(context, era, layout, { start: range.end, end: range.end })).data.byteSize;
  const sizes = sourceSpec.mode === 'local' ? await localSizes(sourceSpec.path, layout, range) : null;
  const weigh = (first: number, last: number): number => {
    if (sizes !== null) return sumOf(sizes.slice(first, last + 1));
    const { start, end } = ledgersOf(layout, range, first, last);
    return end - start + 1;
  };
  // Never so many that a stretch is hardly more than what is read of it.
  const pieces = Math.max(1, Math.min(STRATA, Math.floor(count / Math.max(length, 2 * FIRST_LEDGERS)), objects));
  const strata: Stratum[] = [];
  for (let i = 0; i < pieces; i++) {
    const [from, to] = [Math.floor((objects * i) / pieces), Math.floor((objects * (i + 1)) / pieces) - 1];
    const piece = Math.min(to - from + 1, Math.max(2, Math.ceil(length / layout.ledgersPerFile)));
    const first = from + Math.floor((to - from + 1 - piece) / 2);
    const at = ledgersOf(layout, range, first, first + piece - 1);
    const { answer, ms } = await timed(at);
    const ledgers = at.end - at.start + 1;
    strata.push({
      weight: weigh(from, to),
      sampled: weigh(first, first + piece - 1),
      ledgers,
      source: answer.sourceBytes,
      raw: answer.rawBytes,
      bronze: ledgers === 1 ? 0 : (Math.max(0, answer.data.byteSize - frame) / (ledgers - 1)) * ledgers,
      ms,
    });
  }
  const partitions = countPartitions(grid, range.start, range.end);
  const [source, raw, rowBytes, ms] = (['source', 'raw', 'bronze', 'ms'] as const).map((of) => total(strata, of)) as [
    Range,
    Range,
    Range,
    Range,
  ];
  // A file of one row is the frame: the other rows come on top.
  const ofRows = (bytes: number): number => Math.round(partitions * frame + (bytes * (count - partitions)) / count);
  const twice = readTwice(layout, grid, partitions);
  const side = Math.min(lanes.threads, lanes.cores, partitions);
  const speed = side === 1 ? 1 : side * SHARED_SPEED;
  const building = ms.likely / 1e3 / speed;
  const densest = (of: Figure): number => Math.max(...strata.map((stratum) => density(stratum, of) ?? 0));
  // In the same unit as the densities: bytes of the largest partition in the lake, or as many ledgers as one can have.
  const largest = sizes === null ? rows : largestSource(layout, grid, range, sizes);
  const margin = sizes === null ? MARGIN.guessed : MARGIN.known;
  const partitionBytes = Math.round(frame + densest('bronze') * largest * margin);
  const atOnce = Math.min(config.perf.queue_size, partitions) + mended;
  const sampled = sumOf(strata.map(({ ledgers }) => ledgers));
  const ofLedgers = (of: Figure): number => sumOf(strata.map((stratum) => stratum[of])) / sampled;
  const group = Math.min(ROW_GROUP.bytes, ofLedgers('raw') * rows);
  return {
    estimate: {
      sampled_ledgers: sampled,
      source_bytes: Math.round(((sizes === null ? source.likely : sumOf(sizes)) * (objects + twice)) / objects),
      raw_bytes: raw.likely,
      raw_bytes_low: raw.low,
      raw_bytes_high: raw.high,
      bronze_bytes: ofRows(rowBytes.likely),
      bronze_bytes_low: ofRows(rowBytes.low),
      bronze_bytes_high: ofRows(rowBytes.high),
      // Commits go on beside the builds; what takes longer is what is waited for.
      seconds: Number((START_SECONDS + Math.max(building, partitions * COMMIT_SECONDS)).toFixed(1)),
      partition_bytes_at_most: partitionBytes,
      staging_bytes_at_most: atOnce * partitionBytes + SMALL_FILES,
    },
    needs: {
      group,
      compressed: (group * ofLedgers('bronze')) / ofLedgers('raw'),
      object: ofLedgers('raw') * layout.ledgersPerFile,
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
