/**
 * `plan`: what `run` would do, touching nothing. Counts are computed from sequences; bytes and time are estimated from
 * a few real ledgers that are read, checked and compressed here, and labelled so.
 */

import { availableParallelism } from 'node:os';
import { chainKey } from '../../actors/bronze/names.ts';
import { fileCount } from '../../actors/source/keys.ts';
import type { AdoptedRecord } from '../../actors/version-1/adoption.ts';
import { lakeBehind } from '../../machines/dispatch.ts';
import { type Failure, toFailure } from '../../machines/errors.ts';
import { countPartitions, lastLedger, MAX_LEDGER } from '../../machines/partitions.ts';
import { type Context, openContext } from '../context.ts';
import { type Estimate, estimateCopy, estimateMemory, type Lanes, type ThreadNeeds } from '../estimate.ts';
import { counted, printable } from '../human.ts';
import { catalogRefusal, type Outlook, outlookOf, roomRefusal, writeRefusals } from '../outlook.ts';
import { print } from '../streams.ts';
import { adoptionLines, type EraSurvey, partitionsToMend } from '../survey-era.ts';
import { type CommandLine, ledgerOption, switchOption } from './command-line.ts';

interface EraPlan {
  readonly era_id: string;
  readonly chain: string;
  readonly from_ledger: number | null;
  /** Null = follows the head of the lake. */
  readonly to_ledger: number | null;
  /** Null: it could not be told. */
  readonly partitions_there: number | null;
  readonly partitions_to_copy: number | null;
  readonly partitions_to_mend: number | null;
  /** Partitions of the old program that the next run takes over; null where there is nothing to adopt. */
  readonly to_adopt: (AdoptedRecord & { readonly warnings: readonly string[] }) | null;
  readonly ledgers: number | null;
  readonly source_objects: number | null;
  /** GETs to the source, one an object; a local disk has none to pay for. */
  readonly requests: number | null;
  /** Estimated from a sample of real ledgers; null where none could be read. */
  readonly estimate: Estimate | null;
  readonly staging_bytes_at_most: number | null;
  /** Names that are new beside older ones of nearly the same name. */
  readonly notices: readonly string[];
  /** Why a run would refuse, or end before it has copied all of this: the first reason. */
  readonly error: Record<string, unknown> | null;
  /** All of them, in the order in which a run would meet them. */
  readonly errors: readonly Failure[];
}

const never = new AbortController().signal;

interface PlannedEra {
  readonly plan: EraPlan;
  /** Null where nothing could be sampled. */
  readonly needs: ThreadNeeds | null;
}

