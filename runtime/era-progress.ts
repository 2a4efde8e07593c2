/**
 * How far an era is while it runs: counts, rates, waits. Kept by the observer; read by whoever shows a run. Pure
 * bookkeeping with the times it is given: it reads no clock.
 */
import { THREAD_WAIT } from '../machines/dispatch.ts';
import type { Failure } from '../machines/errors.ts';
import type { CommitFacts, EraOutcome, EraSpec, EraSummary, LedgerRange } from '../machines/protocol.ts';
import { SlidingRate } from './rate.ts';

/** What is read and checked of a partition. */
interface Read {
  readonly ledgers: number;
  readonly rawBytes: number;
}

/** Times are ms of one monotonic clock. */
export class EraProgress {
  readonly eraId: string;
  /** Of its machine, the outermost: `recovering`, `copying` and so on; `starting` before there is one. */
  state = 'starting';
  outcome: EraOutcome | null = null;
  /** Why it failed. */
  failure: Failure | null = null;
  /** First ledger not committed. */
  nextLedger: number;
  /** Last ledger known to be in the lake without a gap, where the era follows it; null = not known, or it has an end. */
  available: number | null = null;
  /** Committed by this run, like `partitions`. */
  ledgers = 0;
  partitions = 0;
  retries = 0;
  /** Of partitions that are not committed, by their first ledger. */
  readonly building = new Map<number, Read>();
  /** Ledgers, and XDR bytes, read and checked; what a failed attempt had is taken back. */
  readonly ledgerRate = new SlidingRate();
  readonly byteRate = new SlidingRate();
  /** Who waits for something outside, and what for. */
  waits: Readonly<Record<string, string>> = {};
  /** During which at least one of its actors waited for something outside. */
  waitedMs = 0;
  readonly startedAt: number;
  endedAt: number | null = null;
  /** The partition at which the era stopped, and why; null as long as none did. */
  refused: { readonly range: LedgerRange; readonly failure: Failure } | null = null;
  #waitingSince: number | null = null;

  constructor({ eraId, grid }: EraSpec, now: number) {
    this.eraId = eraId;
    this.nextLedger = grid.ledgerStart;
    this.startedAt = now;
  }

  /** Ledgers that are read and checked and not committed. */
  get underWay(): number {
    let sum = 0;
    for (const { ledgers } of this.building.values()) sum += ledgers;
    return sum;
  }

  /** What is read of a partition by now; null: it is lost, or not begun. */
  read(start: number, read: Read | null, now: number): void {
    const before = this.building.get(start);
    this.ledgerRate.add((read?.ledgers ?? 0) - (before?.ledgers ?? 0), now);
    this.byteRate.add((read?.rawBytes ?? 0) - (before?.rawBytes ?? 0), now);
    if (read) this.building.set(start, { ledgers: read.ledgers, rawBytes: read.rawBytes });
    else this.building.delete(start);
  }

  /** `isBuilt`: by this run, whether or not the same stood there already. */
  commit(facts: CommitFacts, isBuilt: boolean, now: number): void {
    const { range, rows, rawBytes, alreadyThere } = facts;
    if (isBuilt) this.read(range.start, { ledgers: rows, rawBytes }, now);
    this.building.delete(range.start);
    this.nextLedger = Math.max(this.nextLedger, range.end + 1);
    if (alreadyThere) return;
    this.partitions += 1;
    this.ledgers += rows;
  }

  /** A fresh actor begins in the place of one that crashed or stood still. */
  startAfresh(now: number): void {
    for (const start of [...this.building.keys()]) this.read(start, null, now);
  }

  takeWaits(waits: Readonly<Record<string, string>>, now: number): void {
    this.waits = waits;
    // That builds queue for threads which work is no wait.
    if (Object.values(waits).some((reason) => reason !== THREAD_WAIT)) this.#waitingSince ??= now;
    else if (this.#waitingSince !== null) {
      this.waitedMs += now - this.#waitingSince;
      this.#waitingSince = null;
    }
  }

  end({ outcome, failure, nextLedger }: EraSummary, now: number): void {
    this.outcome = outcome;
    this.failure = failure;
    this.nextLedger = nextLedger;
    this.takeWaits({}, now);
    this.building.clear();
    this.endedAt = now;
  }
}
