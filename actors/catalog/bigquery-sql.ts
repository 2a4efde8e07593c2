/**
 * The catalog's tables and statements in GoogleSQL. BigQuery has neither unique keys nor sequences, and two
 * transactions that only append do not see each other: so ids follow from what a row is about, and every script first
 * changes the one row of `_meta_writes`. Of two scripts at once BigQuery then aborts one, and one whose plan is older
 * than the last write refuses itself. Every value is a parameter.
 */
import { createHash } from 'node:crypto';
import type { ChecksDone, LedgerRange } from '../../machines/protocol.ts';
import type { DatasetName, PartitionRecord } from '../ports/catalog.ts';
import type { Json } from './bigquery-client.ts';
import { type Fields, type Parameter, type Statement, scalar, structs } from './bigquery-jobs.ts';
import {
  CATALOG_VERSION,
  type CatalogColumn,
  type ChangeRow,
  checksJson,
  descriptionOf,
  microseconds,
  TABLES,
  type TableName,
  VIEWS,
} from './rows.ts';

/** Of this backend alone: how often anything was written. */
export const WRITES = '_meta_writes';

const FIELD_TYPES = {
  id: 'STRING',
  integer: 'INTEGER',
  text: 'STRING',
  boolean: 'BOOLEAN',
  json: 'JSON',
  timestamp: 'TIMESTAMP',
} as const satisfies Record<CatalogColumn['type'], string>;

export interface TableDefinition {
  readonly name: string;
  readonly fields: readonly { readonly name: string; readonly type: string; readonly mode: string }[];
}

export const DEFINITIONS: readonly TableDefinition[] = [
  ...Object.entries(TABLES).map(([name, { columns }]) => ({
    name,
    fields: columns.map(({ name: field, type, required }) => ({
      name: field,
      type: FIELD_TYPES[type],
      mode: required ? 'REQUIRED' : 'NULLABLE',
    })),
  })),
  { name: WRITES, fields: [{ name: 'writes', type: 'INTEGER', mode: 'REQUIRED' }] },
];

