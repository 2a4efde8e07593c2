/**
 * What is there of one chain, part by part, as found: each object with what it says or why it cannot be used. Plain
 * data without the bytes of anything, so that thousands of partitions fit. Facts only, no judgement.
 */
import type { Failure } from '../../machines/errors.ts';
import type {
  AttestedEvent,
  CheckpointFacts,
  DataFile,
  LedgerEnds,
  LedgerRange,
  Memory,
  OldChainEnd,
} from '../../machines/protocol.ts';
import type { ChainName } from '../bronze/names.ts';
import type { LineageRow } from '../ports/catalog.ts';
import type { Delivered } from '../ports/delivery.ts';

export interface ManifestFound {
  readonly columns: 1 | 2;
  readonly data: DataFile;
  /** Manifests of the old program hold none: as their event has them, null where there is none. */
  readonly ledgers: LedgerEnds | null;
  /** Hex, of the bytes as stored. */
  readonly sha256: string;
  /** Where it says that the ledgers came from; null in manifests of the old program. */
  readonly source: string | null;
  /**
   * Hashes of the events that follow from it at the place of the event that is there for its range: the first with that
   * event's own prefix, then with other prefixes that are known here. Empty: there is no such event, or none can follow.
   */
  readonly derivesTo: readonly string[];
}

export interface PartitionFound {
  readonly range: LedgerRange;
  /** Null: no data object. */
  readonly dataBytes: number | null;
  readonly hasManifest: boolean;
  /** Null: none that can be used. */
  readonly manifest: ManifestFound | null;
  readonly manifestProblem: string | null;
  /** What reading the whole data object gave; null = it was not read. */
  readonly read: DataRead | null;
}

export type DataRead =
  | { readonly checksum: string; readonly byteSize: number }
  /** It could not be read, which says nothing about it. */
  | { readonly failure: Failure };

/** An event by the sequence in its name. */
export interface EventFound {
  readonly sequence: number;
  /** Null: it cannot be used. */
  readonly event: AttestedEvent | null;
  readonly problem: string | null;
  /** Hex, of the bytes as stored. */
  readonly sha256: string;
}

/** A copy by the range in its name. */
export interface CopyFound {
  readonly file: string;
  readonly range: LedgerRange;
  readonly event: AttestedEvent | null;
  readonly sha256: string;
}

export interface CopiesFound {
  readonly dir: string;
  readonly files: readonly CopyFound[];
  /** The hash that the heads file has for the chain. */
  readonly head: string | null;
  /** Why there is none. */
  readonly headProblem: string | null;
}

/** The event that belongs where none can be used, and where it was had from. */
export interface Fill {
  readonly event: AttestedEvent;
  readonly from: 'manifest' | 'copy';
}

export interface CheckpointFound {
  readonly file: string;
  readonly facts: CheckpointFacts | null;
  readonly problem: string | null;
  /** The chain that it belongs to, where that is another one. */
  readonly belongsTo: string | null;
  /** Whether the old program wrote it, and what it says then. */
  readonly isOld: boolean;
  readonly old: CheckpointFacts | null;
}

export interface CatalogFound {
  readonly uri: string;
  /** Null: a reader holds it open, or `failure`. */
  readonly rows: readonly LineageRow[] | null;
  readonly failure: Failure | null;
}

export interface DeliveryFound {
  readonly uri: string;
  readonly file: string;
  /** What stands there of the chain, whichever endpoint it was for. */
  readonly remembered: Delivered | null;
  readonly delivered: Delivered | null;
  readonly problem: string | null;
}

/** What signed heads say of the events. */
export interface SignedFound {
  /** HEAD_INVALID and HEAD_CONTRADICTS, as `pas verify` tells them. */
  readonly failures: readonly Failure[];
  /** Sizes of which there is a copy and no head, ascending. */
  readonly missing: readonly number[];
  /** Of how many events the newest head is that fits; 0: there is none. */
  readonly newest: number;
}

export interface BronzeJsonFound {
  readonly state: 'there' | 'missing' | 'invalid' | 'mismatch';
  readonly problem: string | null;
  /** Ledgers of the partitions that were adopted from the old program; null where none were. */
  readonly adopted: LedgerRange | null;
  /** What it says `storage_path` of the first event starts with; null where it does not say. */
  readonly storagePrefix: string | null;
  /** The end of the old program's chain, where one was adopted. */
  readonly oldChain: OldChainEnd | null;
}

export interface ChainFacts {
  readonly chain: ChainName;
  readonly table: string;
  /** Ends in `/`. */
  readonly storeUri: string;
  readonly storePrefix: string;
  /** First ledger of the era, as configured. */
  readonly ledgerStart: number;
  /** Whether every partition is to have an event. */
  readonly attests: boolean;
  readonly bronzeJson: BronzeJsonFound;
  /** Keys below the table and among the events that no copier writes. */
  readonly strays: readonly string[];
  /** In ledger order. */
  readonly partitions: readonly PartitionFound[];
  /** In order of sequence. */
  readonly events: readonly EventFound[];
  /** By sequence: what belongs where no event stands, or one that cannot be used. */
  readonly fills: ReadonlyMap<number, Fill>;
  /** The events that would follow the last one, of the sealed partitions that adjoin it. */
  readonly tail: readonly AttestedEvent[];
  /**
   * What the backup folder remembers, whether copies are kept or not, and what a checkpoint and a delivery pointer do that
   * are not in use.
   */
  readonly memories: readonly Memory[];
  /** Null: no copies are kept. */
  readonly copies: CopiesFound | null;
  /** Null: no checkpoints are kept. */
  readonly checkpoint: CheckpointFound | null;
  /** Null: there is no catalog. */
  readonly catalog: CatalogFound | null;
  /** Null: there is no endpoint. */
  readonly delivery: DeliveryFound | null;
  /** Null: nothing is signed. */
  readonly signed: SignedFound | null;
}
