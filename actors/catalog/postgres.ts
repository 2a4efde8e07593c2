/**
 * The catalog in PostgreSQL (contract, section 9). One call is one transaction; everything about many partitions is one
 * statement. Writers of one data set wait for each other at its row; whoever does not, is stopped by the constraints.
 * It must never change what is recorded, but for what is null in it, and never answer before a commit is durable.
 */
import type { LedgerRange } from '../../machines/protocol.ts';
import type { Catalog, CatalogSpec, DatasetName, LineageRow, PartitionRecord } from '../ports/catalog.ts';
import { type PostgresAddress, parseDsn } from './postgres-dsn.ts';
import { examine, isCurrent, migrate } from './postgres-schema.ts';
import { type Ask, LIMITS, type PostgresLimits, PostgresSessions } from './postgres-session.ts';
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

/**
 * Connects to nothing yet. `limits`: for tests.
 * @throws CONFIG_INVALID where the connection string cannot be understood
 */
export function openPostgres(
  spec: Extract<CatalogSpec, { backend: 'postgres' }>,
  limits: PostgresLimits = LIMITS,
): Catalog {
  return new PostgresCatalog(parseDsn(spec.dsn), limits);
}

class PostgresCatalog implements Catalog {
  readonly uri: string;
  readonly #sessions: PostgresSessions;

  constructor(address: PostgresAddress, limits: PostgresLimits) {
    this.uri = address.uri;
    this.#sessions = new PostgresSessions(address, limits);
  }

  async prepare(signal?: AbortSignal): Promise<'ready'> {
    const ready = await this.#sessions.transaction('look at the catalog in', 'write', signal, isCurrent);
    if (!ready) await this.#sessions.transaction('make the tables of the catalog in', 'write', signal, migrate);
    return 'ready';
  }

  async probe(signal?: AbortSignal): Promise<void> {
    await this.#sessions.transaction('look at the catalog in', 'write', signal, examine);
  }

  async record(
    dataset: DatasetName,
    partitions: readonly PartitionRecord[],
    signal?: AbortSignal,
  ): Promise<'recorded'> {
    if (partitions.length === 0) return 'recorded';
    await this.#sessions.transaction('record partitions in', 'write', signal, async (ask) => {
      const id = await datasetRow(ask, dataset, partitions);
      const plan = planRecord(dataset, partitions, await storedRows(ask, id, spanOf(partitions)));
      if (plan.added.length > 0) await insertLineage(ask, id, plan.added);
      if (plan.known.length > 0) await fillLineage(ask, id, plan.known);
      await insertQuality(ask, id, partitions);
      await insertChanges(ask, id, plan.changes);
    });
    return 'recorded';
  }

  async recordFailure(
    dataset: DatasetName,
    range: LedgerRange,
    message: string,
    signal?: AbortSignal,
  ): Promise<'recorded'> {
    await this.#sessions.transaction('record a failure in', 'write', signal, async (ask) => {
      const id = await datasetRow(ask, dataset, []);
      await ask(
        `INSERT INTO _meta_quality AS q (dataset_id, ledger_start, ledger_end, passed, error_message)
         VALUES ($1, $2, $3, false, $4)
         ON CONFLICT (dataset_id, ledger_start, ledger_end) DO UPDATE
         SET error_message = EXCLUDED.error_message, created_at = EXCLUDED.created_at
         WHERE NOT q.passed AND q.error_message IS DISTINCT FROM EXCLUDED.error_message`,
        // PostgreSQL's text holds no NUL.
        [id, range.start, range.end, message.replaceAll('\0', '')],
      );
    });
    return 'recorded';
  }

  async rows(dataset: DatasetName, signal?: AbortSignal): Promise<readonly LineageRow[]> {
    return this.#sessions.transaction('read the rows of', 'read', signal, async (ask) => {
      const [there] = await ask<{ all: boolean }>(
        "SELECT to_regclass('_meta_datasets') IS NOT NULL AND to_regclass('_meta_lineage') IS NOT NULL AS all",
      );
      if (there?.all !== true) return [];
      const rows = await ask<Stored>(
        // The old program's table has no pas_event_id, and reading does not migrate it.
        `SELECT ${LINEAGE}, l.prev_hash, l.storage_path, l.storage_uri, to_jsonb(l) ->> 'pas_event_id' AS pas_event_id
         FROM _meta_lineage l JOIN _meta_datasets d ON d.id = l.dataset_id WHERE ${IS_DATASET}
         ORDER BY l.ledger_start, l.ledger_end`,
        nameValues(dataset),
      );
      return rows.map((row) => ({
        ...factsOf(row),
        prevHash: row.prev_hash,
        storagePath: row.storage_path,
        storageUri: row.storage_uri ?? '',
        pasEventId: row.pas_event_id,
      }));
    });
  }

  async forget(dataset: DatasetName, ranges: readonly LedgerRange[], signal?: AbortSignal): Promise<'recorded'> {
    await this.#sessions.transaction('remove rows from', 'write', signal, async (ask) => {
      const id = await lockDataset(ask, dataset);
      if (id === null) return;
      const values = [id, ranges.map(({ start }) => start), ranges.map(({ end }) => end)];
      for (const table of ['_meta_lineage', '_meta_quality', '_meta_changes']) {
        await ask(
          `DELETE FROM ${table} t USING unnest($2::bigint[], $3::bigint[]) AS r (ledger_start, ledger_end)
           WHERE t.dataset_id = $1 AND t.ledger_start = r.ledger_start AND t.ledger_end = r.ledger_end`,
          values,
        );
      }
    });
    return 'recorded';
  }

  close(): Promise<void> {
    return this.#sessions.close();
  }
}

