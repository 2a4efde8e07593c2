/** Writes all rows that the catalog has not got, in ledger order. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { EffectOutput } from '../../machines/effects.ts';
import { BronzeError } from '../../machines/errors.ts';
import type { CatalogRecorder } from '../catalog/recorder.ts';
import type { Tools } from '../effects/effect.ts';
import type { RunningEra } from '../effects/running-era.ts';

/** Rows that are written beside the copying go out no closer together than this, ms: many cost as much as one. */
const WRITE_BEHIND_MS = 500;

export function recorderOf({ recorder }: RunningEra): CatalogRecorder {
  if (recorder === null) throw new BronzeError('INTERNAL', 'a row is to be written, and there is no catalog');
  return recorder;
}

/** `onProgress` after every transaction: there may be thousands of them. */
export async function recordPending(
  era: RunningEra,
  _: unknown,
  { signal }: Tools,
  onProgress?: () => void,
): Promise<EffectOutput<'recordPending'>> {
  if (era.setup.catalog?.writesBehind) {
    const due = era.recordedAt + WRITE_BEHIND_MS - performance.now();
    await sleep(Math.max(0, due), null, { signal });
  }
  const answer = await recorderOf(era).recordMissing(signal, onProgress);
  era.recordedAt = performance.now();
  return answer;
}