const hash = (...parts: readonly (string | number)[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);

const datasetId = ({ domain, dataset, chain }: DatasetName): string =>
  hash(domain, dataset, chain.versionLabel, chain.eraId, chain.network);

/** Raised by a script whose plan is too old. */
export const OVERTAKEN = 'bronze-copier: somebody else wrote';

/** Columns of a lineage row but its ids, as parameters of a script. */
const LINEAGE: Fields = {
  id: 'STRING',
  ledger_start: 'INT64',
  ledger_end: 'INT64',
  row_count: 'INT64',
  byte_size: 'INT64',
  checksum: 'STRING',
  prev_hash: 'STRING',
  storage_path: 'STRING',
  storage_uri: 'STRING',
  pas_event_id: 'STRING',
  producer_version: 'STRING',
  producer_git_sha: 'STRING',
  source_type: 'STRING',
  source_location: 'STRING',
  created_at: 'TIMESTAMP',
};

/** Columns that may be filled where they are null or empty. */
export const FILLABLE = {
  prev_hash: 'prevHash',
  storage_path: 'storagePath',
  storage_uri: 'storageUri',
  pas_event_id: 'pasEventId',
  producer_version: 'producerVersion',
  producer_git_sha: 'producerGitSha',
  source_type: 'sourceType',
  source_location: 'sourceLocation',
} as const satisfies Record<string, keyof PartitionRecord>;

const QUALITY: Fields = {
  id: 'STRING',
  ledger_start: 'INT64',
  ledger_end: 'INT64',
  passed: 'BOOL',
  error_message: 'STRING',
  checks: 'STRING',
  created_at: 'TIMESTAMP',
};

const CHANGES: Fields = {
  id: 'STRING',
  change_type: 'STRING',
  description: 'STRING',
  old_version: 'STRING',
  new_version: 'STRING',
  ledger_start: 'INT64',
  ledger_end: 'INT64',
  created_at: 'TIMESTAMP',
};

const RANGES: Fields = { ledger_start: 'INT64', ledger_end: 'INT64' };

export interface QualityRow {
  readonly range: LedgerRange;
  readonly passed: boolean;
  readonly message: string | null;
  readonly checks: ChecksDone | null;
  readonly createdAt: string;
}

/** Statements of a script, in order, without their `;`, and their parameters. */
export interface Part {
  readonly statements: readonly string[];
  readonly parameters: readonly Parameter[];
}

export class CatalogSql {
  readonly #of: (name: string) => string;

  /** Both names are checked already: neither holds a backtick. */
  constructor(project: string, dataset: string) {
    this.#of = (name) => `\`${project}.${dataset}.${name}\``;
  }

  table(name: string): string {
    return this.#of(name);
  }

  views(): { name: string; view: Json }[] {
    return Object.entries(VIEWS).map(([name, query]) => ({
      name,
      view: { query: query((table) => this.#of(table)), useLegacySql: false },
    }));
  }

  version(): Statement {
    return { sql: `SELECT MAX(version) AS version FROM ${this.#of('_meta_schema')}`, parameters: [] };
  }

  /**
   * The first rows. The version comes last: where it is, everything is. `made`: when the tables were, so that two who
   * seed the same tables run one job.
   */
  seed(made: string): Statement {
    const [writes, schema] = [this.#of(WRITES), this.#of('_meta_schema')];
    return {
      sql: [
        `INSERT INTO ${writes} (writes) SELECT 0 FROM (SELECT COUNT(*) AS n FROM ${writes}) AS w WHERE w.n = 0`,
        `INSERT INTO ${schema} (version, applied_at) SELECT @version, @made FROM (SELECT COUNT(*) AS n FROM ${schema}) AS s WHERE s.n = 0`,
        '',
      ].join(';\n'),
      parameters: [scalar('version', 'INT64', CATALOG_VERSION), scalar('made', 'TIMESTAMP', microseconds(made))],
    };
  }

  /** What every script begins with; whether it may be run says that the catalog may be written to. */
  turn(): Statement {
    return { sql: `UPDATE ${this.#of(WRITES)} SET writes = writes + 1 WHERE TRUE`, parameters: [] };
  }

  /** One row at least: with no lineage row in `span` its columns are null. */
  seen(dataset: DatasetName, span: LedgerRange): Statement {
    const lineage = Object.keys(LINEAGE).map((column) => `l.${column}`);
    return {
      sql: `SELECT w.writes, d.n AS datasets, d.schema_hash,
       (SELECT MAX(version) FROM ${this.#latest()}) AS older,
       l.new_version, ${lineage.join(', ')}
FROM (SELECT 1 AS one, MAX(writes) AS writes FROM ${this.#of(WRITES)}) AS w
JOIN (SELECT 1 AS one, COUNT(*) AS n, MAX(schema_hash) AS schema_hash
      FROM ${this.#of('_meta_datasets')} WHERE id = @dataset_id) AS d ON d.one = w.one
LEFT JOIN (SELECT 1 AS one, c.new_version, r.*
           FROM ${this.#of('_meta_lineage')} AS r
           LEFT JOIN ${this.#of('_meta_changes')} AS c
             ON c.dataset_id = r.dataset_id AND c.ledger_start = r.ledger_start AND c.ledger_end = r.ledger_end
                AND c.change_type = 'backfill'
           WHERE r.dataset_id = @dataset_id AND r.ledger_end >= @first AND r.ledger_start <= @last) AS l
  ON l.one = w.one
ORDER BY l.ledger_start`,
      parameters: [...this.#named(dataset), scalar('first', 'INT64', span.start), scalar('last', 'INT64', span.end)],
    };
  }

  /** The latest other version of a data set, as a subquery of one row or none. */
  #latest(): string {
    return `(SELECT version FROM ${this.#of('_meta_datasets')}
        WHERE domain = @domain AND dataset = @dataset AND era_id = @era_id AND network = @network AND version <> @version
        ORDER BY created_at DESC, version DESC LIMIT 1)`;
  }

  #named({ domain, dataset, chain }: DatasetName): Parameter[] {
    return [
      scalar('dataset_id', 'STRING', datasetId({ domain, dataset, chain })),
      scalar('domain', 'STRING', domain),
      scalar('dataset', 'STRING', dataset),
      scalar('version', 'STRING', chain.versionLabel),
      scalar('era_id', 'STRING', chain.eraId),
      scalar('network', 'STRING', chain.network),
    ];
  }

  lineageOf(dataset: DatasetName): Statement {
    return {
      sql: `SELECT ${Object.keys(LINEAGE).join(', ')} FROM ${this.#of('_meta_lineage')}
WHERE dataset_id = @dataset_id ORDER BY ledger_start`,
      parameters: [scalar('dataset_id', 'STRING', datasetId(dataset))],
    };
  }

  /** All parts in one transaction, which is refused where anybody wrote since `writes`. */
  script(writes: number, parts: readonly Part[]): Statement {
    return {
      sql: [
        'BEGIN TRANSACTION',
        this.turn().sql,
        `IF (SELECT MAX(writes) FROM ${this.#of(WRITES)}) <> @writes + 1 THEN RAISE USING MESSAGE = '${OVERTAKEN}'; END IF`,
        ...parts.flatMap(({ statements }) => statements),
        'COMMIT TRANSACTION',
        '',
      ].join(';\n'),
      parameters: [scalar('writes', 'INT64', writes), ...parts.flatMap(({ parameters }) => parameters)],
    };
  }

  /** The row of the data set. `schemaHash` null: as it is. */
  dataset(dataset: DatasetName, schemaHash: string | null, created: string, updated: string): Part {
    const values =
      '@dataset_id, @domain, @dataset, @version, @era_id, @network, @schema_hash, @description, @created, @updated';
    return {
      statements: [
        `MERGE INTO ${this.#of('_meta_datasets')} AS t USING (SELECT @dataset_id AS id) AS s ON t.id = s.id
WHEN MATCHED THEN UPDATE SET schema_hash = COALESCE(@schema_hash, t.schema_hash), updated_at = GREATEST(t.updated_at, @updated)
WHEN NOT MATCHED THEN INSERT (id, domain, dataset, version, era_id, network, schema_hash, description, created_at, updated_at)
VALUES (${values})`,
      ],
      parameters: [
        ...this.#named(dataset),
        scalar('schema_hash', 'STRING', schemaHash),
        scalar('description', 'STRING', descriptionOf(dataset)),
        scalar('created', 'TIMESTAMP', created),
        scalar('updated', 'TIMESTAMP', updated),
      ],
    };
  }

  lineage(dataset: DatasetName, partitions: readonly PartitionRecord[]): Part {
    const id = datasetId(dataset);
    const filled = Object.keys(FILLABLE).map((column) => `${column} = COALESCE(NULLIF(t.${column}, ''), s.${column})`);
    const rows = partitions.map((partition) => ({
      id: hash(id, partition.range.start, partition.range.end),
      ledger_start: partition.range.start,
      ledger_end: partition.range.end,
      row_count: partition.rowCount,
      byte_size: partition.byteSize,
      checksum: partition.checksum,
      ...Object.fromEntries(Object.entries(FILLABLE).map(([column, key]) => [column, partition[key]])),
      created_at: microseconds(partition.createdAt),
    }));
    return this.#merge(
      '_meta_lineage',
      'lineage',
      LINEAGE,
      rows,
      `WHEN MATCHED THEN UPDATE SET ${filled.join(', ')}\n`,
    );
  }

  /** A row that says `passed` stays; another one is replaced. */
  quality(dataset: DatasetName, checked: readonly QualityRow[]): Part {
    const id = datasetId(dataset);
    const rows = checked.map(({ range, passed, message, checks, createdAt }) => ({
      id: hash(id, range.start, range.end),
      ledger_start: range.start,
      ledger_end: range.end,
      passed,
      error_message: message,
      checks: checks === null ? null : checksJson(checks),
      created_at: microseconds(createdAt),
    }));
    const replaced = [
      'passed = s.passed',
      'error_message = s.error_message',
      'checks = PARSE_JSON(s.checks)',
      'created_at = s.created_at',
    ];
    const matched = `WHEN MATCHED AND NOT t.passed AND (s.passed OR t.error_message IS DISTINCT FROM s.error_message)
THEN UPDATE SET ${replaced.join(', ')}\n`;
    return this.#merge('_meta_quality', 'quality', QUALITY, rows, matched);
  }

  changes(dataset: DatasetName, changes: readonly ChangeRow[]): Part {
    const id = datasetId(dataset);
    const rows = changes.map(({ changeType, description, oldVersion, newVersion, range, createdAt }) => ({
      id: hash(id, changeType, range?.start ?? '', range?.end ?? ''),
      change_type: changeType,
      description,
      old_version: oldVersion,
      new_version: newVersion,
      ledger_start: range?.start ?? null,
      ledger_end: range?.end ?? null,
      created_at: createdAt,
    }));
    return this.#merge('_meta_changes', 'changes', CHANGES, rows, '');
  }

  #merge(
    table: TableName,
    parameter: string,
    fields: Fields,
    rows: Parameters<typeof structs>[2],
    whenMatched: string,
  ): Part {
    const columns = Object.keys(fields);
    const values = columns.map((column) => (column === 'checks' ? 'PARSE_JSON(s.checks)' : `s.${column}`));
    return {
      statements: [
        `MERGE INTO ${this.#of(table)} AS t USING (SELECT * FROM UNNEST(@${parameter})) AS s ON t.id = s.id
${whenMatched}WHEN NOT MATCHED THEN INSERT (dataset_id, ${columns.join(', ')}) VALUES (@dataset_id, ${values.join(', ')})`,
      ],
      parameters: [structs(parameter, fields, rows)],
    };
  }

  forget(dataset: DatasetName, ranges: readonly LedgerRange[]): Part {
    const rows = ranges.map(({ start, end }) => ({ ledger_start: start, ledger_end: end }));
    return {
      statements: (['_meta_lineage', '_meta_quality', '_meta_changes'] as const).map(
        (table) => `DELETE FROM ${this.#of(table)} AS t WHERE t.dataset_id = @dataset_id AND EXISTS (
  SELECT 1 FROM UNNEST(@ranges) AS r WHERE r.ledger_start = t.ledger_start AND r.ledger_end = t.ledger_end)`,
      ),
      parameters: [scalar('dataset_id', 'STRING', datasetId(dataset)), structs('ranges', RANGES, rows)],
    };
  }

  /** Rows that the load table holds of each of these partitions; of none where it holds none. */
  loaded({ dataset, chain }: DatasetName, ranges: readonly LedgerRange[]): Statement {
    const rows = ranges.map(({ start, end }) => ({ ledger_start: start, ledger_end: end }));
    return {
      sql: `SELECT r.ledger_start, COUNT(*) AS n
FROM ${this.#of(dataset)} AS t JOIN UNNEST(@ranges) AS r ON t.ledger_sequence BETWEEN r.ledger_start AND r.ledger_end
WHERE t.ledger_sequence BETWEEN @first AND @last
  AND t.network = @network AND t.era_id = @era_id AND t.bronze_version = @version
GROUP BY r.ledger_start`,
      parameters: [
        structs('ranges', RANGES, rows),
        // As constants, so that BigQuery reads no other partition of the table.
        scalar('first', 'INT64', Math.min(...ranges.map(({ start }) => start))),
        scalar('last', 'INT64', Math.max(...ranges.map(({ end }) => end))),
        scalar('network', 'STRING', chain.network),
        scalar('era_id', 'STRING', chain.eraId),
        scalar('version', 'STRING', chain.versionLabel),
      ],
    };
  }
}