async function planEra(
  context: Context,
  outlook: Outlook,
  stopAfter: number | null,
  once: boolean,
  lanes: Lanes,
): Promise<PlannedEra> {
  const { survey, lake: layout, notices } = outlook;
  const { era, chain, grid, recovered, facts, adoption } = survey;
  const errors = [...(outlook.busy ? [outlook.busy] : []), ...outlook.refusals];
  const planned = (more: Partial<EraPlan>, needs: ThreadNeeds | null = null): PlannedEra => {
    const plan: EraPlan = {
      era_id: era.era_id,
      chain: chainKey(chain),
      from_ledger: null,
      to_ledger: null,
      partitions_there: facts?.partitions.filter((found) => found.hasManifest).length ?? null,
      partitions_to_copy: null,
      partitions_to_mend: recovered === null ? null : partitionsToMend(survey),
      to_adopt: adoption && { ...adoption.record, warnings: adoption.warnings },
      ledgers: null,
      source_objects: null,
      requests: null,
      estimate: null,
      staging_bytes_at_most: null,
      notices,
      error: errors[0] ? { ...errors[0] } : null,
      errors,
      ...more,
    };
    return { plan, needs };
  };
  if (recovered === null) return planned({});
  const from = recovered.frontier;
  let last = lastLedger(grid, stopAfter);
  const nothing = { partitions_to_copy: 0, ledgers: 0, source_objects: 0, requests: 0 };
  if (from > last) return planned(nothing);
  if (layout === null) return planned({ from_ledger: from });
  try {
    const follows = last === MAX_LEDGER;
    if (outlook.beyond) {
      // Of an era with an end it is said already, and one that follows its lake waits.
      if (once && era.ledger_end === null) errors.push(lakeBehind(from, outlook.head));
      return planned({ ...nothing, from_ledger: from });
    }
    if (follows) {
      const head = await context.source.head(layout, from, never);
      last = Math.max(from - 1, head.contiguousTo);
      // Whole partitions only.
      while (last >= from && last < MAX_LEDGER && (last + 1 - grid.origin) % grid.size !== 0) last -= 1;
    }
    if (last < from) return planned({ ...nothing, from_ledger: from });
    const range = { start: from, end: last };
    const objects = fileCount(layout, range);
    const counts = {
      from_ledger: from,
      to_ledger: follows && !once ? null : last,
      partitions_to_copy: countPartitions(grid, from, last),
      ledgers: last - from + 1,
      source_objects: objects,
      requests: objects,
    };
    const built = recovered.agenda.filter(({ kind }) => kind === 'restore' || kind === 'copy').length;
    const { estimate, needs, failure } = await sampled(context, era, layout, grid, range, lanes, built);
    // The first ledger may be what cannot be read: that is said already.
    if (failure && !errors.some(({ code, ledger }) => code === failure.code && ledger === failure.ledger)) {
      errors.push(failure);
    }
    const staging = estimate?.staging_bytes_at_most ?? null;
    return planned({ ...counts, estimate, staging_bytes_at_most: staging }, needs);
  } catch (error) {
    errors.push(toFailure(error));
    return planned({ from_ledger: from });
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

/** `33.3 MB (30.1 to 36.0 MB)`; one figure where the interval is nothing. */
const between = (likely: number, low: number, high: number): string =>
  gb(low) === gb(high) ? gb(likely) : `${gb(likely)} (${gb(low)} to ${gb(high)})`;

function text(plan: EraPlan, survey: EraSurvey): string {
  const lines = [
    `${plan.era_id} (${plan.chain})`,
    `  there already: ${plan.partitions_there === null ? 'not known' : counted(plan.partitions_there, 'partition')}`,
  ];
  lines.push(...plan.notices.map((notice) => `  note: ${notice}`), ...adoptionLines(survey));
  if (plan.partitions_to_mend) lines.push(`  to mend first: ${counted(plan.partitions_to_mend, 'partition')}`);
  if (plan.partitions_to_copy === 0) lines.push('  to copy: nothing');
  else if (plan.partitions_to_copy === null) lines.push('  to copy: not known');
  else {
    lines.push(
      `  to copy: ${counted(plan.partitions_to_copy, 'partition')}, ledgers ${plan.from_ledger} to ${plan.to_ledger ?? 'the head, and on'}, from ${counted(plan.source_objects ?? 0, 'object')}`,
    );
  }
  if (plan.estimate) {
    const guess = plan.estimate;
    lines.push(
      `  estimated from ${counted(guess.sampled_ledgers, 'ledger')}: ${gb(guess.source_bytes)} read, ` +
        `${between(guess.raw_bytes, guess.raw_bytes_low, guess.raw_bytes_high)} raw, ` +
        `${between(guess.bronze_bytes, guess.bronze_bytes_low, guess.bronze_bytes_high)} written, about ${guess.seconds} s`,
      `  staging: at most ${gb(guess.staging_bytes_at_most)} at once, partitions of up to ${gb(guess.partition_bytes_at_most)}`,
    );
  }
  for (const { code, message } of plan.errors) lines.push(`  ${code}: ${message}`);
  return lines.map(printable).join('\n');
}

/** What is needed besides: room for it, a catalog, folders that can be written to. */
async function besides(context: Context, needed: number, free: number | null): Promise<Failure[]> {
  const catalog = await catalogRefusal(context);
  const room = roomRefusal(context.store.uri, needed, free);
  return [...(await writeRefusals(context)), ...(catalog === null ? [] : [catalog]), ...(room === null ? [] : [room])];
}

export async function execute(commandLine: CommandLine): Promise<number> {
  const context = openContext(commandLine);
  const stopAfter = ledgerOption(commandLine, 'to');
  const once = switchOption(commandLine, 'once');
  const eras: EraPlan[] = [];
  const needs: ThreadNeeds[] = [];
  const texts: string[] = [];
  const cores = availableParallelism();
  const threads = context.config.perf.threads || cores;
  const lanes = { threads: Math.min(threads, context.config.perf.workers), cores };
  for (const era of context.eras) {
    const outlook = await outlookOf(context, era);
    const planned = await planEra(context, outlook, stopAfter, once, lanes);
    eras.push(planned.plan);
    if (planned.needs) needs.push(planned.needs);
    texts.push(text(planned.plan, outlook.survey));
  }
  const buckets = [context.sourceSpec.mode, context.storeSpec.backend].filter((where) => where !== 'local').length;
  const memory = estimateMemory(needs, threads, buckets);
  // What keeps these from being known is among the eras' errors.
  const free = await context.store.freeBytes().catch(() => null);
  const conditions = await context.store.conditions().catch(() => null);
  const needed = eras.reduce((sum, era) => sum + (era.estimate?.bronze_bytes ?? 0), 0);
  const atMost = eras.reduce((sum, era) => sum + (era.estimate?.bronze_bytes_high ?? 0), 0);
  const errors = await besides(context, needed, free).finally(() => context.catalog?.close());
  if (switchOption(commandLine, 'json')) {
    const whole = { eras, ...memory, free_bytes: free, store_enforces: conditions, errors };
    await print(`${JSON.stringify(whole, null, 2)}\n`);
  } else {
    const lines = [...texts];
    lines.push(
      `memory: about ${gb(memory.memory_bytes)}, at most ${gb(memory.memory_bytes_at_most)}, with ${counted(threads, 'thread')}`,
    );
    lines.push(
      `free in ${context.store.uri}: ${free === null ? 'no limit known' : gb(free)}${free === null || atMost <= free ? '' : needed > free ? ': NOT ENOUGH' : ': perhaps not enough'}`,
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
    lines.push(...errors.map(({ code, message }) => `${code}: ${message}`));
    await print(`${lines.join('\n')}\n`);
  }
  return errors.length > 0 || eras.some((era) => era.error !== null) ? 1 : 0;
}
