/** The port of the catalog: what is there, from where, checked how. Backends are in actors/catalog/. */
import type { ChecksDone, LedgerRange } from '../../machines/protocol.ts';
import type { ChainName } from '../bronze/names.ts';

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
