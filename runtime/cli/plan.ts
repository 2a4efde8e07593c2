/**
 * `plan`: what `run` would do, touching nothing. Counts are computed from sequences; bytes and time are estimated from
 * a few real ledgers that are read, checked and compressed here, and labelled so.
 */
import { availableParallelism } from 'node:os';
import type { AdoptedRecord } from '../../actors/commit/adoption.ts';
import { chainKey } from '../../actors/paths.ts';
import { fileCount } from '../../actors/source/keys.ts';
import { toFailure } from '../../machines/errors.ts';
import { countPartitions, lastLedger, MAX_LEDGER } from '../../machines/partitions.ts';
import { type Context, openContext } from '../context.ts';
import { type Estimate, estimateCopy, estimateMemory, type Lanes, type ThreadNeeds } from '../estimate.ts';
import { adoptionLines, type EraLook, lookAt, partitionsToMend } from '../look.ts';
import { type Answer, ledgerOption, switchOption } from './answer.ts';

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

interface PlannedEra {
  readonly plan: EraPlan;
  /** Null where nothing could be sampled. */
  readonly needs: ThreadNeeds | null;
}

async function planEra(
  context: Context,
  look: EraLook,
  stopAfter: number | null,
  once: boolean,
  lanes: Lanes,
): Promise<PlannedEra> {
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
  const nothingToSample = (plan: EraPlan): PlannedEra => ({ plan, needs: null });
  if (!recovered) return nothingToSample(blank);
  const from = recovered.frontier;
  const mend = partitionsToMend(look);
  let last = lastLedger(grid, stopAfter);
  if (from > last) {
    const nothing = { partitions_to_copy: 0, ledgers: 0, source_objects: 0, requests: 0 };
    return nothingToSample({ ...blank, ...nothing, partitions_to_mend: mend });
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
    if (last < from) {
      const nothing = { from_ledger: from, partitions_to_copy: 0, ledgers: 0 };
      return nothingToSample({ ...blank, ...nothing, partitions_to_mend: mend });
    }
    const { estimate: guess, needs, failure } = await sampled(context, era, layout, grid, range, lanes);
    const partitions = countPartitions(grid, from, last);
    const objects = fileCount(layout, range);
    const plan = {
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
    return { plan, needs };
  } catch (error) {
    return nothingToSample({
      ...blank,
      from_ledger: from,
      partitions_to_mend: mend,
      error: { ...toFailure(error) },
    });
  }
}

/** An estimate, or why there is none: the rest of the plan is worth having without it. */
async function sampled(...of: Parameters<typeof estimateCopy>) {
  try {
    return { ...(await estimateCopy(...of)), failure: null };
  } catch (error) {
    return { estimate: null, needs: null, failure: toFailure(error) };
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
  const needs: ThreadNeeds[] = [];
  const texts: string[] = [];
  const cores = availableParallelism();
  const threads = context.config.perf.threads || cores;
  const lanes = { threads: Math.min(threads, context.config.perf.workers), cores };
  for (const era of context.eras) {
    const look = await lookAt(context, era);
    const planned = await planEra(context, look, stopAfter, once, lanes);
    eras.push(planned.plan);
    if (planned.needs) needs.push(planned.needs);
    texts.push(text(planned.plan, look));
  }
  const buckets = [context.sourceSpec.mode, context.storeSpec.backend].filter((where) => where !== 'local').length;
  const memory = estimateMemory(needs, threads, buckets);
  await context.catalog?.close();
  const free = await context.store.freeBytes();
  const conditions = await context.store.conditions();
  const needed = eras.reduce((sum, era) => sum + (era.estimate?.bronze_bytes ?? 0), 0);
  if (switchOption(answer, 'json')) {
    const whole = { eras, ...memory, free_bytes: free, store_enforces: conditions };
    process.stdout.write(`${JSON.stringify(whole, null, 2)}\n`);
  } else {
    const lines = [...texts];
    lines.push(
      `memory: about ${gb(memory.memory_bytes)}, at most ${gb(memory.memory_bytes_at_most)}, with ${threads} threads`,
    );
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
