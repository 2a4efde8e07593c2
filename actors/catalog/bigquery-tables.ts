/**
 * The data set and the tables of the catalog in BigQuery: what is there, whether it is ours, and what is missing.
 * It must never change a table that is there.
 */
import { BronzeError } from '../../machines/errors.ts';
import { type BigQueryApi, isDuplicate, isMissing, type Json } from './bigquery-client.ts';
import { type JobClient, read, runScript } from './bigquery-jobs.ts';
import { type CatalogSql, DEFINITIONS, type TableDefinition, WRITES } from './bigquery-sql.ts';
import { CATALOG_VERSION } from './rows.ts';

export interface DatasetClient {
  readonly api: BigQueryApi;
  readonly sql: CatalogSql;
  readonly dataset: string;
  /** As configured; null = wherever it is, or the project's default where it is made. */
  readonly location: string | null;
  /** For messages. */
  readonly uri: string;
}

export interface Found {
  readonly location: string;
  /** Tables and views of the catalog that are not there. */
  readonly missing: readonly string[];
}

export const schemaError = ({ uri }: Pick<DatasetClient, 'uri'>, why: string): BronzeError =>
  new BronzeError('CATALOG_SCHEMA', `${uri} is no catalog of this release: ${why}`, {
    details: { object: uri, found: why, hint: 'name another data set, or use the release that made this one' },
  });

async function orNull(asked: Promise<Json>): Promise<Json | null> {
  try {
    return await asked;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

/** Where the data set is, which its jobs have to name and which never changes; null where there is none. */
export async function locate(client: DatasetClient, signal: AbortSignal): Promise<string | null> {
  const there = await orNull(client.api.request({ method: 'GET', path: `/datasets/${client.dataset}` }, signal));
  return there === null ? null : locationOf(client, there);
}

/** Looks and writes nothing; null where there is no such data set. Throws CATALOG_SCHEMA for what is not ours. */
export async function inspect(client: DatasetClient, signal: AbortSignal): Promise<Found | null> {
  const { api, sql, dataset } = client;
  const location = await locate(client, signal);
  if (location === null) return null;
  const names = [...DEFINITIONS.map(({ name }) => name), ...sql.views().map(({ name }) => name)];
  const tables = await Promise.all(
    names.map((name) => orNull(api.request({ method: 'GET', path: `/datasets/${dataset}/tables/${name}` }, signal))),
  );
  for (const [n, definition] of DEFINITIONS.entries()) compare(client, definition, tables[n] ?? null);
  return { location, missing: names.filter((_, n) => tables[n] === null) };
}

function locationOf(client: DatasetClient, dataset: Json): string {
  const { location } = dataset;
  if (typeof location !== 'string') throw schemaError(client, 'the data set has no location');
  if (client.location !== null && client.location.toLowerCase() !== location.toLowerCase()) {
    throw new BronzeError(
      'CATALOG_SCHEMA',
      `${client.uri} lies in ${location}, and catalog.bigquery.location says ${client.location}`,
      {
        details: {
          object: client.uri,
          expected: client.location,
          found: location,
          hint: 'correct catalog.bigquery.location (empty = wherever it is), or name another data set',
        },
      },
    );
  }
  return location;
}

/** Columns may be added by whoever reads the catalog; ours have to be there as they were made. */
function compare(client: DatasetClient, { name, fields }: TableDefinition, table: Json | null): void {
  if (table === null) return;
  const schema = table.schema as { fields?: readonly { name: string; type: string; mode?: string }[] } | undefined;
  const found = new Map(schema?.fields?.map((field) => [field.name, field]));
  for (const field of fields) {
    const there = found.get(field.name);
    const is = there === undefined ? 'missing' : `${there.type} ${there.mode ?? 'NULLABLE'}`;
    const wanted = `${field.type} ${field.mode}`;
    if (is !== wanted) throw schemaError(client, `${name}.${field.name} is ${is}, not ${wanted}`);
  }
}

/** Whether the first rows are there. Throws CATALOG_SCHEMA where a newer release made the tables. */
export async function checkVersion(client: DatasetClient, jobs: JobClient, signal: AbortSignal): Promise<boolean> {
  const [row] = await read(jobs, client.sql.version(), signal);
  const version = row?.version ?? null;
  if (version === null) return false;
  if (Number(version) > CATALOG_VERSION) throw schemaError(client, `its tables are of version ${version}`);
  return true;
}

/** Makes what is missing; two at once are no harm: each takes what the other has made. */
export async function createTables(client: DatasetClient, signal: AbortSignal): Promise<JobClient> {
  const { api, sql, dataset } = client;
  const found = (await inspect(client, signal)) ?? (await createDataset(client, signal));
  const jobs: JobClient = { api, location: found.location };
  const begun = !found.missing.includes('_meta_schema') && (await checkVersion(client, jobs, signal));
  const make = async (tableId: string, what: Json): Promise<void> => {
    if (!found.missing.includes(tableId)) return;
    const tableReference = { projectId: api.project, datasetId: dataset, tableId };
    const path = `/datasets/${dataset}/tables`;
    await api.request({ method: 'POST', path, body: { tableReference, ...what } }, signal).catch((error: unknown) => {
      if (!isDuplicate(error)) throw error;
    });
  };
  await Promise.all(DEFINITIONS.map(({ name, fields }) => make(name, { schema: { fields } })));
  // Of the tables, which have to be there.
  await Promise.all(sql.views().map(({ name, view }) => make(name, { view })));
  const remade = found.missing.some((name) => DEFINITIONS.some((definition) => definition.name === name));
  if (!begun || remade) await runScript(jobs, sql.seed(await newest(client, ['_meta_schema', WRITES], signal)), signal);
  return jobs;
}

/** When the latest of these tables was made. */
async function newest({ api, dataset }: DatasetClient, names: readonly string[], signal: AbortSignal): Promise<string> {
  const made = names.map(async (name) => {
    const table = await api.request({ method: 'GET', path: `/datasets/${dataset}/tables/${name}` }, signal);
    return Number(table.creationTime);
  });
  return new Date(Math.max(...(await Promise.all(made)))).toISOString();
}

async function createDataset(client: DatasetClient, signal: AbortSignal): Promise<Found> {
  const { api, dataset, location } = client;
  const body = {
    datasetReference: { projectId: api.project, datasetId: dataset },
    ...(location === null ? {} : { location }),
  };
  try {
    await api.request({ method: 'POST', path: '/datasets', body }, signal);
  } catch (error) {
    if (!isDuplicate(error)) throw error;
  }
  const found = await inspect(client, signal);
  if (found === null) throw new BronzeError('CATALOG_UNAVAILABLE', `${client.uri} was made and is not there yet`);
  return found;
}
