/**
 * What recovery decides from what is durable: where the contiguous prefix of an era ends, and what has to be mended
 * before anything new is committed. Pure: the facts are read elsewhere (survey), the mending is done by the sequencer.
 *
 * The rules (contract, sections 5 and 6):
 * - The audit chain tells what was promised. Events are in ledger order without a gap; the first starts the era.
 * - After the attested prefix, sealed partitions that follow without a gap are taken over, once verified.
 * - A partition that is published but not sealed is nothing yet: it is built again and met when it is published.
 * - An attested partition whose data is gone is built again; one whose manifest is gone gets it again from what is there.
 *   Either has to come out as it was attested.
 * - The checkpoint decides nothing. Where it is behind, it is written again.
 * - What is remembered outside of Bronze mends nothing and is never overwritten. Where it contradicts, nothing is done.
 */
import type { Failure } from './errors.ts';
import { type Contradiction, contradictionFailure, contradictionsOf } from './evidence.ts';
import { cellEnd, eraEnd, partitionAt, rangeLabel, sameRange } from './partitions.ts';
import type {
  AgendaItem,
  AttestedEvent,
  EraFacts,
  FoundPartition,
  Grid,
  LedgerRange,
  Recovered,
  SealedPartition,
} from './protocol.ts';

export type Assessment = { readonly recovered: Recovered } | { readonly failure: Failure };

const refuse = (
  code: Failure['code'],
  message: string,
  details: Omit<Failure, 'code' | 'message' | 'retryable'>,
): Assessment => ({ failure: { code, message, retryable: false, ...details } });

const isSealed = (found: FoundPartition): boolean => found.hasManifest && found.dataBytes !== null;

/** What an event says of its partition, in the shape of a manifest's facts. */
const sealedOf = (event: AttestedEvent): SealedPartition => ({
  range: event.range,
  data: event.data,
  ledgers: event.ledgers,
  manifestSha256: event.manifestSha256,
  createdAt: event.timestamp,
});

/** All events in sequence, holes filled with what could be re-derived; or the reason why the chain cannot be used. */
function wholeChain(facts: EraFacts, grid: Grid): { events: AttestedEvent[]; refills: AgendaItem[] } | Assessment {
  const whole = new Set(facts.partitions.filter(isSealed).map((found) => rangeLabel(found.range)));
  const rederived = new Map(
    facts.rederived.filter((event) => whole.has(rangeLabel(event.range))).map((event) => [event.sequence, event]),
  );
  const stored = new Map(facts.events.map((event) => [event.sequence, event]));
  const last = Math.max(-1, ...stored.keys());
  const events: AttestedEvent[] = [];
  const refills: AgendaItem[] = [];
  for (let sequence = 0; sequence <= last; sequence++) {
    const event = stored.get(sequence) ?? rederived.get(sequence);
    if (!event) {
      return refuse('AUDIT_HOLE', `event ${sequence} of the audit chain is missing and cannot be re-derived`, {
        found: 'no event, and no whole partition from which the same event follows',
        hint: 'restore the event from a backup of _audit/ or of backup_dir, then run again',
      });
    }
    const before = events.at(-1);
    const expectedStart = before ? before.range.end + 1 : grid.ledgerStart;
    if (event.prevEventHash !== (before?.eventHash ?? null)) {
      return refuse('AUDIT_INVALID', `event ${sequence} of the audit chain does not name the event before it`, {
        ...event.range,
        check: 'prev_event_hash',
        expected: before?.eventHash ?? 'null',
        found: event.prevEventHash ?? 'null',
      });
    }
    if (event.range.start !== expectedStart) {
      return refuse(
        'AUDIT_INVALID',
        `event ${sequence} of the audit chain is for ledgers ${rangeLabel(event.range)}, but ledger ${expectedStart} comes next`,
        { ...event.range, check: 'ledger_start', expected: String(expectedStart), found: String(event.range.start) },
      );
    }
    if (!stored.has(sequence)) refills.push({ kind: 'refill', range: event.range, event });
    events.push(event);
  }
  return { events, refills };
}

