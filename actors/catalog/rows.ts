/**
 * What stands in a catalog, whichever backend keeps it (contract, section 9): tables and columns, what the rows of a
 * partition say, and when a row is refused. Everything follows from the records and from what is stored already. Pure:
 * no I/O, no clock, no backend.
 */
import { createHash } from 'node:crypto';
import { BronzeError } from '../../machines/errors.ts';
import type { ChecksDone, LedgerRange } from '../../machines/protocol.ts';
import { expectedColumns } from '../parquet/expected-columns.ts';
import type { DatasetName, LineageRow, PartitionRecord } from '../ports/catalog.ts';

/** Version of the tables below, in `_meta_schema`. Another definition is a new number and a migration. */
export const CATALOG_VERSION = 1;

/** `id`: a key, in whatever form a backend has. Timestamps are UTC with microseconds. */
export type ColumnType = 'id' | 'integer' | 'text' | 'boolean' | 'json' | 'timestamp';

export interface CatalogColumn {
  readonly name: string;
  readonly type: ColumnType;
  /** Not null. */
  readonly required: boolean;
}

export interface CatalogTable {
  readonly columns: readonly CatalogColumn[];
  /** One row each. */
  readonly unique: readonly string[];
}

/** `domain text!, description text`: `!` = required. */
const table = (columns: string, unique: string): CatalogTable => ({
  columns: columns.split(', ').map((column) => {
    const [name, type] = column.replace('!', '').split(' ') as [string, ColumnType];
    return { name, type, required: column.endsWith('!') };
  }),
  unique: unique.split(', '),
});

export const TABLES = {
  _meta_schema: table('version integer!, applied_at timestamp!', 'version'),
  _meta_datasets: table(
    'id id!, domain text!, dataset text!, version text!, era_id text!, network text!, schema_hash text, ' +
      'description text, created_at timestamp!, updated_at timestamp!',
    'domain, dataset, version, era_id, network',
  ),
  _meta_lineage: table(
    'id id!, dataset_id id!, ledger_start integer!, ledger_end integer!, row_count integer!, byte_size integer!, ' +
      'checksum text!, prev_hash text, storage_path text, storage_uri text, pas_event_id text, producer_version text, ' +
      'producer_git_sha text, source_type text, source_location text, created_at timestamp!',
    'dataset_id, ledger_start, ledger_end',
  ),
  _meta_quality: table(
    'id id!, dataset_id id!, ledger_start integer!, ledger_end integer!, passed boolean!, error_message text, ' +
      'checks json, created_at timestamp!',
    'dataset_id, ledger_start, ledger_end',
  ),
  _meta_changes: table(
    'id id!, dataset_id id!, change_type text!, description text, old_version text, new_version text, ' +
      'ledger_start integer, ledger_end integer, created_at timestamp!',
    'id',
  ),
} as const satisfies Record<string, CatalogTable>;

export type TableName = keyof typeof TABLES;

/**
 * Queries of the two views, in SQL that every backend understands; `of` writes a table's name as the backend wants it.
 * A gap lies between two recorded partitions: before the first and after the last one nothing is said to be missing.
 */
export const VIEWS = {
  _meta_gaps: (of: (name: TableName) => string): string =>
    `SELECT d.domain, d.dataset, d.version, d.era_id, d.network,
            l.ledger_end + 1 AS gap_start, l.next_start - 1 AS gap_end
     FROM (SELECT dataset_id, ledger_end,
                  LEAD(ledger_start) OVER (PARTITION BY dataset_id ORDER BY ledger_start) AS next_start
           FROM ${of('_meta_lineage')}) l
     JOIN ${of('_meta_datasets')} d ON d.id = l.dataset_id
     WHERE l.next_start > l.ledger_end + 1`,
  _meta_coverage: (of: (name: TableName) => string): string =>
    `SELECT d.domain, d.dataset, d.version, d.era_id, d.network,
            MIN(l.ledger_start) AS min_ledger, MAX(l.ledger_end) AS max_ledger,
            COUNT(*) AS partition_count,
            CAST(SUM(l.row_count) AS BIGINT) AS total_rows, CAST(SUM(l.byte_size) AS BIGINT) AS total_bytes,
            CAST(SUM(CASE WHEN l.next_start > l.ledger_end + 1 THEN 1 ELSE 0 END) AS BIGINT) AS gap_count,
            CAST(SUM(CASE WHEN l.next_start > l.ledger_end + 1 THEN l.next_start - l.ledger_end - 1 ELSE 0 END) AS BIGINT)
              AS missing_ledgers
     FROM (SELECT dataset_id, ledger_start, ledger_end, row_count, byte_size,
                  LEAD(ledger_start) OVER (PARTITION BY dataset_id ORDER BY ledger_start) AS next_start
           FROM ${of('_meta_lineage')}) l
     JOIN ${of('_meta_datasets')} d ON d.id = l.dataset_id
     GROUP BY d.domain, d.dataset, d.version, d.era_id, d.network`,
} as const;

