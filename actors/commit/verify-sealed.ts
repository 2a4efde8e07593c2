/**
 * Before anything is said of a sealed partition that recovery found: are its bytes those of its manifest?
 * It must never mend, only report.
 */
import { BronzeError } from '../../machines/errors.ts';
import type { SealedPartition } from '../../machines/protocol.ts';
import { dataKey } from '../paths.ts';
import { type CommitPlace, condemnsContent, readPartition } from './place.ts';

/**
 * Reads the data object of a sealed partition (bytes, not rows) and compares size and checksum with the manifest.
 * Throws PARTITION_DAMAGED, and what reading throws where it says nothing about the content (STORE_*, THREAD_CRASHED).
 */
export async function verifySealed(
  place: CommitPlace,
  sealed: SealedPartition,
  signal?: AbortSignal,
): Promise<SealedPartition> {
  const object = dataKey(place.chain, place.table, sealed.range);
  const expected = `${sealed.data.checksum}, ${sealed.data.byteSize} bytes`;
  const damaged = (found: string, cause?: unknown): BronzeError =>
    new BronzeError('PARTITION_DAMAGED', `${object} is not what its manifest says: ${found} instead of ${expected}`, {
      details: {
        ...sealed.range,
        object,
        expected,
        found,
        hint: 'bring it back from a copy (docs/runbook.md, "A partition is damaged"); nothing was changed',
      },
      cause,
    });
  let found: string;
  try {
    const { data } = await readPartition(place, sealed.range, 'bytes', signal);
    found = `${data.checksum}, ${data.byteSize} bytes`;
  } catch (error) {
    if (!condemnsContent(error)) throw error;
    throw damaged(error.message, error);
  }
  if (found !== expected) throw damaged(found);
  return sealed;
}
