/**
 * The ledgers themselves in BigQuery: the table that partitions are loaded into, and the statements for it and for an
 * external table over Bronze. Pure.
 */
import { COLUMNS, type Column } from '../bronze/columns.ts';
import { type ChainName, tablePrefix } from '../bronze/names.ts';
import type { Json } from './bigquery-client.ts';

type FieldType = 'INTEGER' | 'STRING' | 'TIMESTAMP' | 'BYTES';

function typeOf({ element }: Column): FieldType {
  if (element.type !== 'BYTE_ARRAY') return element.logical_type?.type === 'TIMESTAMP' ? 'TIMESTAMP' : 'INTEGER';
  return element.logical_type?.type === 'STRING' ? 'STRING' : 'BYTES';
}

const FIELDS = COLUMNS.map((column) => ({ name: column.element.name, type: typeOf(column), mode: 'REQUIRED' }));

/**
 * In partitions of so many ledgers. A query for a range of ledgers then reads, and is estimated at, no more than the
 * partitions that it touches; and the daily limit of a partitioned table is counted in partitions changed, twenty times
 * that of another table's load jobs. 2000 partitions (BigQuery takes 10,000) reach to ledger 200,000,000; what is beyond
 * lands in one of its own. Within one, clustering keeps ledgers together.
 */
const PARTITIONS = { start: 0, end: 200_000_000, interval: 100_000 } as const;
const CLUSTERED_BY = 'ledger_sequence';

/** What a load job says about the table, which it makes if there is none. */
export const LOAD_TABLE: Json = {
  schema: { fields: FIELDS },
  clustering: { fields: [CLUSTERED_BY] },
  rangePartitioning: {
    field: CLUSTERED_BY,
    range: Object.fromEntries(Object.entries(PARTITIONS).map(([name, value]) => [name, String(value)])),
  },
};

/** Letters, digits, `_` and `-`, as names of tables and jobs want it. */
export const plainName = (text: string): string => text.replaceAll(/[^A-Za-z0-9_-]/g, '-');

const columnLines = (notNull: boolean): string =>
  FIELDS.map(({ name, type }) => `  ${name} ${type === 'INTEGER' ? 'INT64' : type}${notNull ? ' NOT NULL' : ''}`).join(
    ',\n',
  );

/** The same table as a statement, for who wants it before the first partition is loaded. `name`: with its data set. */
export const loadTableDdl = (name: string): string =>
  `CREATE TABLE IF NOT EXISTS \`${name}\` (
${columnLines(true)}
)
PARTITION BY RANGE_BUCKET(${CLUSTERED_BY}, GENERATE_ARRAY(${PARTITIONS.start}, ${PARTITIONS.end}, ${PARTITIONS.interval}))
CLUSTER BY ${CLUSTERED_BY};
`;

/** Name of the external table of a chain, without its data set. */
export const externalName = (chain: ChainName): string =>
  `bronze_${plainName(chain.network)}_${plainName(chain.eraId)}_${plainName(chain.versionLabel)}`;

/**
 * An external table over all partitions of a chain. `root`: URI of Bronze, ending in `/`. The one `*` that BigQuery
 * allows reaches into the `range=` folders; without hive partitioning asked for these are only names, and manifests do
 * not end in `.parquet`. An external table takes no NOT NULL.
 */
export const externalTableDdl = (name: string, root: string, chain: ChainName, table: string): string =>
  `CREATE EXTERNAL TABLE IF NOT EXISTS \`${name}\` (
${columnLines(false)}
)
OPTIONS (
  format = 'PARQUET',
  uris = ['${root}${tablePrefix(chain, table)}*.parquet']
);
`;