// ── the data set ─────────────────────────────────────────────────────────────────────────────────────────────────

const IS_DATASET = 'd.domain = $1 AND d.dataset = $2 AND d.version = $3 AND d.era_id = $4 AND d.network = $5';

const nameValues = ({ domain, dataset, chain }: DatasetName): string[] => [
  domain,
  dataset,
  chain.versionLabel,
  chain.eraId,
  chain.network,
];

/** Its key; whoever else writes rows of it waits until this transaction is over. */
async function lockDataset(ask: Ask, dataset: DatasetName): Promise<number | null> {
  const [row] = await ask<{ id: number }>(
    `SELECT id FROM _meta_datasets d WHERE ${IS_DATASET} FOR UPDATE`,
    nameValues(dataset),
  );
  return row?.id ?? null;
}

/** Its key, locked; made where there is none, and brought up to what `partitions` say, in whatever order they come. */
async function datasetRow(ask: Ask, dataset: DatasetName, partitions: readonly PartitionRecord[]): Promise<number> {
  const times = partitions.map(({ createdAt }) => microseconds(createdAt)).sort();
  const columns = partitions.some((partition) => partition.columns === 2) ? 2 : 1;
  const hash = partitions.length === 0 ? null : schemaHash(columns, dataset);
  const id = await lockDataset(ask, dataset);
  if (id !== null) {
    if (hash === null) return id;
    await ask(
      `UPDATE _meta_datasets SET created_at = least(created_at, $2::timestamptz),
         updated_at = greatest(updated_at, $3::timestamptz),
         schema_hash = CASE WHEN $5 = 2 THEN $4 ELSE coalesce(schema_hash, $4) END
       WHERE id = $1 AND (created_at <= $2::timestamptz AND updated_at >= $3::timestamptz AND schema_hash IS NOT NULL
                          AND ($5 = 1 OR schema_hash = $4)) IS NOT TRUE`,
      [id, times[0], times.at(-1), hash, columns],
    );
    return id;
  }
  const [created] = await ask<{ id: number }>(
    `INSERT INTO _meta_datasets (domain, dataset, version, era_id, network, schema_hash, description,
                                 created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, coalesce($8::timestamptz, now()), coalesce($9::timestamptz, now()))
     ON CONFLICT DO NOTHING RETURNING id`,
    [...nameValues(dataset), hash, descriptionOf(dataset), times[0], times.at(-1)],
  );
  // Somebody else's, made in this moment.
  if (created === undefined) return datasetRow(ask, dataset, partitions);
  const [older] = await ask<{ version: string }>(
    `SELECT o.version FROM _meta_datasets d JOIN _meta_datasets o USING (domain, dataset, era_id, network)
     WHERE d.id = $1 AND o.id <> d.id ORDER BY o.created_at DESC, o.id DESC LIMIT 1`,
    [created.id],
  );
  if (older !== undefined) {
    // A refusal has no time of a manifest.
    const at = times[0] ?? new Date().toISOString();
    await insertChanges(ask, created.id, [correctionOf(older.version, dataset, at)]);
  }
  return created.id;
}

