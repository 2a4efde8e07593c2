/**
 * The rows of a catalog in DuckDB: what each call of the port does within its transaction. Set-based: many rows come in
 * as one JSON parameter. Transactions are opened and committed elsewhere; what is refused is decided in rows.ts.
 */
import type { LedgerRange } from '../../machines/protocol.ts';
import type { DatasetName, LineageRow, PartitionRecord } from '../ports/catalog.ts';
import type { CatalogDb, Row } from './duckdb-file.ts';
import {
  type ChangeRow,
  checksJson,
  columnsOf,
  correctionOf,
  descriptionOf,
  microseconds,
  planRecord,
  type StoredRow,
  schemaHash,
  spanOf,
} from './rows.ts';

/** The rows of a JSON array in the parameter `$rows`, as a table `r`. `fields`: name and type of each. */
const given = (fields: Readonly<Record<string, string>>): string =>
  `(SELECT unnest(from_json($rows, '[${JSON.stringify(fields)}]'), recursive := true)) r`;

const RANGE = { ledger_start: 'BIGINT', ledger_end: 'BIGINT' };
const SAME_RANGE = 't.ledger_start = r.ledger_start AND t.ledger_end = r.ledger_end';

const rangeOf = ({ start, end }: LedgerRange) => ({ ledger_start: start, ledger_end: end });

async function datasetId(db: CatalogDb, { domain, dataset, chain }: DatasetName): Promise<bigint | null> {
  const [row] = await db.query(
    `SELECT id FROM _meta_datasets WHERE domain = $domain AND dataset = $dataset AND version = $version
     AND era_id = $era AND network = $network`,
    { domain, dataset, version: chain.versionLabel, era: chain.eraId, network: chain.network },
  );
  return row === undefined ? null : (row.id as bigint);
}

/** The data set, made where it is missing (`columns` null: not known yet), with its `correction` where it is another version of one that is there. */
async function ensureDataset(
  db: CatalogDb,
  name: DatasetName,
  columns: 1 | 2 | null,
  createdAt: string,
): Promise<bigint> {
  const there = await datasetId(db, name);
  if (there !== null) return there;
  const { domain, dataset, chain } = name;
  const others = { domain, dataset, era: chain.eraId, network: chain.network };
  const [older] = await db.query(
    `SELECT version FROM _meta_datasets WHERE domain = $domain AND dataset = $dataset AND era_id = $era
     AND network = $network ORDER BY created_at DESC, id DESC LIMIT 1`,
    others,
  );
  const [made] = await db.query(
    `INSERT INTO _meta_datasets (domain, dataset, version, era_id, network, schema_hash, description, created_at, updated_at)
     VALUES ($domain, $dataset, $version, $era, $network, $hash, $description, $at, $at) RETURNING id`,
    {
      ...others,
      version: chain.versionLabel,
      hash: columns === null ? null : schemaHash(columns, name),
      description: descriptionOf(name),
      at: createdAt,
    },
  );
  const id = (made as Row).id as bigint;
  if (older !== undefined) await writeChanges(db, id, [correctionOf(older.version as string, name, createdAt)]);
  return id;
}

const LINEAGE = {
  ...RANGE,
  row_count: 'BIGINT',
  byte_size: 'BIGINT',
  checksum: 'VARCHAR',
  prev_hash: 'VARCHAR',
  storage_path: 'VARCHAR',
  storage_uri: 'VARCHAR',
  pas_event_id: 'VARCHAR',
  producer_version: 'VARCHAR',
  producer_git_sha: 'VARCHAR',
  source_type: 'VARCHAR',
  source_location: 'VARCHAR',
  created_at: 'TIMESTAMP',
};
const LINEAGE_FIELDS = Object.keys(LINEAGE).join(', ');
/** What the old program, or a run without an audit stream, may have left empty. */
const FILLABLE = Object.keys(LINEAGE).filter(
  (name) => LINEAGE[name as keyof typeof LINEAGE] === 'VARCHAR' && name !== 'checksum',
);

const lineageOf = (partition: PartitionRecord) => ({
  ...rangeOf(partition.range),
  row_count: partition.rowCount,
  byte_size: partition.byteSize,
  checksum: partition.checksum,
  prev_hash: partition.prevHash,
  storage_path: partition.storagePath,
  storage_uri: partition.storageUri,
  pas_event_id: partition.pasEventId,
  producer_version: partition.producerVersion,
  producer_git_sha: partition.producerGitSha,
  source_type: partition.sourceType,
  source_location: partition.sourceLocation,
  created_at: microseconds(partition.createdAt),
});

