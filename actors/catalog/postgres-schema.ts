/**
 * Tables and views of the catalog in PostgreSQL: what makes them, what takes over the old program's, and what is missing
 * before either can be done. One transaction that begins with an advisory lock: two processes may start at once.
 * It must never remove a row or a column, nor touch tables of the same names that are somebody else's.
 */
import { BronzeError } from '../../machines/errors.ts';
import type { Ask } from './postgres-session.ts';
import { CATALOG_VERSION, type ColumnType, TABLES, type TableName, VIEWS } from './rows.ts';

/** Whoever makes or changes tables holds it; any number that nobody else uses in this database. */
const LOCK = 4_072_026_110;

const TABLE_NAMES = Object.keys(TABLES) as TableName[];
type ViewName = keyof typeof VIEWS;
const VIEW_NAMES = ['_meta_gaps', '_meta_coverage'] as const satisfies readonly ViewName[];

/** `format_type` of the columns, as this program makes them and as the old one did. */
const TYPES: Readonly<Record<ColumnType, readonly string[]>> = {
  id: ['integer', 'bigint'],
  integer: ['bigint', 'integer'],
  text: ['text', 'character varying'],
  boolean: ['boolean'],
  json: ['jsonb'],
  timestamp: ['timestamp with time zone'],
};

/** What the old program (version 1) did not have. */
const NEW_COLUMNS = new Set([
  '_meta_lineage.pas_event_id',
  '_meta_quality.checks',
  '_meta_changes.ledger_start',
  '_meta_changes.ledger_end',
]);
const OLD_COVERAGE =
  'domain dataset version era_id network min_ledger max_ledger partition_count total_rows total_bytes'.split(' ');

/**
 * By the version that they lead to; run after the tables of the old program, if they are there, were found to be its.
 * `LOCK TABLE` keeps the old program out while its rows are judged.
 */
const MIGRATIONS: readonly ((ask: Ask, found: Found) => Promise<void>)[] = [
  async (ask, found) => {
    const grants = await dropCoverage(ask, found);
    await ask(`
      CREATE TABLE IF NOT EXISTS _meta_schema (
        version integer PRIMARY KEY,
        applied_at timestamptz NOT NULL DEFAULT now()
      );
      CREATE TABLE IF NOT EXISTS _meta_datasets (
        id serial PRIMARY KEY,
        domain text NOT NULL,
        dataset text NOT NULL,
        version text NOT NULL,
        era_id text NOT NULL,
        network text NOT NULL,
        schema_hash text,
        description text,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        UNIQUE (domain, dataset, version, era_id, network)
      );
      CREATE TABLE IF NOT EXISTS _meta_lineage (
        id serial PRIMARY KEY,
        dataset_id integer NOT NULL REFERENCES _meta_datasets (id),
        ledger_start bigint NOT NULL,
        ledger_end bigint NOT NULL,
        row_count bigint NOT NULL,
        byte_size bigint NOT NULL,
        checksum text NOT NULL,
        prev_hash text,
        storage_path text NOT NULL,
        storage_uri text,
        producer_version text NOT NULL,
        producer_git_sha text,
        source_type text,
        source_location text,
        created_at timestamptz NOT NULL DEFAULT now(),
        UNIQUE (dataset_id, ledger_start, ledger_end)
      );
      CREATE TABLE IF NOT EXISTS _meta_quality (
        id serial PRIMARY KEY,
        dataset_id integer NOT NULL REFERENCES _meta_datasets (id),
        ledger_start bigint NOT NULL,
        ledger_end bigint NOT NULL,
        passed boolean NOT NULL,
        error_message text,
        created_at timestamptz NOT NULL DEFAULT now(),
        UNIQUE (dataset_id, ledger_start, ledger_end)
      );
      CREATE TABLE IF NOT EXISTS _meta_changes (
        id serial PRIMARY KEY,
        dataset_id integer NOT NULL REFERENCES _meta_datasets (id),
        change_type text NOT NULL,
        description text,
        old_version text,
        new_version text,
        created_at timestamptz NOT NULL DEFAULT now()
      );
      LOCK TABLE _meta_datasets, _meta_lineage, _meta_quality, _meta_changes IN ACCESS EXCLUSIVE MODE`);
    // Labels and versions may be longer than the old program's columns; only the catalogs of PostgreSQL are rewritten.
    for (const [name, columns] of found.columns) {
      const narrow = [...columns].filter(([, type]) => type === 'character varying').map(([column]) => column);
      const changes = narrow.map((column) => `ALTER COLUMN ${column} TYPE text`);
      if (changes.length > 0 && name in TABLES) await ask(`ALTER TABLE ${name} ${changes.join(', ')}`);
    }
    await refuseOverlaps(ask);
    await ask(`
      ALTER TABLE _meta_lineage ADD COLUMN IF NOT EXISTS pas_event_id text;
      ALTER TABLE _meta_quality ADD COLUMN IF NOT EXISTS checks jsonb;
      ALTER TABLE _meta_changes ADD COLUMN IF NOT EXISTS ledger_start bigint,
        ADD COLUMN IF NOT EXISTS ledger_end bigint;
      ALTER TABLE _meta_lineage ADD CONSTRAINT ${NO_OVERLAP} EXCLUDE USING gist (
        int8range(dataset_id, dataset_id, '[]') WITH &&, int8range(ledger_start, ledger_end, '[]') WITH &&
      );
      CREATE INDEX IF NOT EXISTS idx_lineage_dataset_range ON _meta_lineage (dataset_id, ledger_start, ledger_end);
      CREATE INDEX IF NOT EXISTS idx_lineage_ledger_end ON _meta_lineage (dataset_id, ledger_end);
      CREATE INDEX IF NOT EXISTS idx_quality_failed ON _meta_quality (dataset_id, passed) WHERE NOT passed;
      CREATE INDEX IF NOT EXISTS idx_changes_dataset_range ON _meta_changes (dataset_id, ledger_start, ledger_end)`);
    for (const name of VIEW_NAMES) await ask(`CREATE VIEW ${name} AS ${VIEWS[name]((table) => table)}`);
    for (const { privilege, grantee, option } of grants) {
      await ask(`GRANT ${privilege} ON _meta_coverage TO ${grantee}${option ? ' WITH GRANT OPTION' : ''}`);
    }
  },
];

