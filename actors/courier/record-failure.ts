/** The quality row of a partition that was refused. */
import { type Failure, toFailure } from '../../machines/errors.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import type { RunningEra } from '../effects/running-era.ts';

const PATIENCE_MS = 15_000;

/** It is told on, not a decision: failing at it is only logged. */
export async function recordFailure(
  { recorder, log }: RunningEra,
  range: LedgerRange,
  failure: Failure,
): Promise<void> {
  try {
    const message = `${failure.code}: ${failure.message}`;
    await recorder?.recordFailure(range, message, AbortSignal.timeout(PATIENCE_MS));
  } catch (error) {
    log.warn({ component: 'catalog', error: toFailure(error).message }, 'a failure could not be recorded');
  }
}
