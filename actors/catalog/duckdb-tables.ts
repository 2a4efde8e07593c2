/**
 * The catalog's tables and views in DuckDB: how they are made, and whether what is in a file are they.
 * It must never change tables that are there.
 */
import type { CatalogDb } from './duckdb-file.ts';
import { CATALOG_VERSION, type CatalogTable, type ColumnType, TABLES, type TableName, VIEWS } from './rows.ts';

/** Timestamps have no zone in them: they are UTC. */
const TYPES: Readonly<Record<ColumnType, string>> = {
  id: 'BIGINT',
  integer: 'BIGINT',
  text: 'VARCHAR',
  boolean: 'BOOLEAN',
  json: 'JSON',
  timestamp: 'TIMESTAMP',
};

const tables = Object.entries(TABLES) as [TableName, CatalogTable][];

function tableDdl(name: TableName, { columns, unique }: CatalogTable): string[] {
  const numbered = columns.some((column) => column.name === 'id');
  const lines = columns.map((column) => {
    const type = `${column.name} ${TYPES[column.type]}${column.required ? ' NOT NULL' : ''}`;
    return column.name === 'id' ? `${type} DEFAULT nextval('${name}_id')` : type;
  });
  return [
    ...(numbered ? [`CREATE SEQUENCE ${name}_id`] : []),
    // One index a table: each is written anew with every record.
    `CREATE TABLE ${name} (${lines.join(', ')}, PRIMARY KEY (${unique.join(', ')}))`,
  ];
}

/** Makes everything in a database that has none of it. */
export async function createTables(db: CatalogDb): Promise<void> {
  for (const [name, table] of tables) {
    for (const statement of tableDdl(name, table)) await db.query(statement);
  }
  await db.query(
    `INSERT INTO _meta_schema SELECT ${CATALOG_VERSION}, CAST(current_timestamp AT TIME ZONE 'UTC' AS TIMESTAMP)`,
  );
  await createViews(db);
}

/** Makes views that somebody has dropped; they hold nothing. */
export async function createViews(db: CatalogDb): Promise<void> {
  for (const [name, query] of Object.entries(VIEWS)) {
    await db.query(`CREATE VIEW IF NOT EXISTS ${name} AS ${query((table) => table)}`);
  }
}

/**
 * `none`: there is nothing of a catalog in this database. `whole`: this release's tables. Anything else is told in
 * `foreign`. Columns that somebody has added are his.
 */
export async function inspectTables(
  db: CatalogDb,
): Promise<{ found: 'none' | 'whole' } | { found: 'foreign'; why: string }> {
  const columns = await db.query(
    `SELECT table_name, column_name, data_type FROM duckdb_columns()
     WHERE database_name = current_database() AND schema_name = 'main' AND NOT internal`,
  );
  const types = new Map(columns.map((row) => [`${row.table_name}.${row.column_name}`, row.data_type]));
  const names = new Set(columns.map((row) => row.table_name));
  if (!tables.some(([name]) => names.has(name))) return { found: 'none' };
  if (types.get('_meta_schema.version') === TYPES.integer) {
    const [row] = await db.query('SELECT max(version) AS version FROM _meta_schema');
    const version = row?.version;
    if (version !== BigInt(CATALOG_VERSION)) {
      const why = `its tables have version ${version}, and this release knows ${CATALOG_VERSION}`;
      return { found: 'foreign', why };
    }
  }
  for (const [name, table] of tables) {
    for (const column of table.columns) {
      const type = types.get(`${name}.${column.name}`);
      if (type === TYPES[column.type]) continue;
      const why = `${name}.${column.name} is ${type ?? 'missing'} where ${TYPES[column.type]} is expected`;
      return { found: 'foreign', why };
    }
  }
  return { found: 'whole' };
}