const NO_OVERLAP = 'meta_lineage_no_overlap';

type Grant = { privilege: string; grantee: string; option: boolean };

/** Its columns change their type with those of the tables. Whoever may read it may read the new one. */
async function dropCoverage(ask: Ask, found: Found): Promise<Grant[]> {
  if (!found.columns.has('_meta_coverage')) return [];
  const grants = await ask<Grant>(`
    SELECT a.privilege_type AS privilege, a.is_grantable AS option,
      CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee
    FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = '_meta_coverage'::regclass AND a.grantee <> c.relowner`);
  await ask('DROP VIEW _meta_coverage');
  return grants;
}

async function refuseOverlaps(ask: Ask): Promise<void> {
  const rows = await ask<{ dataset: string; one: string; other: string }>(`
    SELECT concat_ws('/', d.domain, d.dataset, d.network, d.era_id, d.version) AS dataset,
      a.ledger_start || '-' || a.ledger_end || ' (' || a.checksum || ')' AS one,
      b.ledger_start || '-' || b.ledger_end || ' (' || b.checksum || ')' AS other
    FROM (SELECT *, max(ledger_end) OVER (PARTITION BY dataset_id ORDER BY ledger_start, ledger_end
                                          ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reached
          FROM _meta_lineage) b
    JOIN _meta_datasets d ON d.id = b.dataset_id
    JOIN LATERAL (SELECT * FROM _meta_lineage a
                  WHERE a.dataset_id = b.dataset_id AND a.ledger_start <= b.ledger_start
                    AND (a.ledger_end = b.reached OR a.id = b.id)
                  ORDER BY a.id = b.id, a.ledger_start LIMIT 1) a ON true
    WHERE b.reached >= b.ledger_start OR b.ledger_end < b.ledger_start
    ORDER BY b.dataset_id, b.ledger_start LIMIT 5`);
  if (rows.length === 0) return;
  const told = rows.map(({ dataset, one, other }) =>
    one === other ? `${dataset}: ${one} ends before it begins` : `${dataset}: ${one} and ${other}`,
  );
  throw new BronzeError(
    'CATALOG_CONFLICT',
    `rows of _meta_lineage overlap, which this release does not allow: ${told.join('; ')}; nothing was changed`,
    { details: { found: told.join('; '), hint: 'find out which of them Bronze holds and delete the others' } },
  );
}

// ── what is there ────────────────────────────────────────────────────────────────────────────────────────────────

interface Found {
  /** Of each relation by one of our names: columns and their types. */
  readonly columns: ReadonlyMap<string, ReadonlyMap<string, string>>;
  readonly version: number;
}

