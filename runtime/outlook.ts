/**
 * What `run` would refuse, found out beforehand and in the order in which it would meet it. `plan`, `status` and
 * `validate --online` have their judgement from here, so that none says OK where the run would not. It takes no lock and
 * writes nothing. It must never take "could not look" for "all is well".
 */
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { chainKey } from '../actors/bronze/names.ts';
import { fileError } from '../actors/files.ts';
import type { LakeLayout } from '../actors/ports/source.ts';
import { compareNeighbours } from '../actors/sequencer/check-neighbours.ts';
import { committedEnds, compareLake } from '../actors/source/compare-lake.ts';
import { openLakeFor } from '../actors/source/open-lake.ts';
import { networkPassphrase } from '../config/networks.ts';
import type { EraConfig } from '../config/schema.ts';
import { behindText, lakeBehind } from '../machines/dispatch.ts';
import { BronzeError, type Failure, fromFailure, toFailure } from '../machines/errors.ts';
import { lastLedger, MAX_LEDGER } from '../machines/partitions.ts';
import { type Context, neighboursOf } from './context.ts';
import { buildUnwritten } from './estimate.ts';
import { megabytes } from './human.ts';
import { newNames } from './new-names.ts';
import { type EraSurvey, surveyEra } from './survey-era.ts';

export interface Outlook {
  readonly survey: EraSurvey;
  /** Null where the lake could not be opened, or is of another network. */
  readonly lake: LakeLayout | null;
  /** Highest ledger in the lake; null where that is not known, or it is empty. */
  readonly head: number | null;
  /** Committed ledgers that the lake does not reach to: it was reset, cut, or is another one; null = not known. */
  readonly beyond: number | null;
  /** Why a run would refuse to begin; in `surveyEra`'s `failure` as well where it is about Bronze. */
  readonly refusals: readonly Failure[];
  /** A copier that is, or may be, at work: a second one is refused as long as it is. */
  readonly busy: Failure | null;
  /** Names that are new beside older ones of nearly the same name; sentences. */
  readonly notices: readonly string[];
}

const BEHIND_PAGE = 'docs/runbook.md, "The lake was reset or is behind"';

const never = new AbortController().signal;

/** What a failure of `attempt` is; null where it succeeds. INTERNAL is a bug and thrown. */
export async function failureOf(attempt: () => Promise<unknown>): Promise<Failure | null> {
  try {
    await attempt();
    return null;
  } catch (error) {
    const failure = toFailure(error);
    if (failure.code === 'INTERNAL') throw error;
    return failure;
  }
}

/** What keeps the catalog from being used; a passing failure is none where the catalog is lenient: rows wait for it. */
export async function catalogRefusal({ catalog, config }: Context): Promise<Failure | null> {
  if (catalog === null) return null;
  const failure = await failureOf(() => catalog.probe(never));
  return failure?.retryable && !config.catalog.strict ? null : failure;
}

/** The first folder on the way up that is there has to let something be written into it. */
async function assertWritable(area: 'store' | 'state', folder: string): Promise<void> {
  for (let at = folder; ; at = dirname(at)) {
    try {
      await access(at, constants.W_OK | constants.X_OK);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT' && dirname(at) !== at) continue;
      throw fileError(area, 'write to', at, error);
    }
  }
}

/** Whether what a run writes to on this machine can be written to at all; of buckets only a run finds that out. */
export async function writeRefusals({ config, storeSpec }: Context): Promise<Failure[]> {
  const places: (readonly ['store' | 'state', string])[] = [
    ...(storeSpec.backend === 'local' ? [['store', storeSpec.root] as const] : []),
    ['state', resolve(config.checkpoint.dir)],
    ...(config.pas.enabled ? [['state', resolve(config.pas.backup_dir)] as const] : []),
  ];
  const found = await Promise.all(places.map(([area, folder]) => failureOf(() => assertWritable(area, folder))));
  return found.filter((failure) => failure !== null);
}

/** That there is less room than is needed, bytes; null where there is enough, or nobody knows how much there is. */
export function roomRefusal(uri: string, needed: number, free: number | null): Failure | null {
  if (free === null || needed <= free) return null;
  const message = `about ${megabytes(needed)} are to be written to ${uri}, and ${megabytes(free)} are free`;
  return { code: 'STORE_FULL', message, retryable: true, object: uri, hint: 'make room, or copy less with --to' };
}