// ── what rows say ────────────────────────────────────────────────────────────────────────────────────────────────

/** RFC 3339 in UTC, cut (never rounded) to exactly six digits of a second, so that texts compare as times do. */
export function microseconds(utc: string): string {
  const match = /^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:\.(\d+))?(?:[Zz]|[+-]00:00)$/.exec(utc);
  if (match === null) throw new BronzeError('INTERNAL', `${utc} is no time in UTC`);
  return `${match[1]}T${match[2]}.${(match[3] ?? '').slice(0, 6).padEnd(6, '0')}Z`;
}

/** JSON of `_meta_quality.checks`, its keys in order. */
export const checksJson = (checks: ChecksDone): string =>
  JSON.stringify(Object.fromEntries(Object.entries(checks).sort(([a], [b]) => (a < b ? -1 : 1))));

/** `_meta_datasets.schema_hash`: SHA-256 of the names and types of the columns of a definition. */
export function schemaHash(columns: 1 | 2, { chain }: DatasetName): string {
  const lines = expectedColumns(columns, chain).map(({ element }) => {
    const logical = element.logical_type === undefined ? '' : ` ${JSON.stringify(element.logical_type)}`;
    return `${element.name} ${element.type}${logical}\n`;
  });
  return `sha256:${createHash('sha256').update(lines.join('')).digest('hex')}`;
}

/** `_meta_datasets.description`. */
export const descriptionOf = ({ dataset, chain }: DatasetName): string =>
  `${dataset} of ${chain.network}, era ${chain.eraId}, version ${chain.versionLabel}`;

/** For messages. */
const nameOf = ({ domain, dataset, chain }: DatasetName): string =>
  `${domain}/${dataset} (${chain.network}/${chain.eraId}/${chain.versionLabel})`;

export interface ChangeRow {
  readonly changeType: 'correction' | 'schema_change' | 'backfill';
  readonly description: string;
  readonly oldVersion: string | null;
  readonly newVersion: string | null;
  /** Null: the whole data set. One row per change type and range. */
  readonly range: LedgerRange | null;
  /** As `microseconds` gives it. */
  readonly createdAt: string;
}

const definition = (columns: 1 | 2): string => `columns ${columns}`;

/** Column definition of a partition, from `new_version` of its `backfill` row: the old program wrote none. */
export const columnsOf = (newVersion: string | null): 1 | 2 => (newVersion === definition(2) ? 2 : 1);

/** The data set is new, and there is `older`, the latest other version of it. */
export const correctionOf = (older: string, { chain }: DatasetName, createdAt: string): ChangeRow => ({
  changeType: 'correction',
  description: `version ${chain.versionLabel} beside version ${older}`,
  oldVersion: older,
  newVersion: chain.versionLabel,
  range: null,
  createdAt: microseconds(createdAt),
});

const backfillOf = ({ range, columns, createdAt }: Recorded): ChangeRow => ({
  changeType: 'backfill',
  description: `partition ${range.start}-${range.end} copied`,
  oldVersion: null,
  newVersion: definition(columns),
  range,
  createdAt: microseconds(createdAt),
});

const schemaChangeOf = ({ range, createdAt }: Recorded): ChangeRow => ({
  changeType: 'schema_change',
  description: `from ledger ${range.start} on with ${definition(2)}`,
  oldVersion: definition(1),
  newVersion: definition(2),
  range,
  createdAt: microseconds(createdAt),
});

// ── what a record does ───────────────────────────────────────────────────────────────────────────────────────────

