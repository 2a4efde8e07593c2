/**
 * What every reader of a lake has in common, whatever the lake lies in: the two suffixes, and the words for a ledger
 * that is missing and for a read that is no longer wanted. No I/O.
 */
import { BronzeError } from '../../machines/errors.ts';
import type { LakeFile, Suffix } from './keys.ts';

/** The suffix that worked last; shared by all reads of a lake. */
export interface SuffixMemory {
  suffix: Suffix;
}

export const otherSuffix = (suffix: Suffix): Suffix => (suffix === 'zst' ? 'zstd' : 'zst');

/** @throws CANCELLED where the work is no longer wanted */
export const cancelled = (signal: AbortSignal): void => {
  if (signal.aborted) throw new BronzeError('CANCELLED', 'reading the lake was cancelled', { cause: signal.reason });
};

/** The error for a file that stands under neither suffix. */
export const missing = (file: LakeFile, suffix: Suffix): BronzeError =>
  new BronzeError('LEDGER_MISSING', `ledger ${file.first} is not in the lake: there is no ${file.stem}${suffix}`, {
    details: { ledger: file.first, object: `${file.stem}${suffix}` },
  });