/** Sealed partitions that follow `frontier` without a gap. */
function sealedPrefix(facts: EraFacts, grid: Grid, frontier: number): { sealed: SealedPartition[] } | Assessment {
  const byStart = new Map<number, FoundPartition[]>();
  for (const found of facts.partitions) {
    if (!isSealed(found) || found.range.start < frontier) continue;
    byStart.set(found.range.start, [...(byStart.get(found.range.start) ?? []), found]);
  }
  const sealed: SealedPartition[] = [];
  for (let next = frontier; ; ) {
    const here = byStart.get(next);
    if (!here) return { sealed };
    const [found] = here;
    if (!found?.manifest || here.length > 1 || found.range.end > cellEnd(grid, next)) {
      const ranges = here.map((other) => rangeLabel(other.range)).join(' and ');
      return refuse('PARTITION_OVERLAP', `partition ${ranges} does not fit the grid of this era`, {
        ledger: next,
        expected: `one partition from ledger ${next}, ending at ${cellEnd(grid, next)} at the latest`,
        found: ranges,
        hint: 'somebody else wrote there; see docs/runbook.md, "Partitions overlap"',
      });
    }
    sealed.push(found.manifest);
    next = found.range.end + 1;
  }
}

const isThere = ({ dataBytes, hasManifest, isForeign }: FoundPartition): boolean =>
  dataBytes !== null || hasManifest || isForeign === true;

/** Two of these ranges that share ledgers, the one that `committed` does not hold last; null where none do. */
function sharing(facts: EraFacts, committed: readonly LedgerRange[]): [LedgerRange, LedgerRange] | null {
  const taken = new Set(committed.map(rangeLabel));
  const others = facts.partitions.filter((found) => isThere(found) && !taken.has(rangeLabel(found.range)));
  const ranges = [...committed, ...others.map(({ range }) => range)].sort((a, b) => a.start - b.start || a.end - b.end);
  let before: LedgerRange | null = null;
  for (const range of ranges) {
    if (before !== null && range.start <= before.end) {
      return taken.has(rangeLabel(range)) ? [range, before] : [before, range];
    }
    before = range;
  }
  return null;
}

/** A partition that lies before the era, or across what the grid would write from `frontier` on; null where none does. */
function obstacle(facts: EraFacts, grid: Grid, frontier: number): LedgerRange | null {
  for (const found of facts.partitions) {
    const { start, end } = found.range;
    if (!isThere(found) || (start >= grid.ledgerStart && end < frontier)) continue;
    // Its end may be one that an earlier `ledger_end` clipped, its start one that followed such an end.
    if (start >= frontier && start >= grid.ledgerStart && end <= cellEnd(grid, start)) continue;
    return found.range;
  }
  return null;
}

/** An unsealed partition that starts at `frontier` with another end than the grid gives: it is taken as it is. */
function clippedOrphan(facts: EraFacts, grid: Grid, frontier: number): LedgerRange | null {
  const regular = partitionAt(grid, frontier);
  if (!regular) return null;
  const orphan = facts.partitions.find(
    (found) =>
      found.dataBytes !== null &&
      !found.hasManifest &&
      found.range.start === frontier &&
      !sameRange(found.range, regular) &&
      found.range.end <= Math.min(cellEnd(grid, frontier), eraEnd(grid)),
  );
  return orphan?.range ?? null;
}

/** All that `assess` refuses as contradicting; none where the chain itself cannot be used. */
export function contradictionsIn(facts: EraFacts, grid: Grid): readonly Contradiction[] {
  const chain = wholeChain(facts, grid);
  return 'events' in chain ? contradictionsOf(facts, chain.events) : [];
}