type Recorded = Pick<PartitionRecord, 'range' | 'columns' | 'createdAt'>;

/** A lineage row as it stands, with `columnsOf` its `backfill` row. */
export interface StoredRow extends Pick<LineageRow, 'range' | 'rowCount' | 'byteSize' | 'checksum'>, Recorded {}

export interface RecordPlan {
  /** No row yet. */
  readonly added: readonly PartitionRecord[];
  /** A row with this content is there: only what is null or empty in it may be filled. */
  readonly known: readonly PartitionRecord[];
  /** To be inserted where no row of this change type and range is there. */
  readonly changes: readonly ChangeRow[];
}

/** The ledgers whose stored rows `planRecord` has to see: those of the records, and a neighbour on either side. */
export function spanOf(partitions: readonly PartitionRecord[]): LedgerRange {
  const start = Math.min(...partitions.map(({ range }) => range.start));
  const end = Math.max(...partitions.map(({ range }) => range.end));
  return { start: start - 1, end: end + 1 };
}

const tell = ({ range, checksum, rowCount, byteSize }: Omit<StoredRow, 'columns' | 'createdAt'>): string =>
  `${range.start}-${range.end} (${checksum}, ${rowCount} rows, ${byteSize} bytes)`;

/** CATALOG_CONFLICT of a partition with what is recorded. */
function conflictOf(
  dataset: DatasetName,
  partition: PartitionRecord,
  stored: Omit<StoredRow, 'columns' | 'createdAt'>,
): BronzeError {
  const { start, end } = partition.range;
  const how = start === stored.range.start && end === stored.range.end ? 'has other content than' : 'overlaps';
  return new BronzeError(
    'CATALOG_CONFLICT',
    `the catalog refuses a row of ${nameOf(dataset)}: ${tell(partition)} ${how} ${tell(stored)}, which is recorded`,
    {
      details: {
        start,
        end,
        found: tell(stored),
        expected: tell(partition),
        hint: 'find out who wrote the other row; Bronze decides',
      },
    },
  );
}

/**
 * What has to be written for `partitions`. `stored`: every lineage row of the data set that shares a ledger with
 * `spanOf(partitions)`, read in the same transaction, in any order. Throws CATALOG_CONFLICT.
 */
export function planRecord(
  dataset: DatasetName,
  partitions: readonly PartitionRecord[],
  stored: readonly StoredRow[],
): RecordPlan {
  const added: PartitionRecord[] = [];
  const known: PartitionRecord[] = [];
  const byStart = [...stored].sort((a, b) => a.range.start - b.range.start);
  const wanted = [...partitions].sort((a, b) => a.range.start - b.range.start);
  let next = 0;
  for (const [n, partition] of wanted.entries()) {
    const { start, end } = partition.range;
    const before = wanted[n - 1];
    if (before !== undefined && before.range.end >= start) throw conflictOf(dataset, partition, before);
    while ((byStart[next]?.range.end ?? start) < start) next += 1;
    const there = byStart[next];
    if (there === undefined || there.range.start > end) {
      added.push(partition);
      continue;
    }
    const same =
      there.range.start === start &&
      there.range.end === end &&
      there.checksum === partition.checksum &&
      there.rowCount === partition.rowCount &&
      there.byteSize === partition.byteSize;
    if (!same) throw conflictOf(dataset, partition, there);
    known.push(partition);
  }
  return { added, known, changes: changesOf(wanted, byStart) };
}

/**
 * Of each partition its `backfill`, and a `schema_change` wherever columns 2 follow right upon columns 1, whichever of
 * the two was recorded first.
 */
function changesOf(wanted: readonly PartitionRecord[], stored: readonly StoredRow[]): ChangeRow[] {
  const byStart = new Map<number, Recorded>();
  for (const row of [...stored, ...wanted]) byStart.set(row.range.start, row);
  const fresh = new Set<Recorded>(wanted);
  const changes = wanted.map(backfillOf);
  for (const row of byStart.values()) {
    const after = byStart.get(row.range.end + 1);
    if (after === undefined || !(fresh.has(row) || fresh.has(after))) continue;
    if (row.columns === 1 && after.columns === 2) changes.push(schemaChangeOf(after));
  }
  return changes;
}
