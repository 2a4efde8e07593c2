/** Writes all rows that the catalog has not got, in ledger order. */
import { setTimeout as sleep } from 'node:timers/promises';
import { BronzeError } from '../../machines/errors.ts';
import type { CatalogRecorder } from '../catalog/recorder.ts';
import type { Effect } from '../effects/effect.ts';
import type { RunningEra } from '../effects/running-era.ts';

/** Rows that are written beside the copying go out no closer together than this, ms: many cost as much as one. */
const WRITE_BEHIND_MS = 500;

export function recorderOf({ recorder }: RunningEra): CatalogRecorder {
  if (recorder === null) throw new BronzeError('INTERNAL', 'a row is to be written, and there is no catalog');
  return recorder;
}

/** Strict, the era waits for it: every transaction says that it is alive, and there may be thousands. */
export const recordPending: Effect<'recordPending'> = async (era, { askedBy }, { signal }) => {
  if (era.setup.catalog?.writesBehind) {
    const due = era.recordedAt + WRITE_BEHIND_MS - performance.now();
    await sleep(Math.max(0, due), null, { signal });
  }
  const answer = await recorderOf(era).recordMissing(signal, () => askedBy?.send({ type: 'effect.progressed' }));
  era.recordedAt = performance.now();
  return answer;
};
