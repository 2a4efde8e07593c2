/** The port of a lake: Galexie's objects, read by name. One folder holds one file per backend (actors/source/); nothing here names one but the spec. */
import type { LedgerRange } from '../../machines/protocol.ts';
import type { BucketAddress } from '../remote/bucket.ts';

/** Where the objects of a lake are and how they are cut (SEP-54). Plain data: it is sent to threads. */
export interface LakeLayout {
  readonly ledgersPerFile: number;
  readonly filesPerPartition: number;
  /** From `.config.json`; null where the lake has none. */
  readonly networkPassphrase: string | null;
  /** Whether the numbers come from the lake's own `.config.json`, from a listing, or from the configuration. */
  readonly origin: 'lake' | 'listing' | 'configuration';
  /** Suffix tried first, `zst` or `zstd`; the other one is tried before an object counts as missing. */
  readonly suffix: 'zst' | 'zstd';
}

/** One object of the lake: compressed, as it was stored. */
export interface LakeObject {
  /** Key below the lake's root. */
  readonly key: string;
  /** Ledgers that the *name* covers. */
  readonly named: LedgerRange;
  /** Valid until the next batch is asked for. */
  readonly bytes: Uint8Array;
}

/** A lake, read by keys that follow from the sequence. Throws LAKE_*, LEDGER_MISSING, SOURCE_*; never lists to read. */
export interface LakeSource {
  /** For manifests and messages: no credentials in it. */
  readonly uri: string;
  /** Finds the layout. Reads `.config.json`; lists only where there is none. */
  open(signal: AbortSignal): Promise<LakeLayout>;
  /**
   * Lists object names (never bodies) to find the head and the unbroken run of ledgers from `from` on. Once the run has
   * `enough` ledgers (where that is given), it need not be followed to its end: `contiguousTo` is then as far as was
   * seen, and `holeAt` null. Listing 62 million names takes a while: who wants only the head says 0.
   */
  head(
    layout: LakeLayout,
    from: number,
    signal: AbortSignal,
    enough?: number,
  ): Promise<{ head: number | null; contiguousTo: number; holeAt: number | null }>;
  /**
   * The objects that hold `range`, in ledger order, in batches, reading ahead within a bounded number of bytes.
   * A missing one is LEDGER_MISSING naming the first ledger of it that was asked for.
   */
  read(layout: LakeLayout, range: LedgerRange, signal: AbortSignal): AsyncIterable<readonly LakeObject[]>;
}

// What a thread is told to open: plain data without secrets, because SDKs find credentials by themselves.

/** Numbers of a lake, used only where it has no `.config.json`; null = find them from a listing. */
type ConfiguredNumbers = { readonly ledgersPerFile: number; readonly filesPerPartition: number } | null;

export type SourceSpec =
  | {
      readonly mode: 'local';
      /** Absolute path of the lake's root. */
      readonly path: string;
      readonly configured: ConfiguredNumbers;
    }
  | {
      readonly mode: 'bucket';
      readonly address: BucketAddress;
      /** The lake's root in the bucket: `''` or ending in `/`. */
      readonly prefix: string;
      readonly configured: ConfiguredNumbers;
    };