/** Judges what was found. `attests` is false where the audit stream is switched off. */
export function assess(facts: EraFacts, grid: Grid, attests: boolean): Assessment {
  const chain = wholeChain(facts, grid);
  if (!('events' in chain)) return chain;
  const { events, refills } = chain;

  const contradictions = contradictionsOf(facts, events);
  if (contradictions.length > 0) return { failure: contradictionFailure(contradictions) };

  const found = new Map(facts.partitions.map((partition) => [rangeLabel(partition.range), partition]));
  const restores: AgendaItem[] = [];
  for (const event of events) {
    const partition = found.get(rangeLabel(event.range));
    if (partition && isSealed(partition)) continue;
    const kind = partition && partition.dataBytes !== null ? 'reseal' : 'restore';
    restores.push({ kind, range: event.range, event });
  }

  const lastEvent = events.at(-1);
  const attestedTo = lastEvent ? lastEvent.range.end + 1 : grid.ledgerStart;
  const prefix = sealedPrefix(facts, grid, attestedTo);
  if (!('sealed' in prefix)) return prefix;
  const frontier = (prefix.sealed.at(-1)?.range.end ?? attestedTo - 1) + 1;

  const overlap = sharing(
    facts,
    [...events, ...prefix.sealed].map(({ range }) => range),
  );
  if (overlap) {
    const [one, other] = overlap;
    return refuse('PARTITION_OVERLAP', `partition ${rangeLabel(other)} shares ledgers with ${rangeLabel(one)}`, {
      ...other,
      expected: `no other partition of ledgers ${rangeLabel(one)}`,
      found: rangeLabel(other),
      hint: 'somebody else wrote there; see docs/runbook.md, "Partitions overlap"',
    });
  }
  const inTheWay = obstacle(facts, grid, frontier);
  if (inTheWay) {
    return refuse('PARTITION_OVERLAP', `partition ${rangeLabel(inTheWay)} lies across the grid of this era`, {
      ...inTheWay,
      expected: `nothing but partitions of ${grid.size} ledgers from ${grid.origin} on, from ledger ${grid.ledgerStart}`,
      found: rangeLabel(inTheWay),
      hint: 'somebody else wrote there; see docs/runbook.md, "Partitions overlap"',
    });
  }

  const { checkpoint } = facts;
  const known = (sealed: SealedPartition): boolean =>
    checkpoint !== null && sameRange(checkpoint.range, sealed.range) && checkpoint.checksum === sealed.data.checksum;

  const unfinished: AgendaItem[] = [];
  if (attests) {
    if (lastEvent && prefix.sealed.length === 0 && restores.length === 0 && !known(sealedOf(lastEvent))) {
      unfinished.push({ kind: 'attested', range: lastEvent.range, sealed: sealedOf(lastEvent) });
    }
    for (const sealed of prefix.sealed) unfinished.push({ kind: 'sealed', range: sealed.range, sealed });
  } else {
    // Without the audit stream the checkpoint is all that says "verified"; without it, the last one is verified.
    // What the old program sealed is verified whole: it checked nothing.
    const last = prefix.sealed.at(-1);
    const isBehind = (sealed: SealedPartition): boolean =>
      checkpoint ? sealed.range.end > checkpoint.range.end : sealed.isOld === true || sealed === last;
    const behind = prefix.sealed.filter(isBehind);
    const rest = behind.length > 0 || !last || known(last) ? behind : [last];
    for (const sealed of rest) unfinished.push({ kind: 'attested', range: sealed.range, sealed });
  }

  const orphan = clippedOrphan(facts, grid, frontier);
  const agenda: AgendaItem[] = [
    ...[...restores, ...refills].sort((a, b) => a.range.start - b.range.start),
    ...unfinished,
    ...(orphan ? [{ kind: 'copy', range: orphan } as const] : []),
  ];
  const lastLinked = attests ? lastEvent?.ledgers.lastHash : prefix.sealed.at(-1)?.ledgers.lastHash;
  return {
    recovered: {
      frontier,
      chain: { nextSequence: events.length, prevEventHash: lastEvent?.eventHash ?? null },
      lastHash: lastLinked ?? lastEvent?.ledgers.lastHash ?? null,
      agenda,
    },
  };
}
