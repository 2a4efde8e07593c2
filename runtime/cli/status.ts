/** `status`: per era what is committed, where the lake ends, who holds the lock. Reads only. */

import { chainKey } from '../../actors/bronze/names.ts';
import { committedIn, missingRows } from '../../actors/catalog/recorder.ts';
import { lossText, readLosses } from '../../actors/chain/losses.ts';
import { countUndelivered } from '../../actors/endpoint/deliver.ts';
import { queueUri } from '../../actors/queue/connect.ts';
import { askQueue } from '../../actors/queue/readings.ts';
import { layoutNamedChains } from '../../actors/verify/chains.ts';
import { type Failure, toFailure } from '../../machines/errors.ts';
import { eraEnd, MAX_LEDGER } from '../../machines/partitions.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import { type AttestedAnchor, attestedAnchor } from '../anchors.ts';
import { type Context, chainOf, openContext, openDelivery, queueSpecOf } from '../context.ts';
import { counted, printable } from '../human.ts';
import { type Outlook, outlookOf } from '../outlook.ts';
import { print } from '../streams.ts';
import { adoptionLines, type EraSurvey, partitionsToMend } from '../survey-era.ts';
import { type CommandLine, switchOption } from './command-line.ts';

interface EraStatus {
  readonly era_id: string;
  readonly chain: string;
  readonly ledger_start: number;
  /** Null = unbounded. */
  readonly ledger_end: number | null;
  /** Null: nothing is, or it is not known, which `committed_known` tells apart. */
  readonly last_committed_ledger: number | null;
  /** Whether it could be told what is committed. Where it could not, `error` says why. */
  readonly committed_known: boolean;
  /** These and what follows: null where Bronze could not be looked at. */
  readonly partitions: number | null;
  readonly ledgers: number | null;
  readonly bytes: number | null;
  /** Ledgers between the era's start and its last partition that no sealed partition holds. */
  readonly gaps: readonly LedgerRange[] | null;
  /** Ledgers that more than one sealed partition holds. */
  readonly overlaps: readonly LedgerRange[] | null;
  readonly complete: boolean | null;
  /** Null: the lake is empty, or it is not known; then `error` says why. */
  readonly lake_head: number | null;
  /** Committed ledgers that the lake does not reach to: it was reset, cut, or is another one; null = not known. */
  readonly lake_behind_ledgers: number | null;
  readonly last_event: { readonly sequence: number; readonly event_hash: string } | null;
  /** Who vouches for it, as far as events say; null: they do not, or nobody knows the validators. */
  readonly anchor: AttestedAnchor | null;
  /** Null: nothing is signed, or it could not be looked at. */
  readonly signed_head: {
    /** Of how many events the newest head is; these are null where there is none. */
    readonly size: number | null;
    readonly origin: string | null;
    readonly root: string | null;
    /** Whether it is signed by the key and is of the events that are there; `errors` says why not. */
    readonly fits: boolean;
  } | null;
  readonly not_attested: number | null;
  /** Null: events go nowhere, or it is not known. */
  readonly undelivered_events: number | null;
  /** Null: no catalog is configured, or it cannot be asked now. */
  readonly pending_catalog_rows: number | null;
  readonly to_mend: number | null;
  /** Partitions of the old program that the next run adopts. */
  readonly to_adopt: number;
  /** What was given up of this chain, one line each. */
  readonly given_up: readonly string[];
  readonly lock: { readonly holder: string; readonly liveness: string } | null;
  readonly notices: readonly string[];
  /** Why the next run would refuse, or why something could not be told: the first reason. */
  readonly error: Record<string, unknown> | null;
  /** All of them, in the order in which a run would meet them. */
  readonly errors: readonly Failure[];
}

/** What sealed partitions leave out from `start` on, and what they hold twice. `ranges` in order. */
export function coverageOf(
  ranges: readonly LedgerRange[],
  start: number,
): { gaps: readonly LedgerRange[]; overlaps: readonly LedgerRange[] } {
  const gaps: LedgerRange[] = [];
  const overlaps: LedgerRange[] = [];
  let next = start;
  for (const range of ranges) {
    if (range.start > next) gaps.push({ start: next, end: range.start - 1 });
    if (range.start < next) overlaps.push({ start: range.start, end: Math.min(range.end, next - 1) });
    next = Math.max(next, range.end + 1);
  }
  return { gaps, overlaps };
}

/** Null where they are not known; a failure where the next run would refuse to work for it. */
async function pendingRows(
  { catalog, config, log }: Context,
  { chain, facts, recovered }: EraSurvey,
): Promise<number | Failure | null> {
  if (catalog === null || facts === null || recovered === null) return null;
  try {
    const rows = await catalog.rows({ domain: config.catalog.namespace, dataset: config.bronze.primary_table, chain });
    return rows && missingRows(committedIn(chain, facts, recovered), rows).length;
  } catch (error) {
    const failure = toFailure(error);
    log.warn({ component: 'catalog', code: failure.code, error: failure.message }, 'the catalog cannot be asked');
    return failure.retryable ? null : failure;
  }
}

