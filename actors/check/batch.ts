/**
 * Takes an unpacked object of a lake apart: XDR `LedgerCloseMetaBatch {startSequence, endSequence, ledgerCloseMetas<>}`
 * (SEP-54). Where a ledger ends is only known by walking it, so splitting and checking are one pass. It must never let
 * bytes pass that belong to no ledger, nor a ledger that the object's name does not cover.
 */
import { BronzeError, type Details } from '../../machines/errors.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import type { Extent } from '../zstd.ts';
import type { LedgerChecker, LedgerFacts } from './ledger-checker.ts';

/** uint32 startSequence, uint32 endSequence, uint32 count. */
export const BATCH_HEAD_BYTES = 12;

export interface BatchOptions {
  /** Key of the object, for errors. */
  readonly object?: string;
  /** Ledgers that are wanted; others are walked, not hashed, and not visited. Absent = all. */
  readonly only?: LedgerRange;
}

/**
 * The ledgers that a batch says it holds.
 * @param at where it lies in `bytes`
 * @param named the ledgers that the object's name covers; the batch may hold fewer: the first one of a lake with 64
 *   ledgers per file is named 0-63 and holds 2..63.
 * @throws BronzeError BATCH_INVALID where it is not within `named` or its count is not that of its sequences.
 */
export function readBatchRange(bytes: Uint8Array, at: Extent, named: LedgerRange, object?: string): LedgerRange {
  if (at.end - at.start < BATCH_HEAD_BYTES) {
    throw invalid('it is shorter than its head', named, object, {
      expected: `at least ${BATCH_HEAD_BYTES} bytes`,
      found: `${at.end - at.start} bytes`,
    });
  }
  const head = new DataView(bytes.buffer, bytes.byteOffset + at.start, BATCH_HEAD_BYTES);
  const start = head.getUint32(0);
  const end = head.getUint32(4);
  const count = head.getUint32(8);
  if (start > end || start < named.start || end > named.end) {
    throw invalid('it does not hold the ledgers that its name says', named, object, {
      expected: `${named.start}-${named.end}`,
      found: `${start}-${end}`,
    });
  }
  if (count !== end - start + 1) {
    throw invalid(`it says ledgers ${start}-${end} and holds another number`, named, object, {
      expected: String(end - start + 1),
      found: String(count),
    });
  }
  return { start, end };
}

/**
 * Checks the batch at `extent` of `bytes` and every ledger in it, in order. `visit` gets the facts of each ledger and
 * where it lies in `bytes`, before those after it were looked at: what was done with them is void if this throws.
 * @returns the ledgers that the batch holds.
 * @throws BronzeError BATCH_INVALID; and what `LedgerChecker.check` throws, with the object's key in its details.
 */
export function checkBatch(
  bytes: Uint8Array,
  extent: Extent,
  named: LedgerRange,
  checker: LedgerChecker,
  visit: (facts: LedgerFacts, start: number, end: number) => void,
  options: BatchOptions = {},
): LedgerRange {
  const { object, only } = options;
  const range = readBatchRange(bytes, extent, named, object);
  const limit = extent.end;
  let at = extent.start + BATCH_HEAD_BYTES;
  for (let sequence = range.start; sequence <= range.end; sequence += 1) {
    let facts: LedgerFacts | null = null;
    let end: number;
    try {
      if (only && (sequence < only.start || sequence > only.end)) {
        end = checker.skipNext(bytes, at, limit, sequence);
      } else {
        facts = checker.checkNext(bytes, at, limit, sequence);
        end = at + facts.xdrByteLength;
      }
    } catch (error) {
      throw withObject(error, object);
    }
    // Outside the try: what the visitor throws is its own.
    if (facts) visit(facts, at, end);
    at = end;
  }
  if (at !== limit) {
    throw invalid(`${limit - at} bytes follow its last ledger, ${range.end}`, named, object, {
      ledger: range.end,
      expected: `${at - extent.start} bytes`,
      found: `${limit - extent.start} bytes`,
    });
  }
  return range;
}

function invalid(what: string, named: LedgerRange, object: string | undefined, details: Details): BronzeError {
  const name = object ?? `${named.start}-${named.end}`;
  return new BronzeError('BATCH_INVALID', `batch ${name}: ${what}`, {
    details: {
      start: named.start,
      end: named.end,
      check: 'batch',
      ...(object === undefined ? {} : { object }),
      ...details,
    },
  });
}

function withObject(error: unknown, object: string | undefined): unknown {
  if (object === undefined || !(error instanceof BronzeError)) return error;
  return new BronzeError(error.code, `${error.message} (${object})`, {
    details: { ...error.details, object },
    cause: error,
    retryable: error.retryable,
  });
}