export async function recordRows(
  db: CatalogDb,
  dataset: DatasetName,
  partitions: readonly PartitionRecord[],
): Promise<void> {
  const times = partitions.map(({ createdAt }) => microseconds(createdAt)).sort();
  const columns = partitions.some((partition) => partition.columns === 2) ? 2 : 1;
  const id = await ensureDataset(db, dataset, columns, times[0] as string);
  const { added, known, changes } = planRecord(dataset, partitions, await storedRows(db, id, spanOf(partitions)));
  await db.query(
    `INSERT INTO _meta_lineage (dataset_id, ${LINEAGE_FIELDS}) SELECT $id, ${LINEAGE_FIELDS} FROM ${given(LINEAGE)}`,
    { id, rows: JSON.stringify(added.map(lineageOf)) },
  );
  if (known.length > 0) await fillRows(db, id, known);
  await passedRows(db, id, partitions);
  await writeChanges(db, id, changes);
  // Whichever of its partitions was recorded first, the data set says the same.
  await db.query(
    `UPDATE _meta_datasets SET created_at = least(created_at, $from), updated_at = greatest(updated_at, $to),
       schema_hash = CASE WHEN $newest THEN $hash ELSE coalesce(schema_hash, $hash) END
     WHERE id = $id AND (created_at > $from OR updated_at < $to OR schema_hash IS NULL OR ($newest AND schema_hash <> $hash))`,
    {
      id,
      from: times[0] as string,
      to: times.at(-1) as string,
      newest: columns === 2,
      hash: schemaHash(columns, dataset),
    },
  );
}

/** Fills what is empty; nothing else in a row changes. */
async function fillRows(db: CatalogDb, id: bigint, known: readonly PartitionRecord[]): Promise<void> {
  const filled = FILLABLE.map((name) => `${name} = coalesce(nullif(t.${name}, ''), r.${name})`);
  const empty = FILLABLE.map((name) => `(coalesce(t.${name}, '') = '' AND r.${name} <> '')`);
  await db.query(
    `UPDATE _meta_lineage t SET ${filled.join(', ')} FROM ${given(LINEAGE)}
     WHERE t.dataset_id = $id AND ${SAME_RANGE} AND (${empty.join(' OR ')})`,
    { id, rows: JSON.stringify(known.map(lineageOf)) },
  );
}

async function storedRows(db: CatalogDb, id: bigint, span: LedgerRange): Promise<StoredRow[]> {
  const rows = await db.query(
    `SELECT l.ledger_start, l.ledger_end, l.row_count, l.byte_size, l.checksum,
            strftime(l.created_at, '%Y-%m-%dT%H:%M:%S.%fZ') AS created_at,
            (SELECT max(c.new_version) FROM _meta_changes c WHERE c.dataset_id = l.dataset_id
              AND c.change_type = 'backfill' AND c.ledger_start = l.ledger_start AND c.ledger_end = l.ledger_end) AS columns
     FROM _meta_lineage l WHERE l.dataset_id = $id AND l.ledger_end >= $start AND l.ledger_start <= $end`,
    { id, start: BigInt(span.start), end: BigInt(span.end) },
  );
  return rows.map((row) => ({
    range: { start: Number(row.ledger_start), end: Number(row.ledger_end) },
    rowCount: Number(row.row_count),
    byteSize: Number(row.byte_size),
    checksum: row.checksum as string,
    createdAt: row.created_at as string,
    columns: columnsOf(row.columns as string | null),
  }));
}

const QUALITY = { ...RANGE, checks: 'JSON', created_at: 'TIMESTAMP' };

/** Passed takes the place of a failure; a passed row without its checks is the old program's. */
async function passedRows(db: CatalogDb, id: bigint, partitions: readonly PartitionRecord[]): Promise<void> {
  const rows = JSON.stringify(
    partitions.map(({ range, checks, createdAt }) => ({
      ...rangeOf(range),
      checks: JSON.parse(checksJson(checks)),
      created_at: microseconds(createdAt),
    })),
  );
  await db.query(
    `UPDATE _meta_quality t SET passed = true, error_message = NULL, checks = r.checks,
       created_at = CASE WHEN t.passed THEN t.created_at ELSE r.created_at END
     FROM ${given(QUALITY)} WHERE t.dataset_id = $id AND ${SAME_RANGE} AND (NOT t.passed OR t.checks IS NULL)`,
    { id, rows },
  );
  await db.query(
    `INSERT INTO _meta_quality (dataset_id, ledger_start, ledger_end, passed, checks, created_at)
     SELECT $id, r.ledger_start, r.ledger_end, true, r.checks, r.created_at FROM ${given(QUALITY)}
     WHERE NOT EXISTS (SELECT 1 FROM _meta_quality t WHERE t.dataset_id = $id AND ${SAME_RANGE})
     ORDER BY r.ledger_start`,
    { id, rows },
  );
}

