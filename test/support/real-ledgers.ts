/**
 * The real ledgers of the shared test data, each as one bare LedgerCloseMeta, with what its index says of it.
 * Call only where `hasShared`.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decompress } from 'zstd-napi';
import { SHARED } from './shared.ts';

interface IndexedLedger {
  readonly file: string;
  readonly network: string;
  readonly lcmVersion: number;
  readonly ledgerSequence: number;
  readonly protocolVersion: number;
  /** Seconds; core's test ledgers have none. */
  readonly closeTime: number | null;
  readonly txCount: number;
  readonly operationCount: number;
  readonly rawBytes: number;
  readonly sha256: string;
  readonly ledgerHash: string;
  readonly previousLedgerHash: string;
  readonly txSetOffset: number;
  readonly txSetLength: number;
}

interface IndexedStream {
  readonly file: string;
  readonly firstSequence: number;
  readonly counts: readonly (readonly [number, number])[];
}

interface Index {
  readonly ledgers: readonly IndexedLedger[];
  readonly streams: readonly IndexedStream[];
  readonly lakeFiles: readonly { readonly file: string }[];
}

export interface RealLedger {
  /** File, and the place in it for streams. */
  readonly name: string;
  readonly bytes: Buffer;
  readonly sequence: number;
  readonly counts: readonly [number, number];
  readonly index: IndexedLedger | null;
}

export interface RealBatch {
  readonly name: string;
  /** The one ledger that the name says. */
  readonly sequence: number;
  /** Unpacked. */
  readonly bytes: Buffer;
}

const path = (file: string): string => join(SHARED, 'ledgers', file);
const readIndex = (): Index => JSON.parse(readFileSync(path('INDEX.json'), 'utf8')) as Index;

/** One per file of pubnet/, testnet/, load/ and core/. */
export function singleLedgers(): RealLedger[] {
  return readIndex().ledgers.map((index) => ({
    name: index.file,
    bytes: readFileSync(path(index.file)),
    sequence: index.ledgerSequence,
    counts: [index.txCount, index.operationCount],
    index,
  }));
}

/** Streams are record-marked: four bytes of length with the top bit set, then the value. */
export function streams(): { name: string; ledgers: RealLedger[] }[] {
  return readIndex().streams.map((stream) => {
    const all = readFileSync(path(stream.file));
    const ledgers: RealLedger[] = [];
    for (let at = 0; at < all.length; ) {
      const length = all.readUInt32BE(at) & 0x7fffffff;
      const i = ledgers.length;
      ledgers.push({
        name: `${stream.file}#${i}`,
        bytes: all.subarray(at + 4, at + 4 + length),
        sequence: stream.firstSequence + i,
        counts: stream.counts[i] as readonly [number, number],
        index: null,
      });
      at += 4 + length;
    }
    return { name: stream.file, ledgers };
  });
}

/** Objects as lakes have them, unpacked; those that the index lists and the folder lacks are left out. */
export function lakeBatches(): RealBatch[] {
  return readIndex()
    .lakeFiles.map((f) => f.file)
    .filter((file) => /--\d+\.xdr(\.zstd)?$/.test(file) && existsSync(path(file)))
    .map((file) => {
      const stored = readFileSync(path(file));
      return {
        name: file,
        sequence: Number(/--(\d+)\.xdr/.exec(file)?.[1]),
        bytes: file.endsWith('.xdr') ? stored : Buffer.from(decompress(stored)),
      };
    });
}

/** Every real ledger; those of batches without their head of 12 bytes. */
export function allRealLedgers(): RealLedger[] {
  const batches = lakeBatches().map((b): RealLedger => {
    const bytes = b.bytes.subarray(12);
    return { name: b.name, bytes, sequence: b.sequence, counts: [-1, -1], index: null };
  });
  return [...singleLedgers(), ...streams().flatMap((s) => s.ledgers), ...batches];
}
