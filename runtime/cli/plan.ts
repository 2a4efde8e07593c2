/**
 * `plan`: what `run` would do, touching nothing. Counts are computed from sequences; bytes and time are estimated from
 * a few real ledgers that are read, checked and compressed here, and labelled so.
 */
import { availableParallelism } from 'node:os';
import { buildPartition } from '../../actors/build/build-partition.ts';
import type { BuildAnswer } from '../../actors/build/spec.ts';
import type { AdoptedRecord } from '../../actors/commit/adoption.ts';
import { chainKey } from '../../actors/paths.ts';
import type { LakeLayout } from '../../actors/ports.ts';
import { fileCount } from '../../actors/source/keys.ts';
import type { EraConfig } from '../../config/schema.ts';
import { type Failure, toFailure } from '../../machines/errors.ts';
import { countPartitions, lastLedger, MAX_LEDGER } from '../../machines/partitions.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import { type Context, openContext } from '../context.ts';
import { adoptionLines, type EraLook, lookAt, partitionsToMend } from '../look.ts';
import { type Answer, ledgerOption, switchOption } from './answer.ts';

/** Places in the range from which ledgers are sampled, and how many at each. */
const SPOTS = 3;
const SPOT_LEDGERS = 8;
/** What a thread needs beyond its row group and read-ahead, and the process beyond its threads; measured, bytes. */
const MEMORY_BASE = 110e6;
const MEMORY_PER_THREAD = 120e6;
/** What a bucket adds per thread, on either side: its SDK, more read ahead; parts on their way. Measured, bytes. */
const MEMORY_PER_BUCKET = 40e6;

interface Estimate {
  readonly sampled_ledgers: number;
  readonly source_bytes: number;
  readonly raw_bytes: number;
  readonly bronze_bytes: number;
  readonly seconds: number;
}

interface EraPlan {
  readonly era_id: string;
  readonly chain: string;
  readonly from_ledger: number | null;
  /** Null = follows the head of the lake. */
  readonly to_ledger: number | null;
  readonly partitions_there: number;
  readonly partitions_to_copy: number | null;
  readonly partitions_to_mend: number;
  /** Partitions of the old program that the next run takes over; null where there is nothing to adopt. */
  readonly to_adopt: (AdoptedRecord & { readonly warnings: readonly string[] }) | null;
  readonly ledgers: number | null;
  readonly source_objects: number | null;
  /** GETs to the source, one an object; a local disk has none to pay for. */
  readonly requests: number | null;
  /** Estimated from a sample of real ledgers; null where none could be read. */
  readonly estimate: Estimate | null;
  readonly staging_bytes_at_most: number | null;
  readonly error: Record<string, unknown> | null;
}

const never = new AbortController().signal;

