/** What an era's progress comes to: how much is left, how fast it goes, what it waits for. Pure arithmetic. */
import { THREAD_WAIT } from '../machines/dispatch.ts';
import { CODES, type ErrorCode } from '../machines/errors.ts';
import { lastLedger, MAX_LEDGER } from '../machines/partitions.ts';
import type { EraSpec } from '../machines/protocol.ts';
import type { EraProgress } from './era-progress.ts';
import { etaSeconds } from './rate.ts';

export interface Figures {
  /** Ledgers of the era that are committed, by earlier runs as well. */
  readonly committed: number;
  /** Ledgers that the era has; null where it has no end. */
  readonly of: number | null;
  /** Ledgers that are still to be read: to the end, or to where the lake ends at present; null = not known. */
  readonly left: number | null;
  readonly ledgersPerSecond: number;
  /** Of 10^6 bytes of XDR. */
  readonly mbPerSecond: number;
  readonly etaSeconds: number | null;
}

/** The figures of an era at a moment (ms, the observer's clock). */
export function figuresOf({ grid, stopAfter }: EraSpec, era: EraProgress, now: number): Figures {
  const last = lastLedger(grid, stopAfter);
  const end = last === MAX_LEDGER ? era.available : last;
  const left = end === null ? null : Math.max(end + 1 - era.nextLedger - era.underWay, 0);
  const ledgersPerSecond = era.ledgerRate.perSecond(now);
  return {
    committed: era.nextLedger - grid.ledgerStart,
    of: last === MAX_LEDGER ? null : last + 1 - grid.ledgerStart,
    left,
    ledgersPerSecond,
    mbPerSecond: era.byteRate.perSecond(now) / 1e6,
    etaSeconds: left === null ? null : etaSeconds(left, ledgersPerSecond),
  };
}

/** What an era waits for, in words; empty where it does not. That builds queue for threads which work is no wait. */
export function waitWords({ waits, building }: EraProgress): string {
  const reasons = new Map<string, number>();
  for (const reason of Object.values(waits)) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  if (reasons.size > 1 || building.size > (reasons.get(THREAD_WAIT) ?? 0)) reasons.delete(THREAD_WAIT);
  return [...reasons]
    .map(([reason, times]) => {
      const words = reason.replace(/ after ([A-Z_]+)$/, (all, code) =>
        code in CODES ? `: ${CODES[code as ErrorCode].summary}` : all,
      );
      return times > 1 ? `${words} (${times} times)` : words;
    })
    .join('; ');
}