const foreign = (problem: string): BronzeError =>
  new BronzeError('CATALOG_SCHEMA', `the database holds no catalog of this release: ${problem}; nothing was changed`, {
    details: { found: problem, hint: 'use another database or another schema (search_path)' },
  });

const denied = (missing: string): BronzeError =>
  new BronzeError('CATALOG_DENIED', `the role lacks a right in the catalog: ${missing}`, {
    details: { found: missing, hint: 'docs/catalog.md has the statements that grant what is needed' },
  });

/** What stands under our names. Throws CATALOG_SCHEMA where it is newer, somebody else's, or not whole. */
async function readSchema(ask: Ask): Promise<Found> {
  const rows = await ask<{ name: string; kind: string; attribute: string | null; type: string; uniques: string[] }>(
    `SELECT c.relname AS name, c.relkind AS kind, a.attname AS attribute, format_type(a.atttypid, NULL) AS type,
       ARRAY(SELECT (SELECT string_agg(k.attname, ', ' ORDER BY k.attnum) FROM pg_attribute k
                     WHERE k.attrelid = c.oid AND k.attnum = ANY (i.indkey))
             FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indpred IS NULL) AS uniques
     FROM unnest($1::text[]) AS n (name)
     JOIN pg_class c ON c.oid = to_regclass(n.name)
     LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     ORDER BY c.relname, a.attnum`,
    [[...TABLE_NAMES, ...VIEW_NAMES]],
  );
  const columns = new Map<string, Map<string, string>>();
  for (const { name, attribute, type } of rows) {
    const of = columns.get(name) ?? new Map<string, string>();
    if (attribute !== null) of.set(attribute, type);
    columns.set(name, of);
  }
  const version = await versionOf(ask, columns.get('_meta_schema'));
  for (const { name, kind, uniques } of rows) {
    const isTable = name in TABLES;
    if (!(isTable ? ['r', 'p'] : ['v']).includes(kind)) throw foreign(`${name} is no ${isTable ? 'table' : 'view'}`);
    if (isTable && !uniques.includes(TABLES[name as TableName].unique.join(', '))) {
      throw foreign(`${name} is not unique on ${TABLES[name as TableName].unique.join(', ')}`);
    }
  }
  for (const name of TABLE_NAMES) compare(name, columns.get(name), version);
  const coverage = [...(columns.get('_meta_coverage')?.keys() ?? OLD_COVERAGE)];
  if (!OLD_COVERAGE.every((column, n) => coverage[n] === column)) throw foreign('_meta_coverage is another view');
  if (version === 0 && columns.has('_meta_gaps')) throw foreign("_meta_gaps is somebody else's");
  if (version > 0) {
    for (const name of VIEW_NAMES) if (!columns.has(name)) throw foreign(`the view ${name} is missing`);
    const held = await ask('SELECT 1 FROM pg_constraint WHERE conname = $1 AND conrelid = to_regclass($2)', [
      NO_OVERLAP,
      '_meta_lineage',
    ]);
    if (held.length === 0) throw foreign(`the constraint ${NO_OVERLAP} is missing`);
  }
  return { columns, version };
}

async function versionOf(ask: Ask, columns: ReadonlyMap<string, string> | undefined): Promise<number> {
  if (columns === undefined) return 0;
  compare('_meta_schema', columns, CATALOG_VERSION);
  const [row] = await ask<{ version: number | null }>('SELECT max(version) AS version FROM _meta_schema');
  const version = row?.version ?? 0;
  if (version > CATALOG_VERSION) {
    throw foreign(`its tables have version ${version}, and this release knows ${CATALOG_VERSION}`);
  }
  return version;
}

function compare(name: TableName, columns: ReadonlyMap<string, string> | undefined, version: number): void {
  if (columns === undefined) {
    if (version > 0) throw foreign(`the table ${name} is missing`);
    return;
  }
  for (const column of TABLES[name].columns) {
    const type = columns.get(column.name);
    if (type === undefined && version === 0 && NEW_COLUMNS.has(`${name}.${column.name}`)) continue;
    if (type === undefined) throw foreign(`${name} has no column ${column.name}`);
    if (!TYPES[column.type].includes(type)) throw foreign(`${name}.${column.name} is ${type}`);
  }
}

