/** `status`: per era what is committed, where the lake ends, who holds the lock. Reads only. */
import { countUndelivered } from '../../actors/audit/deliver.ts';
import { committedIn, missingRows } from '../../actors/catalog/recorder.ts';
import { lossText, readLosses } from '../../actors/commit/losses.ts';
import { chainKey } from '../../actors/paths.ts';
import { layoutNamedChains } from '../../actors/verify/chains.ts';
import { type Failure, toFailure } from '../../machines/errors.ts';
import { eraEnd, MAX_LEDGER } from '../../machines/partitions.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import { type Context, chainOf, openContext, openDelivery } from '../context.ts';
import { adoptionLines, type EraLook, lookAt, partitionsToMend } from '../look.ts';
import { type Answer, switchOption } from './answer.ts';

interface EraStatus {
  readonly era_id: string;
  readonly chain: string;
  readonly ledger_start: number;
  /** Null = unbounded. */
  readonly ledger_end: number | null;
  readonly last_committed_ledger: number | null;
  readonly partitions: number;
  readonly ledgers: number;
  readonly bytes: number;
  /** Ledgers between the era's start and its last partition that no sealed partition holds. */
  readonly gaps: readonly LedgerRange[];
  /** Ledgers that more than one sealed partition holds. */
  readonly overlaps: readonly LedgerRange[];
  readonly complete: boolean;
  readonly lake_head: number | null;
  readonly last_event: { readonly sequence: number; readonly event_hash: string } | null;
  readonly not_attested: number;
  /** Null: events go nowhere, or it is not known. */
  readonly undelivered_events: number | null;
  /** Null: no catalog is configured, or it cannot be asked now. */
  readonly pending_catalog_rows: number | null;
  readonly to_mend: number;
  /** Partitions of the old program that the next run adopts. */
  readonly to_adopt: number;
  /** What was given up of this chain, one line each. */
  readonly given_up: readonly string[];
  readonly lock: { readonly holder: string; readonly liveness: string } | null;
  readonly error: Record<string, unknown> | null;
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

/** How many rows the next run will write; null where the catalog cannot be asked. */
/** Null where they are not known; a failure where the next run would refuse to work for it. */
async function pendingRows(
  { catalog, config, log }: Context,
  { chain, facts, recovered }: EraLook,
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

async function losses({ store, log }: Context, { chain }: EraLook): Promise<string[]> {
  try {
    return (await readLosses({ store, chain })).map(lossText);
  } catch (error) {
    log.warn({ component: 'store', error: toFailure(error).message }, 'what was given up cannot be read');
    return [];
  }
}

async function undelivered({ store, config, log }: Context, { chain }: EraLook): Promise<number | null> {
  const delivery = openDelivery(config, chain);
  try {
    return delivery && (await countUndelivered({ store, chain, table: config.bronze.primary_table, ...delivery }));
  } catch (error) {
    log.warn({ component: 'audit', error: toFailure(error).message }, 'what is undelivered cannot be counted');
    return null;
  }
}

async function statusOf(context: Context, look: EraLook, head: number | null): Promise<EraStatus> {
  const { era, chain, grid, facts, recovered, failure, lock } = look;
  const sealed = (facts?.partitions ?? []).filter((found) => found.hasManifest && found.dataBytes !== null);
  const last = facts?.events.at(-1);
  const attested = new Set(facts?.events.map((event) => event.range.start));
  const frontier = recovered?.frontier ?? null;
  const pending = await pendingRows(context, look);
  const refused = failure ?? (typeof pending === 'object' ? pending : null);
  return {
    era_id: era.era_id,
    chain: chainKey(chain),
    ledger_start: era.ledger_start,
    ledger_end: era.ledger_end,
    last_committed_ledger: frontier === null || frontier === grid.ledgerStart ? null : frontier - 1,
    partitions: sealed.length,
    ledgers: sealed.reduce((sum, { range }) => sum + range.end - range.start + 1, 0),
    bytes: sealed.reduce((sum, found) => sum + (found.dataBytes ?? 0), 0),
    ...coverageOf(
      sealed.map(({ range }) => range),
      grid.ledgerStart,
    ),
    complete: frontier !== null && eraEnd(grid) !== MAX_LEDGER && frontier > eraEnd(grid),
    lake_head: head,
    last_event: last ? { sequence: last.sequence, event_hash: last.eventHash } : null,
    not_attested: context.config.pas.enabled ? sealed.filter(({ range }) => !attested.has(range.start)).length : 0,
    undelivered_events: facts && (await undelivered(context, look)),
    pending_catalog_rows: typeof pending === 'number' ? pending : null,
    to_mend: partitionsToMend(look),
    to_adopt: look.adoption?.ranges.length ?? 0,
    given_up: await losses(context, look),
    lock: lock ? { holder: lock.description, liveness: lock.liveness } : null,
    error: refused ? { ...refused } : null,
  };
}

async function headOf(context: Context, from: number): Promise<number | null> {
  const never = new AbortController().signal;
  try {
    const layout = await context.source.open(never);
    return (await context.source.head(layout, from, never, 0)).head;
  } catch (error) {
    context.log.debug({ component: 'source', error: toFailure(error).message }, 'the head of the lake is unknown');
    return null;
  }
}

/** Said once, below the eras: what no configuration can name, and so no era shows. */
const unnamed = (chain: string): string =>
  `note: ${chain} is a chain with a name that the layout uses for itself; no run looks at it (docs/errors.md, BRONZE_NAME)`;

function text(status: EraStatus, look: EraLook): string {
  const lines = [`${status.era_id} (${status.chain})`];
  const wanted = `${status.ledger_start} to ${status.ledger_end ?? 'the head'}`;
  lines.push(`  wanted: ledgers ${wanted}${status.complete ? '; complete' : ''}`);
  lines.push(
    `  committed: ${status.last_committed_ledger === null ? 'nothing' : `up to ledger ${status.last_committed_ledger}`}; ` +
      `${status.partitions} partitions, ${status.ledgers} ledgers, ${(status.bytes / 1e6).toFixed(1)} MB`,
  );
  lines.push(`  lake: ${status.lake_head === null ? 'head unknown' : `head at ledger ${status.lake_head}`}`);
  lines.push(
    `  audit: ${status.last_event ? `event ${status.last_event.sequence}, ${status.last_event.event_hash}` : 'no events'}` +
      (status.not_attested > 0 ? `; ${status.not_attested} partitions not attested yet` : ''),
  );
  for (const { start, end } of status.gaps) lines.push(`  gap: no partition holds ledgers ${start} to ${end}`);
  for (const { start, end } of status.overlaps) lines.push(`  overlap: ledgers ${start} to ${end} are held twice`);
  if (status.undelivered_events) lines.push(`  delivery: ${status.undelivered_events} events are not delivered yet`);
  if (status.pending_catalog_rows) lines.push(`  catalog: ${status.pending_catalog_rows} rows are pending`);
  lines.push(...adoptionLines(look));
  if (status.to_mend > 0) lines.push(`  the next run mends ${status.to_mend} partitions first`);
  for (const loss of status.given_up) lines.push(`  ${loss}`);
  lines.push(`  lock: ${status.lock ? `${status.lock.holder} (${status.lock.liveness})` : 'free'}`);
  if (status.error) lines.push(`  ${String(status.error.code)}: ${String(status.error.message)}`);
  return lines.join('\n');
}

export async function execute(answer: Answer): Promise<number> {
  const context = openContext(answer);
  const all: EraStatus[] = [];
  const texts: string[] = [];
  let hidden: readonly string[] = [];
  try {
    for (const era of context.eras) {
      const look = await lookAt(context, era);
      const head = await headOf(context, look.recovered?.frontier ?? era.ledger_start);
      const status = await statusOf(context, look, head);
      all.push(status);
      texts.push(text(status, look));
    }
    // Where the store cannot be read, each era has said so.
    hidden = await layoutNamedChains(context.store, context.eras.map(chainOf)).catch(() => []);
    texts.push(...hidden.map(unnamed));
  } finally {
    await context.catalog?.close();
  }
  if (switchOption(answer, 'json'))
    process.stdout.write(`${JSON.stringify({ eras: all, layout_named: hidden }, null, 2)}\n`);
  else process.stdout.write(`${texts.join('\n')}\n`);
  return all.some((status) => status.error !== null) ? 1 : 0;
}
