/** Writes the catalog's row of a committed partition, or leaves it to the courier. */
import { recorderOf } from '../courier/record-pending.ts';
import type { Effect } from '../effects/effect.ts';

export const recordPartition: Effect<'recordPartition'> = async (era, { range }, { signal }) => {
  const { attests, catalog } = era.setup;
  const recorder = recorderOf(era);
  const checksum = era.checksums.get(range.start);
  if (!attests && checksum !== undefined) recorder.note({ range, checksum, eventId: null });
  // Opening a file takes longer than writing many rows: the courier writes what came together meanwhile, at once.
  if (catalog?.writesBehind) return { pending: true };
  return recorder.record(range, signal);
};