// ── lineage ──────────────────────────────────────────────────────────────────────────────────────────────────────

const LINEAGE = 'l.ledger_start, l.ledger_end, l.row_count, l.byte_size, l.checksum';

/** 64-bit numbers come as text. */
interface Stored {
  readonly ledger_start: string;
  readonly ledger_end: string;
  readonly row_count: string;
  readonly byte_size: string;
  readonly checksum: string;
  readonly prev_hash: string | null;
  readonly storage_path: string;
  readonly storage_uri: string | null;
  readonly pas_event_id: string | null;
}

const factsOf = (row: Stored): Pick<LineageRow, 'range' | 'rowCount' | 'byteSize' | 'checksum'> => ({
  range: { start: Number(row.ledger_start), end: Number(row.ledger_end) },
  rowCount: Number(row.row_count),
  byteSize: Number(row.byte_size),
  checksum: row.checksum,
});

/** The rows that share a ledger with `span`. The operator is the one of the constraint's index. */
async function storedRows(ask: Ask, id: number, span: LedgerRange): Promise<StoredRow[]> {
  const rows = await ask<Stored & { new_version: string | null; created: string }>(
    `SELECT ${LINEAGE}, to_char(l.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS created,
       (SELECT c.new_version FROM _meta_changes c WHERE c.dataset_id = l.dataset_id AND c.change_type = 'backfill'
          AND c.ledger_start = l.ledger_start AND c.ledger_end = l.ledger_end LIMIT 1) AS new_version
     FROM _meta_lineage l
     WHERE int8range(l.dataset_id, l.dataset_id, '[]') && int8range($1, $1, '[]')
       AND int8range(l.ledger_start, l.ledger_end, '[]') && int8range($2, $3, '[]')`,
    [id, span.start, span.end],
  );
  return rows.map((row) => ({ ...factsOf(row), columns: columnsOf(row.new_version), createdAt: row.created }));
}

type Cell = string | number | boolean | null;

/** `unnest` of one array per column of `types`, and the arrays; `$1` is the data set. */
function unnested(rows: readonly (readonly Cell[])[], types: readonly string[]): { sql: string; values: Cell[][] } {
  return {
    sql: `unnest(${types.map((type, n) => `$${n + 2}::${type}[]`).join(', ')})`,
    values: types.map((_, n) => rows.map((row) => row[n] ?? null)),
  };
}

async function insertLineage(ask: Ask, id: number, partitions: readonly PartitionRecord[]): Promise<void> {
  const { sql, values } = unnested(
    partitions.map((one) => [
      one.range.start,
      one.range.end,
      one.rowCount,
      one.byteSize,
      one.checksum,
      one.prevHash,
      one.storagePath,
      one.storageUri,
      one.pasEventId,
      one.producerVersion,
      one.producerGitSha,
      one.sourceType,
      one.sourceLocation,
      microseconds(one.createdAt),
    ]),
    [...Array<string>(4).fill('bigint'), ...Array<string>(9).fill('text'), 'timestamptz'],
  );
  await ask(
    `INSERT INTO _meta_lineage (dataset_id, ledger_start, ledger_end, row_count, byte_size, checksum, prev_hash,
       storage_path, storage_uri, pas_event_id, producer_version, producer_git_sha, source_type, source_location,
       created_at)
     SELECT $1::integer, u.* FROM ${sql} AS u`,
    [id, ...values],
  );
}