/** Rights that copying needs; DELETE is for `reconcile --repair` alone. */
const RIGHTS: Readonly<Record<TableName, readonly string[]>> = {
  _meta_schema: ['SELECT'],
  _meta_datasets: ['SELECT', 'INSERT', 'UPDATE'],
  _meta_lineage: ['SELECT', 'INSERT', 'UPDATE'],
  _meta_quality: ['SELECT', 'INSERT', 'UPDATE'],
  _meta_changes: ['SELECT', 'INSERT'],
};

/** Throws CATALOG_DENIED naming every right that is missing to write rows. */
async function wantRights(ask: Ask): Promise<void> {
  const wanted = TABLE_NAMES.flatMap((name) => RIGHTS[name].map((right) => ({ name, right })));
  const rows = await ask<{ missing: string }>(
    `SELECT w.right || ' on ' || w.name AS missing FROM unnest($1::text[], $2::text[]) AS w (name, "right")
     WHERE NOT has_table_privilege(to_regclass(w.name), w.right)
     UNION ALL
     SELECT 'USAGE on ' || s.name FROM unnest($3::text[]) AS t (name), pg_get_serial_sequence(t.name, 'id') AS s (name)
     WHERE s.name IS NOT NULL AND NOT has_sequence_privilege(s.name, 'USAGE')`,
    [wanted.map(({ name }) => name), wanted.map(({ right }) => right), TABLE_NAMES.slice(1)],
  );
  if (rows.length > 0) throw denied(rows.map(({ missing }) => missing).join(', '));
}

/** Throws CATALOG_DENIED naming what is missing to make or migrate the tables. */
async function wantToCreate(ask: Ask, { columns }: Found): Promise<void> {
  const [place] = await ask<{ schema: string | null; may: boolean | null }>(
    "SELECT current_schema() AS schema, has_schema_privilege(current_schema(), 'CREATE') AS may",
  );
  if (!place || place.schema === null) throw denied('USAGE on a schema of its search_path');
  const missing = place.may === true ? [] : [`CREATE on schema ${place.schema}`];
  const others = await ask<{ name: string }>(
    `SELECT c.relname AS name FROM unnest($1::text[]) AS n (name) JOIN pg_class c ON c.oid = to_regclass(n.name)
     WHERE NOT pg_has_role(c.relowner, 'USAGE')`,
    [[...columns.keys()]],
  );
  missing.push(...others.map(({ name }) => `ownership of ${name}`));
  if (missing.length > 0) throw denied(missing.join(', '));
}

/** Throws what the server throws when somebody writes to it while it is read-only (25006). */
async function wantWrites(ask: Ask): Promise<void> {
  const [row] = await ask<{ only: string }>("SELECT current_setting('transaction_read_only') AS only");
  // Always refused here; asked for so that the server's own words come out.
  if (row?.only === 'on') await ask('CREATE TEMPORARY TABLE _meta_read_only ()');
}

/**
 * Throws what would keep `migrate` from ending well: CATALOG_SCHEMA, CATALOG_DENIED, CATALOG_CONFLICT; or
 * CATALOG_UNAVAILABLE on a read-only server. Writes nothing.
 */
export async function examine(ask: Ask): Promise<Found> {
  await wantWrites(ask);
  const found = await readSchema(ask);
  if (found.version === CATALOG_VERSION) await wantRights(ask);
  else {
    await wantToCreate(ask, found);
    if (found.columns.has('_meta_lineage') && found.columns.has('_meta_datasets')) await refuseOverlaps(ask);
  }
  return found;
}

/**
 * Whether nothing is to be made. In a transaction of its own: who looked at the tables and then waited for those who
 * migrate would keep them from altering these very tables.
 * @throws as `examine`
 */
export async function isCurrent(ask: Ask): Promise<boolean> {
  await wantWrites(ask);
  const { version } = await readSchema(ask);
  if (version !== CATALOG_VERSION) return false;
  await wantRights(ask);
  return true;
}

/** Makes or migrates tables and views where that is needed. The lock comes before anything is looked at. */
export async function migrate(ask: Ask): Promise<void> {
  await ask('SELECT pg_advisory_xact_lock($1)', [LOCK]);
  // Tables stay where they are, also where search_path now has another schema before theirs.
  await ask(`SELECT set_config('search_path', quote_ident(coalesce(
    (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid = to_regclass('_meta_datasets')),
    current_schema())), true)`);
  const found = await examine(ask);
  for (const [n, step] of MIGRATIONS.entries()) {
    if (n < found.version) continue;
    await step(ask, found);
    await ask('INSERT INTO _meta_schema (version) VALUES ($1)', [n + 1]);
  }
}