async function losses({ store, log }: Context, { chain }: EraSurvey): Promise<string[]> {
  try {
    return (await readLosses({ store, chain })).map(lossText);
  } catch (error) {
    log.warn({ component: 'store', error: toFailure(error).message }, 'what was given up cannot be read');
    return [];
  }
}

async function undelivered({ store, config, log }: Context, { chain }: EraSurvey): Promise<number | null> {
  const delivery = openDelivery(config, chain);
  try {
    return delivery && (await countUndelivered({ store, chain, table: config.bronze.primary_table, ...delivery }));
  } catch (error) {
    log.warn({ component: 'audit', error: toFailure(error).message }, 'what is undelivered cannot be counted');
    return null;
  }
}

async function statusOf(context: Context, { survey, head, beyond, refusals, notices }: Outlook): Promise<EraStatus> {
  const { era, chain, grid, facts, recovered, lock } = survey;
  const sealed = facts?.partitions.filter((found) => found.hasManifest && found.dataBytes !== null) ?? null;
  const last = facts?.events.at(-1);
  const attested = new Set(facts?.events.map((event) => event.range.start));
  const frontier = recovered?.frontier ?? null;
  const pending = await pendingRows(context, survey);
  const errors = [...refusals, ...(pending !== null && typeof pending === 'object' ? [pending] : [])];
  const coverage =
    sealed &&
    coverageOf(
      sealed.map(({ range }) => range),
      grid.ledgerStart,
    );
  return {
    era_id: era.era_id,
    chain: chainKey(chain),
    ledger_start: era.ledger_start,
    ledger_end: era.ledger_end,
    last_committed_ledger: frontier === null || frontier === grid.ledgerStart ? null : frontier - 1,
    committed_known: recovered !== null,
    partitions: sealed?.length ?? null,
    ledgers: sealed?.reduce((sum, { range }) => sum + range.end - range.start + 1, 0) ?? null,
    bytes: sealed?.reduce((sum, found) => sum + (found.dataBytes ?? 0), 0) ?? null,
    gaps: coverage?.gaps ?? null,
    overlaps: coverage?.overlaps ?? null,
    complete: frontier === null ? null : eraEnd(grid) !== MAX_LEDGER && frontier > eraEnd(grid),
    lake_head: head,
    lake_behind_ledgers: beyond,
    last_event: last ? { sequence: last.sequence, event_hash: last.eventHash } : null,
    anchor: facts && attestedAnchor(context.config, chain, facts.events),
    signed_head: survey.log && {
      size: null,
      origin: null,
      root: null,
      ...survey.log.newest,
      fits: survey.log.newest !== null && survey.log.failure === null,
    },
    not_attested:
      sealed && (context.config.pas.enabled ? sealed.filter(({ range }) => !attested.has(range.start)).length : 0),
    undelivered_events: facts && (await undelivered(context, survey)),
    pending_catalog_rows: typeof pending === 'number' ? pending : null,
    to_mend: recovered === null ? null : partitionsToMend(survey),
    to_adopt: survey.adoption?.ranges.length ?? 0,
    given_up: await losses(context, survey),
    lock: lock ? { holder: lock.description, liveness: lock.liveness } : null,
    notices,
    error: errors[0] ? { ...errors[0] } : null,
    errors,
  };
}

/** What is there is told even where it cannot be told what of it is committed. */
function committedText({ committed_known, last_committed_ledger, partitions, ledgers, bytes }: EraStatus): string {
  const upTo = last_committed_ledger === null ? 'nothing' : `up to ledger ${last_committed_ledger}`;
  const committed = `  committed: ${committed_known ? upTo : 'not known'}`;
  if (partitions === null) return committed;
  const there = `${counted(partitions, 'partition')}, ${counted(ledgers ?? 0, 'ledger')}, ${((bytes ?? 0) / 1e6).toFixed(1)} MB`;
  return `${committed}; ${there}`;
}

/** Said once, below the eras: what no configuration can name, and so no era shows. */
const unnamed = (chain: string): string =>
  `note: ${chain} is a chain with a name that the layout uses for itself; no run looks at it (docs/errors.md, BRONZE_NAME)`;

function auditText({ last_event: last, partitions, not_attested: waiting }: EraStatus): string {
  if (last === null && partitions === null) return '  audit: not known';
  const said = last ? `event ${last.sequence}, ${last.event_hash}` : 'no events';
  return `  audit: ${said}${waiting ? `; ${counted(waiting, 'partition')} not attested yet` : ''}`;
}

