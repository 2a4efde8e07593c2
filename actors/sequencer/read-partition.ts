/**
 * What the commit steps have in common: where they work and how they read a published file back.
 */
import { BronzeError, CODES, type ErrorCode } from '../../machines/errors.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import { dataKey } from '../bronze/names.ts';
import type { ChainPlace } from '../chain/chain-place.ts';
import type { CheckSpec, ReadBackAnswer, ReadBackTask } from '../parquet/spec.ts';

/** Reads a published data object in a worker thread; throws BronzeError, retryable where a retry can help. */
export type ReadBack = (task: Omit<ReadBackTask, 'kind' | 'store'>, signal?: AbortSignal) => Promise<ReadBackAnswer>;

export interface CommitPlace extends ChainPlace {
  readonly readBack: ReadBack;
  readonly checks: CheckSpec;
}

/** Codes that say something about the surroundings and nothing about the file that was read. */
const SURROUNDINGS: readonly ErrorCode[] = [
  'CANCELLED',
  'INTERNAL',
  'STORE_DENIED',
  'SOURCE_DENIED',
  'BUCKET_MISSING',
  'BUCKET_REGION',
  'CREDENTIALS_INVALID',
  'ENDPOINT_INVALID',
  'LISTING_INVALID',
];

/** Whether a failed read-back means that the file's content is wrong, rather than that it could not be read. */
export function condemnsContent(error: unknown): error is BronzeError {
  if (!(error instanceof BronzeError) || error.retryable || CODES[error.code].retry) return false;
  return !SURROUNDINGS.includes(error.code);
}

/** The read-back of a partition's data object, at a depth, by the column definition that it was written with. */
export function readPartition(
  place: CommitPlace,
  range: LedgerRange,
  depth: 'bytes' | 'rows',
  signal?: AbortSignal,
  columns: 1 | 2 = 2,
  partBytes: number | null = null,
): Promise<ReadBackAnswer> {
  const { chain, table, checks } = place;
  const parts = partBytes === null ? {} : { partBytes };
  return place.readBack({ depth, chain, range, key: dataKey(chain, table, range), columns, checks, ...parts }, signal);
}
