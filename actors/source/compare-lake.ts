/**
 * Whether a lake still is the one that Bronze was copied from: ledgers at the edges of committed partitions are read from
 * it and their header hashes held against what Bronze says. It must never take a ledger that cannot be read for one that
 * agrees, nor a lake that lost old ledgers for another one.
 */
import { BronzeError, toFailure } from '../../machines/errors.ts';
import { rangeLabel } from '../../machines/partitions.ts';
import type { EraFacts, LakeCompared, LedgerEnds, LedgerRange } from '../../machines/protocol.ts';
import { checkBatch } from '../check/batch.ts';
import { LedgerChecker, type LedgerFacts } from '../check/ledger-checker.ts';
import type { LakeLayout, LakeSource } from '../ports/source.ts';
import { Arena, FrameDecompressor } from '../zstd.ts';

/** A committed partition, as far as Bronze says of its first and its last ledger. */
export interface Committed {
  readonly range: LedgerRange;
  readonly ledgers: Pick<LedgerEnds, 'firstHash' | 'lastHash'>;
}

/** What events and manifests say of the partitions that are there, in ledger order, each once. */
export function committedEnds(facts: Pick<EraFacts, 'events' | 'partitions'>): Committed[] {
  const sealed = facts.partitions.flatMap(({ manifest }) => (manifest === null ? [] : [manifest]));
  const ends = new Map([...sealed, ...facts.events].map(({ range, ledgers }) => [range.start, { range, ledgers }]));
  return [...ends.values()].sort((a, b) => a.range.start - b.range.start);
}

interface Lake {
  readonly source: Pick<LakeSource, 'uri' | 'read' | 'head'>;
  readonly layout: LakeLayout;
  /** Told of a ledger that is there and cannot be used, so that it was not compared. */
  readonly onUnreadable: (failure: ReturnType<typeof toFailure>) => void;
}

/** What says that an object is there and is not what it should be; copying it again is not asked for. */
const isContent = (code: string): boolean =>
  /^(?:OBJECT_|BATCH_|XDR_|TX_SET_|RESULT_|LEDGER_SEQUENCE|LEDGER_HASH|PROTOCOL_)/.test(code);

/** Hash of a ledger's header as the lake has it; `there` without one: it cannot be used. Throws SOURCE_*, CANCELLED. */
async function hashAt(
  lake: Lake,
  ledger: number,
  signal: AbortSignal,
): Promise<{ there: boolean; hash: string | null }> {
  const only = { start: ledger, end: ledger };
  const checker = new LedgerChecker({ results: false });
  const frames = new FrameDecompressor();
  const arena = new Arena();
  let hash: string | null = null;
  const take = (facts: LedgerFacts): void => {
    hash = facts.ledgerHash;
  };
  try {
    for await (const objects of lake.source.read(lake.layout, only, signal)) {
      for (const { key, bytes, named } of objects) {
        arena.reset();
        const extent = frames.decompressInto(arena, bytes, key);
        checkBatch(arena.bytes, extent, named, checker, take, { object: key, only });
      }
    }
  } catch (error) {
    const failure = toFailure(error);
    if (failure.code === 'LEDGER_MISSING') return { there: false, hash: null };
    if (!isContent(failure.code)) throw error;
    lake.onUnreadable(failure);
    return { there: true, hash: null };
  }
  return { there: hash !== null, hash };
}

/** Whether the lake has that ledger. Throws LAKE_CONTRADICTS where it is another one. */
async function compareAt(
  lake: Lake,
  { range, ledgers }: Committed,
  edge: 'start' | 'end',
  signal: AbortSignal,
): Promise<boolean> {
  const ledger = range[edge];
  const expected = edge === 'start' ? ledgers.firstHash : ledgers.lastHash;
  const { there, hash } = await hashAt(lake, ledger, signal);
  if (hash === null || hash === expected) return there;
  const { uri } = lake.source;
  throw new BronzeError(
    'LAKE_CONTRADICTS',
    `ledger ${ledger} has the hash ${hash} in the lake ${uri}, and ${expected} in Bronze (partition ${rangeLabel(range)})`,
    {
      details: {
        ledger,
        ...range,
        object: uri,
        check: 'ledger_hash',
        expected,
        found: hash,
        hint: 'another network, or one that was reset: docs/runbook.md, "The lake was reset or is behind"; nothing was written',
      },
    },
  );
}

/** The last partition that begins at or before a ledger. */
function lastUpTo(committed: readonly Committed[], ledger: number): Committed | null {
  let found: Committed | null = null;
  for (const one of committed) if (one.range.start <= ledger) found = one;
  return found;
}

/** The first partition whose first ledger the lake still has; everything before it is gone from there. */
async function compareFirst(lake: Lake, committed: readonly Committed[], signal: AbortSignal): Promise<void> {
  // The last one of them is known to be there.
  let [low, high] = [1, committed.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (await compareAt(lake, committed[middle] as Committed, 'start', signal)) high = middle;
    else low = middle + 1;
  }
  if (low < committed.length) await compareAt(lake, committed[low] as Committed, 'start', signal);
}

/**
 * Compares the first ledger of Bronze that the lake still has, and the last edge of a partition that both have: a lake
 * may have been made anew, or have left ours on the way. Two reads, where the lake has both ends; a listing where it
 * ends before. `committed`: all partitions that are, in ledger order; nothing is read for none.
 * Throws LAKE_CONTRADICTS, SOURCE_*, CANCELLED.
 */
export async function compareLake(
  lake: Lake,
  committed: readonly Committed[],
  signal: AbortSignal,
): Promise<LakeCompared> {
  const [first, last] = [committed[0], committed.at(-1)];
  if (first === undefined || last === undefined) return { behind: null };
  const hasFirst = await compareAt(lake, first, 'start', signal);
  if (await compareAt(lake, last, 'end', signal)) {
    if (!hasFirst) await compareFirst(lake, committed, signal);
    return { behind: null };
  }
  const { head } = await lake.source.head(lake.layout, last.range.end + 1, signal, 0);
  const shared = head === null ? null : lastUpTo(committed, head);
  if (shared !== null) {
    const edge = shared.range.end <= (head as number) ? 'end' : 'start';
    if ((await compareAt(lake, shared, edge, signal)) && !hasFirst) {
      await compareFirst(lake, committed.slice(0, committed.indexOf(shared) + 1), signal);
    }
  }
  return { behind: head === null || head < last.range.end ? { head } : null };
}