/**
 * The ledger that a run would begin with is read and checked, and has to link to what is there before it. Nothing is
 * looked at where there is nothing to copy, or the ledger is not expected yet.
 */
async function checkFirstLedger(
  context: Context,
  { era, chain, grid, recovered }: EraSurvey,
  layout: LakeLayout,
  head: number | null,
): Promise<void> {
  if (recovered === null) return;
  const ledger = recovered.frontier;
  const last = lastLedger(grid, null);
  if (ledger > last || (last === MAX_LEDGER && ledger > (head ?? 0))) return;
  const range = { start: ledger, end: ledger };
  const { ledgers, firstObject } = await buildUnwritten(context, era, layout, range);
  const { lastHash } = recovered;
  if (lastHash !== null && lastHash !== ledgers.previousHash) {
    throw new BronzeError(
      'LINK_BROKEN',
      `ledger ${ledger} of the lake does not follow ledger ${ledger - 1} in Bronze`,
      {
        details: {
          ledger,
          object: firstObject,
          check: 'previous_ledger_hash',
          expected: lastHash,
          found: ledgers.previousHash,
          hint: 'the lake is of another network, or of another history of it',
        },
      },
    );
  }
  const others = neighboursOf(context.config, era);
  // Only the side before it: what the era ends with is not known yet.
  const before = others.filter(({ ledgerEnd }) => ledgerEnd !== null && ledgerEnd < ledger);
  await compareNeighbours({ store: context.store, chain, others: before }, { range, ledgers });
}

/**
 * Holds the lake against what is committed, as a run does. A finished era opens no lake, so that nothing is read for it.
 * Throws LAKE_CONTRADICTS, SOURCE_*.
 */
async function ledgersBeyond(
  { source, log }: Context,
  { facts, recovered, grid }: EraSurvey,
  layout: LakeLayout,
): Promise<number | null> {
  if (facts === null || recovered === null) return null;
  if (recovered.frontier > lastLedger(grid, null)) return 0;
  const onUnreadable = ({ code, message }: Failure): void =>
    log.warn({ component: 'source', code, error: message }, 'a ledger of the lake could not be compared');
  const { behind } = await compareLake({ source, layout, onUnreadable }, committedEnds(facts), never);
  return behind === null ? 0 : recovered.frontier - 1 - (behind.head ?? grid.ledgerStart - 1);
}

function busyWith({ lock, chain }: EraSurvey): Failure | null {
  if (lock === null || lock.liveness === 'dead') return null;
  const message = `${chainKey(chain)} is being copied by ${lock.description}`;
  const hint = 'wait for it or stop it; what a run does then is decided anew';
  return { code: 'LOCK_HELD', message, retryable: false, object: lock.path, hint };
}

/** Looks at one era as a run would before it copies anything. Throws nothing that is known. */
export async function outlookOf(context: Context, era: EraConfig): Promise<Outlook> {
  const survey = await surveyEra(context, era);
  const { failure: unsound = null } = survey.log ?? {};
  const refusals = [survey.failure, unsound].filter((failure) => failure !== null);
  let lake: LakeLayout | null = null;
  let head: number | null = null;
  let beyond: number | null = null;
  const notes: string[] = [];
  const failure = await failureOf(async () => {
    const layout = await openLakeFor(
      context.source,
      { network: era.network, passphrase: networkPassphrase(context.config, era.network) },
      never,
    );
    lake = layout;
    head = (await context.source.head(layout, survey.recovered?.frontier ?? era.ledger_start, never, 0)).head;
    beyond = await ledgersBeyond(context, survey, layout);
    if (beyond === 0) await checkFirstLedger(context, survey, layout, head);
    else if (beyond !== null && survey.recovered !== null) {
      if (era.ledger_end !== null) throw fromFailure(lakeBehind(survey.recovered.frontier, head));
      notes.push(`${era.era_id}: lake behind: ${behindText(survey.recovered.frontier, head)} (${BEHIND_PAGE})`);
    }
  });
  if (failure !== null) refusals.push(failure);
  const notices =
    survey.begun || survey.failure !== null
      ? []
      : await newNames({ ...context, table: context.config.bronze.primary_table }, survey.chain);
  return { survey, lake, head, beyond, refusals, busy: busyWith(survey), notices: [...notices, ...notes] };
}
