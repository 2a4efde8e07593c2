/**
 * The ports: what the program needs from the outside world, as interfaces. One folder per port holds one file per
 * backend. Everything above a port must work with any backend; nothing here may name one.
 */
import type { CheckpointFacts, ChecksDone, LedgerRange, StoredPart } from '../machines/protocol.ts';
import type { ChainName } from './paths.ts';
import type { BucketPlace, GcsPlace, S3Place } from './remote/bucket.ts';

// ── source: a Galexie lake ───────────────────────────────────────────────────────────────────────────────────────

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

// ── store: where Bronze lies ─────────────────────────────────────────────────────────────────────────────────────

export interface StoredObject {
  readonly key: string;
  /** Bytes. */
  readonly size: number;
}

/** Random access to one stored object. */
export interface ObjectReader {
  readonly size: number;
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** Writes one staged object, in a thread. `write` may keep no reference to the chunk after it returned. */
export interface StagingWriter {
  write(chunk: Uint8Array): void | Promise<void>;
  /** Ends writing; the handle is what `stage`, `publish` and `discard` take. Not yet durable. */
  finish(): Promise<string>;
  /** Removes what was written. Never throws. */
  abort(): Promise<void>;
}

/** Whether the store itself refuses to write over what stands there. Where it does not, its adapter has to fence. */
export interface Conditions {
  /** For small objects: `create`. */
  readonly create: boolean;
  /** For data objects: `publish`. */
  readonly publish: boolean;
}

/**
 * Object storage as this program needs it. Keys are relative to the configured prefix and use `/`.
 * Every method throws BronzeError (STORE_*); "not there" is never an error and an error is never "not there".
 */
export interface BronzeStore {
  /** URI of the root, with the prefix, ending in `/`. */
  readonly uri: string;
  /** What `storage_path` in events starts with: the configured prefix, e.g. `bronze/`. */
  readonly prefix: string;
  /** Whether what is there is such a store at all, before it is believed that something is not there. Writes nothing. */
  check(signal?: AbortSignal): Promise<void>;
  /** Makes the place that everything is written below, durably. Called once before anything is staged. */
  prepare(): Promise<void>;
  /** What the store itself enforces; null where that is not known before `prepare`. Writes nothing. */
  conditions(): Promise<Conditions | null>;
  /** The parts that an object consists of as it was staged, for its manifest; null where it is in one piece. */
  partsOf(handle: string): readonly StoredPart[] | null;
  /** All objects below a key prefix that ends in `/`, in key order; empty where there is none. */
  list(keyPrefix: string, signal?: AbortSignal): Promise<StoredObject[]>;
  /**
   * Names of the folders right below a key prefix that ends in `/`, in no order; empty where there is none. Only those
   * that begin with `beginning`, where it is given.
   */
  folders(keyPrefix: string, signal?: AbortSignal, beginning?: string): Promise<string[]>;
  /** A small object whole; null where there is none. */
  get(key: string, signal?: AbortSignal): Promise<Uint8Array | null>;
  /** Null where there is no such object. */
  open(key: string, signal?: AbortSignal): Promise<ObjectReader | null>;
  /**
   * Creates a small object, durably, only if there is none. `created`: exactly these bytes stand there, by the store's
   * own checksum or read back. `exists` may also be the answer where this very call (or a lost one before) created it:
   * the caller reads back. Throws ANSWER_UNTRUE where it is said to be created, and is not there.
   */
  create(key: string, bytes: Uint8Array, signal?: AbortSignal): Promise<'created' | 'exists'>;
  /** Makes what a StagingWriter wrote durable, still invisible. Throws STAGED_GONE where it is not there or cut. */
  stage(handle: string, bytes: number, signal?: AbortSignal): Promise<void>;
  /**
   * Makes the staged object visible under `key`, durably, only if nothing stands there. `published`: it was asked for
   * afterwards, and is there by its size and the store's checksum. `first` is awaited before anything becomes visible,
   * and what it throws is thrown; what nobody sees may be done meanwhile.
   */
  publish(
    handle: string,
    key: string,
    signal?: AbortSignal,
    first?: () => Promise<void>,
  ): Promise<'published' | 'exists'>;
  /** Removes staged objects; what is gone already is fine. */
  discard(handles: readonly string[], signal?: AbortSignal): Promise<void>;
  /** Starts staging below a chain's prefix; `owner` is the nonce of the lock's holder and becomes part of the name. */
  stagingSpec(chainPrefix: string, owner: string): StagingSpec;
  /**
   * Prepares for somebody elsewhere to stage one object: what he will begin is known here, durably, before he begins.
   * `staging` must have been made by `stagingSpec`.
   */
  reserve(staging: StagingSpec, target: StagingTarget, signal?: AbortSignal): Promise<Reservation>;
  /** Removes staging objects of `owners`, and of anybody when older than a day by the store's own clock. */
  sweep(chainPrefix: string, owners: readonly string[], signal?: AbortSignal): Promise<number>;
  /** Bytes that can still be written; null where that is not known. */
  freeBytes(): Promise<number | null>;
}

/** A place for one staged object that somebody elsewhere writes. */
export interface Reservation {
  /** The upload that was begun for it; null where writers need none. */
  readonly upload: string | null;
  /** Whether a handle stands for what was staged for exactly this target. */
  owns(handle: string): boolean;
  /** Gives up what was begun; what a late writer still sends finds nothing. Nothing happens where nothing was. */
  release(signal?: AbortSignal): Promise<void>;
}

/** What a thread needs to open a StagingWriter; plain data without secrets. `owner`: nonce of the lock's holder. */
export type StagingSpec =
  | { readonly backend: 'local'; readonly folder: string; readonly owner: string }
  | {
      readonly backend: 's3';
      readonly place: S3Place;
      /** Configured prefix, `''` or ending in `/`: what keys of the port are below. */
      readonly prefix: string;
      readonly owner: string;
      /** Absolute path of the owner's journal of uploads; null where nobody keeps one. */
      readonly journal: string | null;
      /** An upload that the owner has begun for this one target; absent: the writer begins one. */
      readonly upload?: string;
    }
  | {
      readonly backend: 'gcs';
      readonly place: GcsPlace;
      /** Full key prefix of staging objects, ending in `/`. */
      readonly folder: string;
      readonly owner: string;
    };

/** One object to be staged. */
export interface StagingTarget {
  /** Distinguishes attempts: letters, digits, `.`, `_` and `-`. */
  readonly name: string;
  /** The key that it is to be published under; some backends write below it from the first byte, invisibly. */
  readonly key: string;
}

// ── state: hints beside the copier, never the truth ──────────────────────────────────────────────────────────────

/** Checkpoint of one era. Read returns null for anything that cannot be used, and says why through `problem`. */
export interface CheckpointStore {
  /**
   * `belongsTo`: the chain that it is of, where that is another one. `isOld`: the old program wrote it; nothing is wrong.
   * `old`: what that said, which vouches for nothing.
   */
  read(): Promise<{
    facts: CheckpointFacts | null;
    problem: string | null;
    belongsTo?: string;
    isOld?: true;
    old?: CheckpointFacts;
  }>;
  write(range: LedgerRange, checksum: string): Promise<void>;
}

/** A held lock on one chain. */
export interface ChainLock {
  /** Nonce of this holder: names its staging objects. */
  readonly nonce: string;
  /** Nonces of former holders whose staging objects may still lie there. */
  readonly orphaned: readonly string[];
  /** Says that the staging objects of former holders are gone. */
  swept(): Promise<void>;
  /** Throws LOCK_LOST once somebody else holds the lock. */
  assertHeld(): void;
  /** `isUnused`: nothing was ever staged under this nonce, so no later holder has to look for it. */
  release(isUnused?: boolean): Promise<void>;
}

// ── catalog: what is there, from where, checked how ──────────────────────────────────────────────────────────────

/** What a catalog calls a data set: one table of one chain. */
export interface DatasetName {
  /** `catalog.namespace`. */
  readonly domain: string;
  /** Name of the table, `ledgers_lcm_raw`. */
  readonly dataset: string;
  readonly chain: ChainName;
}

/** One partition's line of descent, as catalogs keep it. */
export interface LineageRow {
  readonly range: LedgerRange;
  readonly rowCount: number;
  /** Bytes of the data object. */
  readonly byteSize: number;
  /** `sha256:` + hex of the data object. */
  readonly checksum: string;
  /** Checksum of the partition that ends where this one begins; null for the first one. */
  readonly prevHash: string | null;
  /** Key of the data object, with the store's prefix. */
  readonly storagePath: string;
  readonly storageUri: string;
  /** Null where there is no audit stream. */
  readonly pasEventId: string | null;
}

/**
 * What is recorded of one partition: follows from the stored manifest, its event and the partition before, and from
 * nothing else, so that whoever writes it again writes the same.
 */
export interface PartitionRecord extends LineageRow {
  readonly producerVersion: string;
  readonly producerGitSha: string;
  /** Where the ledgers came from: `local`, `gcs`, `s3`; `unknown` where the manifest does not say (columns 1). */
  readonly sourceType: 'local' | 'gcs' | 's3' | 'unknown';
  /** URI; empty where the manifest does not say. */
  readonly sourceLocation: string;
  /** The manifest's created_at: RFC 3339, UTC, up to nanoseconds. */
  readonly createdAt: string;
  /** For the quality row: what was recomputed. */
  readonly checks: ChecksDone;
  /** Column definition of the partition. */
  readonly columns: 1 | 2;
}

/**
 * Tables `_meta_*` (contract, section 9). Every call ends within two minutes or throws, and throws BronzeError:
 * CATALOG_UNAVAILABLE (a retry may help), CATALOG_DENIED, CATALOG_SCHEMA, CATALOG_CONFLICT. No message holds a password.
 * `held`: a reader holds the catalog open; nothing was written, and it is no error in any mode.
 */
export interface Catalog {
  /** For messages; no credentials in it. */
  readonly uri: string;
  /** Creates or migrates the tables and views; idempotent, safe when two processes do it at once. */
  prepare(signal?: AbortSignal): Promise<'ready' | 'held'>;
  /** What is missing of what `prepare` needs, without writing anything. Throws what it would throw. */
  probe(signal?: AbortSignal): Promise<void>;
  /**
   * Data set, lineage, quality and change rows of partitions in ledger order, all of them or none, in one transaction,
   * durable when it answers. What is there already with the same content stays as it is. Throws CATALOG_CONFLICT where
   * other content of a range, or a range that overlaps, is recorded.
   */
  record(
    dataset: DatasetName,
    partitions: readonly PartitionRecord[],
    signal?: AbortSignal,
  ): Promise<'recorded' | 'held'>;
  /** Quality row `passed = false` of a partition that was refused and is not recorded; one that passed later replaces it. */
  recordFailure(
    dataset: DatasetName,
    range: LedgerRange,
    message: string,
    signal?: AbortSignal,
  ): Promise<'recorded' | 'held'>;
  /** All lineage rows of a data set, by ledger; empty where it or the catalog itself is not there. Null: held. */
  rows(dataset: DatasetName, signal?: AbortSignal): Promise<readonly LineageRow[] | null>;
  /** Removes the lineage, quality and change rows of exactly these ranges: only for `reconcile --repair`. */
  forget(dataset: DatasetName, ranges: readonly LedgerRange[], signal?: AbortSignal): Promise<'recorded' | 'held'>;
  close(): Promise<void>;
}

export type CatalogSpec =
  | {
      readonly backend: 'embedded';
      /** Absolute path of the folder; the file in it is `catalog.duckdb`. */
      readonly dir: string;
    }
  | { readonly backend: 'postgres'; readonly dsn: string }
  | {
      readonly backend: 'bigquery';
      readonly project: string;
      readonly dataset: string;
      /** Null = the project's default. */
      readonly location: string | null;
      /** Whether each partition is loaded into a table as well; only with Bronze in GCS. */
      readonly load: boolean;
    };

// ── delivery: the audit stream's endpoint ────────────────────────────────────────────────────────────────────────

/** Who takes the events of the audit stream, over HTTP. */
export interface AuditEndpoint {
  /** For messages; no credentials in it. */
  readonly uri: string;
  /**
   * Posts one event, as stored, with `event_id` as its idempotency key; answers once it was acknowledged (2xx, or 409
   * by somebody who has the same event). Throws AUDIT_FORK (409 and another hash), DELIVERY_REFUSED, DELIVERY_FAILED.
   */
  post(
    event: { readonly eventId: string; readonly eventHash: string; readonly bytes: Uint8Array },
    signal?: AbortSignal,
  ): Promise<void>;
  /** Whether somebody answers there who may take events; posts nothing. Throws what `post` would throw. */
  probe(signal?: AbortSignal): Promise<void>;
}

/** The last event of a chain that was acknowledged. */
export interface Delivered {
  readonly sequence: number;
  readonly eventHash: string;
}

/** How far the delivery of one chain came; only a hint: without it everything is posted again. */
export interface DeliveryPointer {
  /** `problem`: why what is there cannot be used. */
  read(): Promise<{ delivered: Delivered | null; problem: string | null }>;
  /** What stands there of this chain, whichever endpoint it was for; null where it says nothing that can be used. */
  remembered(): Promise<Delivered | null>;
  write(delivered: Delivered): Promise<void>;
}

// ── what a thread is told to open; plain data, no secrets: SDKs find credentials by themselves ────────────────────────

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
      readonly place: BucketPlace;
      /** The lake's root in the bucket: `''` or ending in `/`. */
      readonly prefix: string;
      readonly configured: ConfiguredNumbers;
    };

export type StoreSpec =
  | {
      readonly backend: 'local';
      /** Absolute path of the folder that keys are relative to, without the prefix. */
      readonly root: string;
      /** `''` or ending in `/`. */
      readonly prefix: string;
    }
  | {
      readonly backend: 's3';
      readonly place: S3Place;
      readonly prefix: string;
      /** Absolute path of the state folder, for journals of uploads; null for a reader. */
      readonly stateDir: string | null;
    }
  | { readonly backend: 'gcs'; readonly place: GcsPlace; readonly prefix: string };
