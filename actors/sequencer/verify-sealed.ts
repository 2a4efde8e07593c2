/**
 * Before anything is said of a sealed partition that recovery found: are its bytes those of its manifest? Of one of the
 * old program, whose manifest says nothing about ledgers, every row is proved. It reports and mends nothing.
 */

import { BronzeError, type Details } from '../../machines/errors.ts';
import type { SealedPartition } from '../../machines/protocol.ts';
import { parseAnyManifest, sameLedgers, sha256Hex } from '../bronze/manifest.ts';
import { dataKey, manifestKey } from '../bronze/names.ts';
import type { Effect } from '../effects/effect.ts';
import { commitPlaceOf } from './commit-place.ts';
import { type CommitPlace, condemnsContent, readPartition } from './read-partition.ts';

const HINT = 'bring it back from a copy (docs/runbook.md, "A partition is damaged"); nothing was changed';

/** By which column definition the partition was written: its manifest, which has to be the one that was found, says so. */
async function columnsOf(place: CommitPlace, sealed: SealedPartition, signal?: AbortSignal): Promise<1 | 2> {
  const { chain, table, store } = place;
  const { range } = sealed;
  const object = manifestKey(chain, table, range);
  const bytes = await store.get(object, signal);
  const found = bytes === null ? 'nothing' : sha256Hex(bytes);
  if (bytes === null || found !== sealed.manifestSha256) {
    throw new BronzeError('PARTITION_DAMAGED', `the manifest ${object} changed while its partition was verified`, {
      details: { ...range, object, check: 'manifest_sha256', expected: sealed.manifestSha256, found, hint: HINT },
    });
  }
  return parseAnyManifest(bytes, { chain, table, range, object }).columns;
}

/**
 * Reads the data object of a sealed partition (bytes; all rows as well where the old program wrote it) and compares
 * size, checksum and proved ledgers with the facts. Throws PARTITION_DAMAGED, MANIFEST_INVALID, and what reading throws
 * where it says nothing about the content (STORE_*, THREAD_CRASHED).
 */
export async function verifyStored(
  place: CommitPlace,
  sealed: SealedPartition,
  signal?: AbortSignal,
): Promise<SealedPartition> {
  const { range, data, ledgers } = sealed;
  const columns = await columnsOf(place, sealed, signal);
  const object = dataKey(place.chain, place.table, range);
  const expected = `${data.checksum}, ${data.byteSize} bytes`;
  const damaged = (found: string, more: Details = {}, cause?: unknown): BronzeError =>
    new BronzeError('PARTITION_DAMAGED', `${object} is not what its manifest says: ${found} instead of ${expected}`, {
      details: { ...range, object, expected, found, ...more, hint: HINT },
      cause,
    });
  const read = async () => {
    try {
      return await readPartition(place, range, columns === 1 ? 'rows' : 'bytes', signal, columns);
    } catch (error) {
      // The file is what was written; what was written is not what the validator signed.
      const isForged = error instanceof BronzeError && error.code === 'SIGNATURE_INVALID';
      if (isForged || !condemnsContent(error)) throw error;
      throw damaged(error.message, error.details, error);
    }
  };
  const answer = await read();
  const found = `${answer.data.checksum}, ${answer.data.byteSize} bytes`;
  if (found !== expected) throw damaged(found);
  if (answer.rows !== null && !sameLedgers(answer.rows.ledgers, ledgers)) {
    throw new BronzeError('PARTITION_DAMAGED', `the rows of ${object} are not those that were claimed of it`, {
      details: {
        ...range,
        object,
        check: 'content_root',
        expected: ledgers.contentRoot,
        found: answer.rows.ledgers.contentRoot,
        hint: HINT,
      },
    });
  }
  return sealed;
}

export const verifySealed: Effect<'verifySealed'> = async (era, { sealed, askedBy }, tools) => {
  const verified = await verifyStored(commitPlaceOf(era, askedBy), sealed, tools.signal);
  era.checksums.set(verified.range.start, verified.data.checksum);
  return verified;
};
