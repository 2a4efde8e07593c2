/**
 * What the metrics know of one era: references to the last snapshots of its actors, and the little that stands in no
 * snapshot. When an event passes, only what a scrape cannot find out for itself is copied or computed.
 */
import type { AnyActorRef } from 'xstate';
import { addReads, NOTHING_READ, type ReadCounts } from '../../actors/source/meter.ts';
import { type EraContext, isWaiting, THREAD_WAIT } from '../../machines/dispatch.ts';
import type { Failure } from '../../machines/errors.ts';
import { lastLedger, MAX_LEDGER } from '../../machines/partitions.ts';
import type { EraFacts, EraSpec, LedgerRange } from '../../machines/protocol.ts';
import { SlidingRate } from '../rate.ts';

/** What is looked at in a snapshot of any machine. */
export interface SeenSnapshot {
  readonly status: string;
  readonly value: unknown;
  readonly context: unknown;
}

interface EraSnapshot extends SeenSnapshot {
  readonly context: EraContext;
}

export interface EraLabels {
  readonly network: string;
  readonly era_id: string;
  readonly version: string;
}

/** Gauges of an era by their names; null = absent. */
export type EraGauges = ReturnType<EraWatch['gauges']>;

export class EraWatch {
  readonly spec: EraSpec;
  readonly labels: EraLabels;
  /** Ledgers read and checked. */
  readonly rate = new SlidingRate();
  /** What the bytes of its lake have cost so far. */
  reads: ReadCounts = NOTHING_READ;
  /** Ledgers that each worker has reported of the attempt in hand. */
  readonly reported = new Map<string, number>();
  /** When `build.started` last came for each worker, ms. */
  readonly started = new Map<string, number>();
  /** What a survey found, until the era has judged it. */
  facts: EraFacts | null = null;
  /** The partition that is being published, and since when, ms. */
  publishing: { readonly start: number; readonly at: number } | null = null;
  /** Unix time, seconds. */
  committedAt: number | null = null;
  /** Highest ledger that was seen in the lake. */
  head: number | null = null;
  #ref: AnyActorRef | null = null;
  #snapshot: EraSnapshot | null = null;
  /** What an actor of this era that is gone had committed. */
  #carried: number | null = null;

  /** `now` in ms, monotonic. */
  constructor(spec: EraSpec, now: number) {
    this.spec = spec;
    this.labels = { network: spec.network, era_id: spec.eraId, version: spec.versionLabel };
    this.rate.add(0, now);
  }

  /** A first actor of this era, or another one after a crash or a stall. */
  begin(ref: AnyActorRef): void {
    this.#carried = this.lastCommitted();
    this.#ref = ref;
    this.#snapshot = null;
    this.facts = null;
    this.publishing = null;
  }

  isPresent(ref: unknown): boolean {
    return ref === this.#ref;
  }

  /** Its actor threw: there will be no other snapshot. */
  lose(): void {
    if (this.#snapshot) this.#snapshot = { ...this.#snapshot, status: 'error' };
  }

  get failure(): Failure | null {
    return this.#snapshot?.context.failure ?? null;
  }

  /** The last snapshot, where its states say something: of an era that was stopped they do not. */
  get snapshot(): SeenSnapshot | null {
    const { status } = this.#snapshot ?? {};
    return status === 'active' || status === 'done' ? this.#snapshot : null;
  }

  see(snapshot: SeenSnapshot): EraContext {
    this.#snapshot = snapshot as EraSnapshot;
    return this.#snapshot.context;
  }

  addReads(reads: ReadCounts): void {
    this.reads = addReads(this.reads, reads);
  }

  /** A worker's own count of the attempt in hand; what it had reported before is taken off. */
  progressed(workerId: string, ledgers: number, now: number): void {
    const before = this.reported.get(workerId) ?? 0;
    this.reported.set(workerId, ledgers);
    this.rate.add(ledgers >= before ? ledgers - before : ledgers, now);
  }

  /** Partitions of the last survey that need nothing any more and were not counted before; once per survey. */
  takeFound({ recovered }: EraContext): number {
    const facts = this.facts;
    if (facts === null || recovered === null) return 0;
    this.facts = null;
    const listed = new Set(recovered.agenda.map(({ range }) => range.start));
    const isWhole = ({ range }: { range: LedgerRange }): boolean =>
      range.end < recovered.frontier && !listed.has(range.start) && !this.isOwn(range);
    return facts.partitions.filter(isWhole).length;
  }

  /** A fresh actor of the same era finds what this process has committed and counted already. */
  isOwn({ end }: LedgerRange): boolean {
    return this.#carried !== null && end <= this.#carried;
  }

  /** Last ledger before which nothing is missing; null before it is known, and where there is none. */
  lastCommitted(): number | null {
    const { context } = this.#snapshot ?? {};
    if (!context?.recovered) return this.#carried;
    const next = context.outstanding.reduce((least, { range }) => Math.min(least, range.start), context.frontier);
    return next > this.spec.grid.ledgerStart ? next - 1 : null;
  }

  /** At a scrape. `now` in ms, monotonic. */
  gauges(now: number) {
    const { spec } = this;
    const context = this.#snapshot?.context;
    const active = this.#snapshot?.status === 'active' ? this.#snapshot.context : null;
    const last = this.lastCommitted();
    const target = context?.target ?? lastLedger(spec.grid, spec.stopAfter);
    const end = target < MAX_LEDGER ? target : null;
    const goal = end ?? this.head;
    const isKnown = last !== null || context?.recovered != null;
    const jobs = Object.entries(active?.workers ?? {});
    const phases = active?.outstanding.map(({ phase }) => phase) ?? [];
    const staged = phases.filter((phase) => phase === 'staged').length;
    return {
      last_ledger_sequence: last,
      lake_head_ledger: this.head,
      ledgers_behind: isKnown && goal !== null ? Math.max(goal - (last ?? spec.grid.ledgerStart - 1), 0) : null,
      lake_behind_ledgers: context?.recovered == null ? null : beyondLake(context),
      // Of a hole that is still far ahead nobody knows whether it was filled meanwhile.
      lake_hole_ledger: context?.recovered == null ? null : (isAwaitingLedgers(this.#snapshot) && context.holeAt) || 0,
      worker_queue_depth: jobs.filter(([id]) => active?.waits[id] === THREAD_WAIT).length,
      sequencer_pending: staged,
      in_flight_partitions: staged + phases.filter((phase) => phase === 'building').length,
      active_workers: jobs.filter(([, job]) => job !== null).length,
      ledgers_per_second: this.rate.perSecond(now),
      era_waiting: active !== null && isWaiting(active) ? 1 : 0,
      era_first_ledger: spec.grid.ledgerStart,
      era_last_ledger: end,
      last_commit_timestamp_seconds: this.committedAt,
    };
  }
}

/** Whether all that is there before the head, or before a hole, is committed. */
const isAwaitingLedgers = (snapshot: SeenSnapshot | null): boolean =>
  snapshot?.status === 'active' && typeof snapshot.value === 'object' && 'awaitingLedgers' in (snapshot.value ?? {});

/** Committed ledgers that the lake does not reach to. */
function beyondLake({ behind, frontier, spec }: EraContext): number {
  return behind === null ? 0 : frontier - 1 - (behind.head ?? spec.grid.ledgerStart - 1);
}