function signedText({ signed_head: head, last_event: last }: EraStatus, isRefused: boolean): string[] {
  if (head === null) return [];
  if (head.size === null) return [`  signed: ${isRefused ? 'no head that can be used' : 'nothing yet'}`];
  if (!head.fits) return [`  signed: the newest head is of ${counted(head.size, 'event')}, and cannot be gone on from`];
  const bare = (last === null ? 0 : last.sequence + 1) - head.size;
  const after = bare > 0 ? `; the last ${counted(bare, 'event')} under no head yet` : '';
  return [`  signed: up to event ${head.size - 1}, the newest head fits${after}; log ${head.origin}`];
}

function text(status: EraStatus, { survey, lake }: Outlook): string {
  const lines = [`${status.era_id} (${status.chain})`];
  const wanted = `${status.ledger_start} to ${status.ledger_end ?? 'the head'}`;
  lines.push(`  wanted: ledgers ${wanted}${status.complete ? '; complete' : ''}`, committedText(status));
  const head = status.lake_head === null ? (lake === null ? 'head not known' : 'empty') : null;
  lines.push(
    `  lake: ${head ?? `head at ledger ${status.lake_head}`}`,
    auditText(status),
    ...signedText(status, survey.log?.failure != null),
  );
  const { anchor } = status;
  if (anchor !== null) {
    const to = anchor.vouched_to_at_least;
    const who = anchor.organisations.join(', ') || 'nobody known has signed';
    const said = to === null ? 'no quorum, by the events' : `at least up to ledger ${to}, by the events`;
    lines.push(`  vouched for: ${said} (${who}; quorum ${anchor.quorum})`);
  }
  for (const { start, end } of status.gaps ?? []) lines.push(`  gap: no partition holds ledgers ${start} to ${end}`);
  for (const { start, end } of status.overlaps ?? [])
    lines.push(`  overlap: ledgers ${start} to ${end} are held twice`);
  if (status.undelivered_events) {
    const are = status.undelivered_events === 1 ? 'is' : 'are';
    lines.push(`  delivery: ${counted(status.undelivered_events, 'event')} ${are} not delivered yet`);
  }
  if (status.pending_catalog_rows) lines.push(`  catalog: ${counted(status.pending_catalog_rows, 'row')} pending`);
  lines.push(...status.notices.map((notice) => `  note: ${notice}`), ...adoptionLines(survey));
  if (status.to_mend) lines.push(`  the next run mends ${counted(status.to_mend, 'partition')} first`);
  for (const loss of status.given_up) lines.push(`  ${loss}`);
  lines.push(`  lock: ${status.lock ? `${status.lock.holder} (${status.lock.liveness})` : 'free'}`);
  for (const { code, message } of status.errors) lines.push(`  ${code}: ${message}`);
  return lines.map(printable).join('\n');
}

interface QueueStatus {
  readonly url: string;
  /** Null where it cannot be reached; `error` says why. */
  readonly waiting: number | null;
  readonly active: number | null;
  /** Null as well where the server does not tell its connections. */
  readonly workers: readonly string[] | null;
  readonly error: Failure | null;
}

/** Null where no remote workers build. */
async function queueStatus({ config, storeSpec, sourceSpec }: Context): Promise<QueueStatus | null> {
  const spec = queueSpecOf(config);
  if (spec === null) return null;
  const url = queueUri(spec);
  try {
    return { url, ...(await askQueue(spec, storeSpec, sourceSpec)), error: null };
  } catch (error) {
    return { url, waiting: null, active: null, workers: null, error: toFailure(error) };
  }
}

function queueText({ url, waiting, active, workers, error }: QueueStatus): string {
  if (error !== null) return `queue ${url}: ${error.code}: ${error.message}`;
  const who = workers?.length ? ` (${workers.join(', ')})` : '';
  const there = workers === null ? 'workers not known' : `${counted(workers.length, 'worker')}${who}`;
  return `queue ${url}: ${counted(waiting ?? 0, 'task')} waiting, ${active} being built, ${there}`;
}

export async function execute(commandLine: CommandLine): Promise<number> {
  const context = openContext(commandLine);
  const all: EraStatus[] = [];
  const texts: string[] = [];
  let hidden: readonly string[] = [];
  let queue: QueueStatus | null = null;
  try {
    for (const era of context.eras) {
      const outlook = await outlookOf(context, era);
      const status = await statusOf(context, outlook);
      all.push(status);
      texts.push(text(status, outlook));
    }
    // Where the store cannot be read, each era has said so.
    hidden = await layoutNamedChains(context.store, context.eras.map(chainOf)).catch(() => []);
    texts.push(...hidden.map(unnamed).map(printable));
    queue = await queueStatus(context);
    if (queue !== null) texts.push(printable(queueText(queue)));
  } finally {
    await context.catalog?.close();
  }
  if (switchOption(commandLine, 'json'))
    await print(`${JSON.stringify({ eras: all, layout_named: hidden, queue }, null, 2)}\n`);
  else await print(`${texts.join('\n')}\n`);
  // An outage is waited for; what refuses, or is no queue, refuses a run as well.
  const isRefused = queue?.error?.retryable === false;
  return isRefused || all.some((status) => status.error !== null) ? 1 : 0;
}