/** Builds a few ledgers without writing them anywhere. */
async function sample(context: Context, era: EraConfig, layout: LakeLayout, range: LedgerRange): Promise<BuildAnswer> {
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

/** Ledgers at the beginning, in the middle and at the end: their size has grown a thousandfold over the years. */
function spots(range: LedgerRange): LedgerRange[] {
  const count = range.end - range.start + 1;
  if (count <= SPOTS * SPOT_LEDGERS) return [range];
  return Array.from({ length: SPOTS }, (_, i) => {
    const start = range.start + Math.floor(((count - SPOT_LEDGERS) * i) / (SPOTS - 1));
    return { start, end: start + SPOT_LEDGERS - 1 };
  });
}

async function estimate(
  context: Context,
  era: EraConfig,
  layout: LakeLayout,
  range: LedgerRange,
): Promise<{ estimate: Estimate | null; failure: Failure | null }> {
  try {
    const chosen = spots(range);
    const sums = { ledgers: 0, source: 0, raw: 0, bronze: 0, seconds: 0 };
    // The first build warms the code up and is not counted.
    await sample(context, era, layout, chosen[0] as LedgerRange);
    for (const spot of chosen) {
      const before = process.cpuUsage();
      const answer = await sample(context, era, layout, spot);
      const cpu = process.cpuUsage(before);
      sums.ledgers += spot.end - spot.start + 1;
      sums.source += answer.sourceBytes;
      sums.raw += answer.rawBytes;
      sums.bronze += answer.data.byteSize;
      sums.seconds += (cpu.user + cpu.system) / 1e6;
    }
    const factor = (range.end - range.start + 1) / sums.ledgers;
    const lanes = Math.min(config(context).workers, config(context).threads || availableParallelism());
    return {
      failure: null,
      estimate: {
        sampled_ledgers: sums.ledgers,
        source_bytes: Math.round(sums.source * factor),
        raw_bytes: Math.round(sums.raw * factor),
        bronze_bytes: Math.round(sums.bronze * factor),
        seconds: Number(((sums.seconds * factor) / lanes).toFixed(1)),
      },
    };
  } catch (error) {
    return { estimate: null, failure: toFailure(error) };
  }
}

const config = (context: Context) => context.config.perf;

async function planEra(context: Context, look: EraLook, stopAfter: number | null, once: boolean): Promise<EraPlan> {
  const { era, chain, grid, recovered, facts, adoption } = look;
  const blank: EraPlan = {
    era_id: era.era_id,
    chain: chainKey(chain),
    from_ledger: null,
    to_ledger: null,
    partitions_there: facts?.partitions.filter((found) => found.hasManifest).length ?? 0,
    partitions_to_copy: null,
    partitions_to_mend: 0,
    to_adopt: adoption && { ...adoption.record, warnings: adoption.warnings },
    ledgers: null,
    source_objects: null,
    requests: null,
    estimate: null,
    staging_bytes_at_most: null,
    error: look.failure ? { ...look.failure } : null,
  };
  if (!recovered) return blank;
  const from = recovered.frontier;
  const mend = partitionsToMend(look);
  let last = lastLedger(grid, stopAfter);
  if (from > last) {
    return { ...blank, partitions_to_copy: 0, partitions_to_mend: mend, ledgers: 0, source_objects: 0, requests: 0 };
  }
  try {
    const layout = await context.source.open(never);
    const follows = last === MAX_LEDGER;
    if (follows) {
      const head = await context.source.head(layout, from, never);
      last = Math.max(from - 1, head.contiguousTo);
      // Whole partitions only.
      while (last >= from && last < MAX_LEDGER && (last + 1 - grid.origin) % grid.size !== 0) last -= 1;
    }
    const range = { start: from, end: last };
    if (last < from)
      return { ...blank, from_ledger: from, partitions_to_copy: 0, ledgers: 0, partitions_to_mend: mend };
    const { estimate: guess, failure } = await estimate(context, era, layout, range);
    const partitions = countPartitions(grid, from, last);
    const objects = fileCount(layout, range);
    return {
      ...blank,
      from_ledger: from,
      to_ledger: follows && !once ? null : last,
      partitions_to_copy: partitions,
      partitions_to_mend: mend,
      ledgers: last - from + 1,
      source_objects: objects,
      requests: objects,
      estimate: guess,
      staging_bytes_at_most: guess
        ? Math.round((guess.bronze_bytes / partitions) * Math.min(context.config.perf.queue_size, partitions))
        : null,
      error: failure ? { ...failure } : null,
    };
  } catch (error) {
    return { ...blank, from_ledger: from, partitions_to_mend: mend, error: { ...toFailure(error) } };
  }
}

const gb = (bytes: number): string =>
  bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;

function text(plan: EraPlan, look: EraLook): string {
  const lines = [`${plan.era_id} (${plan.chain})`, `  there already: ${plan.partitions_there} partitions`];
  lines.push(...adoptionLines(look));
  if (plan.partitions_to_mend > 0) lines.push(`  to mend first: ${plan.partitions_to_mend} partitions`);
  if (plan.partitions_to_copy === 0) lines.push('  to copy: nothing');
  else if (plan.partitions_to_copy !== null) {
    lines.push(
      `  to copy: ${plan.partitions_to_copy} partitions, ledgers ${plan.from_ledger} to ${plan.to_ledger ?? 'the head, and on'}, from ${plan.source_objects} objects`,
    );
  }
  if (plan.estimate) {
    const { estimate: guess } = plan;
    lines.push(
      `  estimated from ${guess.sampled_ledgers} ledgers: ${gb(guess.source_bytes)} read, ${gb(guess.raw_bytes)} raw, ` +
        `${gb(guess.bronze_bytes)} written, about ${guess.seconds} s`,
    );
  }
  if (plan.staging_bytes_at_most !== null) lines.push(`  staging: at most ${gb(plan.staging_bytes_at_most)}`);
  if (plan.error) lines.push(`  ${String(plan.error.code)}: ${String(plan.error.message)}`);
  return lines.join('\n');
}

export async function execute(answer: Answer): Promise<number> {
  const context = openContext(answer);
  const stopAfter = ledgerOption(answer, 'to');
  const once = switchOption(answer, 'once');
  const eras: EraPlan[] = [];
  const texts: string[] = [];
  for (const era of context.eras) {
    const look = await lookAt(context, era);
    const plan = await planEra(context, look, stopAfter, once);
    eras.push(plan);
    texts.push(text(plan, look));
  }
  const threads = config(context).threads || availableParallelism();
  const buckets = [context.sourceSpec.mode, context.storeSpec.backend].filter((where) => where !== 'local').length;
  const memory = Math.round(MEMORY_BASE + threads * (MEMORY_PER_THREAD + buckets * MEMORY_PER_BUCKET));
  const free = await context.store.freeBytes();
  const conditions = await context.store.conditions();
  const needed = eras.reduce((sum, era) => sum + (era.estimate?.bronze_bytes ?? 0), 0);
  if (switchOption(answer, 'json')) {
    const whole = { eras, memory_bytes_at_most: memory, free_bytes: free, store_enforces: conditions };
    process.stdout.write(`${JSON.stringify(whole, null, 2)}\n`);
  } else {
    const lines = [...texts];
    lines.push(`memory: at most about ${gb(memory)} with ${threads} threads`);
    lines.push(
      `free in ${context.store.uri}: ${free === null ? 'no limit known' : gb(free)}${free !== null && needed > free ? ': NOT ENOUGH' : ''}`,
    );
    if (conditions === null) {
      lines.push(`${context.store.uri}: what it enforces is found out when a run starts, and by validate --online`);
    } else if (!conditions.create || !conditions.publish) {
      const what = [conditions.create ? '' : 'small objects', conditions.publish ? '' : 'data objects'];
      lines.push(
        `${context.store.uri} does not refuse to overwrite ${what.filter(Boolean).join(' and ')}: uploads are fenced; ` +
          'let no second copier work on a chain',
      );
    }
    process.stdout.write(`${lines.join('\n')}\n`);
  }
  return eras.some((era) => era.error !== null) ? 1 : 0;
}
