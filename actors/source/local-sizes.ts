/** Sizes of the objects of a lake in a folder, without reading one: what is asked before anything is copied. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { LedgerRange } from '../../machines/protocol.ts';
import { mapBounded } from '../bounded.ts';
import type { LakeLayout } from '../ports/source.ts';
import { fileCount, fileOf } from './keys.ts';

/** Objects that are asked for at the most: about two seconds on a quick disk. */
const MOST = 200_000;
/** Asked for at once. */
const PARALLEL = 64;

/** Bytes of each object that holds ledgers of `range`, in ledger order; null where there are too many, or one is missing. */
export async function localSizes(
  root: string,
  layout: LakeLayout,
  range: LedgerRange,
  signal?: AbortSignal,
): Promise<number[] | null> {
  const count = fileCount(layout, range);
  if (count > MOST) return null;
  const indexes = Array.from({ length: count }, (_, index) => index);
  const look = async (index: number): Promise<number> => {
    const { stem } = fileOf(layout, range, index);
    const sizeOf = async (suffix: string): Promise<number> => (await stat(join(root, `${stem}${suffix}`))).size;
    const other = layout.suffix === 'zst' ? 'zstd' : 'zst';
    return sizeOf(layout.suffix).catch(() => sizeOf(other));
  };
  return mapBounded(indexes, PARALLEL, look, signal).catch(() => null);
}