/** Columns that may be filled where they are null or empty: the old program left them so. */
const FILLED = ['prev_hash', 'pas_event_id', 'storage_uri', 'source_type', 'source_location'] as const;

async function fillLineage(ask: Ask, id: number, partitions: readonly PartitionRecord[]): Promise<void> {
  const { sql, values } = unnested(
    partitions.map((one) => [
      one.range.start,
      one.range.end,
      one.prevHash,
      one.pasEventId,
      one.storageUri,
      one.sourceType,
      one.sourceLocation,
    ]),
    ['bigint', 'bigint', ...FILLED.map(() => 'text')],
  );
  const sets = FILLED.map(
    (column) => `${column} = coalesce(nullif(l.${column}, ''), nullif(u.${column}, ''), l.${column})`,
  );
  const lacking = FILLED.map((column) => `(coalesce(l.${column}, '') = '' AND u.${column} <> '')`);
  await ask(
    `UPDATE _meta_lineage l SET ${sets.join(', ')}
     FROM ${sql} AS u (ledger_start, ledger_end, ${FILLED.join(', ')})
     WHERE l.dataset_id = $1 AND l.ledger_start = u.ledger_start AND l.ledger_end = u.ledger_end
       AND (${lacking.join(' OR ')})`,
    [id, ...values],
  );
}

// ── quality and changes ──────────────────────────────────────────────────────────────────────────────────────────

async function insertQuality(ask: Ask, id: number, partitions: readonly PartitionRecord[]): Promise<void> {
  const { sql, values } = unnested(
    partitions.map(({ range, checks, createdAt }) => [
      range.start,
      range.end,
      checksJson(checks),
      microseconds(createdAt),
    ]),
    ['bigint', 'bigint', 'jsonb', 'timestamptz'],
  );
  await ask(
    `INSERT INTO _meta_quality AS q (dataset_id, ledger_start, ledger_end, passed, checks, created_at)
     SELECT $1::integer, u.ledger_start, u.ledger_end, true, u.checks, u.created_at
     FROM ${sql} AS u (ledger_start, ledger_end, checks, created_at)
     ON CONFLICT (dataset_id, ledger_start, ledger_end) DO UPDATE
     SET passed = true, error_message = NULL, checks = EXCLUDED.checks, created_at = EXCLUDED.created_at
     WHERE NOT q.passed`,
    [id, ...values],
  );
}

/** Where they are not there yet. One without a range is only ever written of a data set that this transaction made. */
async function insertChanges(ask: Ask, id: number, changes: readonly ChangeRow[]): Promise<void> {
  const { sql, values } = unnested(
    changes.map(({ changeType, description, oldVersion, newVersion, range, createdAt }) => [
      changeType,
      description,
      oldVersion,
      newVersion,
      range?.start ?? null,
      range?.end ?? null,
      createdAt,
    ]),
    ['text', 'text', 'text', 'text', 'bigint', 'bigint', 'timestamptz'],
  );
  await ask(
    `INSERT INTO _meta_changes (dataset_id, change_type, description, old_version, new_version, ledger_start,
       ledger_end, created_at)
     SELECT $1::integer, u.* FROM ${sql}
       AS u (change_type, description, old_version, new_version, ledger_start, ledger_end, created_at)
     WHERE NOT EXISTS (
       SELECT 1 FROM _meta_changes c WHERE c.dataset_id = $1 AND c.change_type = u.change_type
         AND c.ledger_start = u.ledger_start AND c.ledger_end = u.ledger_end)`,
    [id, ...values],
  );
}