/** The one row that follows from no manifest: when it was said is when it happened. */
export async function failureRow(
  db: CatalogDb,
  dataset: DatasetName,
  range: LedgerRange,
  message: string,
): Promise<void> {
  const now = microseconds(new Date().toISOString());
  const id = await ensureDataset(db, dataset, null, now);
  const bounds = { id, start: BigInt(range.start), end: BigInt(range.end) };
  const here = 'dataset_id = $id AND ledger_start = $start AND ledger_end = $end';
  const recorded = await db.query(`SELECT 1 FROM _meta_lineage WHERE ${here}`, bounds);
  if (recorded.length > 0) return;
  const [row] = await db.query(`SELECT passed, error_message FROM _meta_quality WHERE ${here}`, bounds);
  if (row?.passed === true || row?.error_message === message) return;
  await db.query(
    row === undefined
      ? `INSERT INTO _meta_quality (dataset_id, ledger_start, ledger_end, passed, error_message, created_at)
         VALUES ($id, $start, $end, false, $message, $now)`
      : `UPDATE _meta_quality SET error_message = $message, created_at = $now WHERE ${here}`,
    { ...bounds, message, now },
  );
}

const CHANGE = {
  ...RANGE,
  change_type: 'VARCHAR',
  description: 'VARCHAR',
  old_version: 'VARCHAR',
  new_version: 'VARCHAR',
  created_at: 'TIMESTAMP',
};
const CHANGE_FIELDS = Object.keys(CHANGE).join(', ');

async function writeChanges(db: CatalogDb, id: bigint, changes: readonly ChangeRow[]): Promise<void> {
  const rows = changes.map((change) => ({
    ledger_start: change.range?.start ?? null,
    ledger_end: change.range?.end ?? null,
    change_type: change.changeType,
    description: change.description,
    old_version: change.oldVersion,
    new_version: change.newVersion,
    created_at: change.createdAt,
  }));
  await db.query(
    `INSERT INTO _meta_changes (dataset_id, ${CHANGE_FIELDS}) SELECT $id, ${CHANGE_FIELDS} FROM ${given(CHANGE)}
     WHERE NOT EXISTS (SELECT 1 FROM _meta_changes t WHERE t.dataset_id = $id AND t.change_type = r.change_type
       AND t.ledger_start IS NOT DISTINCT FROM r.ledger_start AND t.ledger_end IS NOT DISTINCT FROM r.ledger_end)`,
    { id, rows: JSON.stringify(rows) },
  );
}

/** The lineage, quality and change rows of exactly these ranges go. */
export async function forgetRows(db: CatalogDb, dataset: DatasetName, ranges: readonly LedgerRange[]): Promise<void> {
  const id = await datasetId(db, dataset);
  if (id === null) return;
  for (const table of ['_meta_lineage', '_meta_quality', '_meta_changes']) {
    await db.query(`DELETE FROM ${table} t USING ${given(RANGE)} WHERE t.dataset_id = $id AND ${SAME_RANGE}`, {
      id,
      rows: JSON.stringify(ranges.map(rangeOf)),
    });
  }
}

/** By ledger; empty where there is no such data set. */
export async function lineageRows(db: CatalogDb, dataset: DatasetName): Promise<LineageRow[]> {
  const id = await datasetId(db, dataset);
  if (id === null) return [];
  const rows = await db.query(
    `SELECT ledger_start, ledger_end, row_count, byte_size, checksum, nullif(prev_hash, '') AS prev_hash,
            coalesce(storage_path, '') AS storage_path, coalesce(storage_uri, '') AS storage_uri,
            nullif(pas_event_id, '') AS pas_event_id
     FROM _meta_lineage WHERE dataset_id = $id ORDER BY ledger_start, ledger_end`,
    { id },
  );
  return rows.map((row) => ({
    range: { start: Number(row.ledger_start), end: Number(row.ledger_end) },
    rowCount: Number(row.row_count),
    byteSize: Number(row.byte_size),
    checksum: row.checksum as string,
    prevHash: row.prev_hash as string | null,
    storagePath: row.storage_path as string,
    storageUri: row.storage_uri as string,
    pasEventId: row.pas_event_id as string | null,
  }));
}
