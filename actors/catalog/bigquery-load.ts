/**
 * Loads partitions into a table, each by one job of its own, before its rows say that it is recorded. Whether one is
 * loaded is asked of the table: the id of a job keeps two from loading at once, and BigQuery forgets it after a while.
 * It must never load what the table already holds in part.
 */
import { BronzeError } from '../../machines/errors.ts';
import { mapBounded } from '../bounded.ts';
import type { DatasetName, PartitionRecord } from '../ports/catalog.ts';
import { isMissing } from './bigquery-client.ts';
import { type JobClient, read, runLoad } from './bigquery-jobs.ts';
import type { CatalogSql } from './bigquery-sql.ts';
import { LOAD_TABLE, plainName } from './bigquery-table.ts';

/** Load jobs under way at once. */
const AT_ONCE = 8;
/** Partitions that one question is about: it compares each of their rows with each of these. */
const PER_QUESTION = 100;

export interface LoadClient extends JobClient {
  readonly sql: CatalogSql;
  /** BigQuery's data set. */
  readonly datasetName: string;
}

/** `bronze_pubnet_pre_p23_v1_10000_19999_` and the first 16 digits of the checksum, which tells look-alike labels apart. */
function loadJobId({ chain }: DatasetName, { range, checksum }: PartitionRecord): string {
  const { network, eraId, versionLabel } = chain;
  const digits = checksum.replace('sha256:', '').slice(0, 16);
  return ['bronze', plainName(network), plainName(eraId), plainName(versionLabel), range.start, range.end, digits].join(
    '_',
  );
}

/** Every partition is in the table when this ends. Throws CATALOG_CONFLICT where the table holds only a part of one. */
export async function loadPartitions(
  client: LoadClient,
  dataset: DatasetName,
  partitions: readonly PartitionRecord[],
  signal: AbortSignal,
): Promise<void> {
  for (let from = 0; from < partitions.length; from += PER_QUESTION) {
    const some = partitions.slice(from, from + PER_QUESTION);
    const missing = await missingOf(client, dataset, some, signal);
    await mapBounded(missing, AT_ONCE, (partition) => loadOne(client, dataset, partition, signal), signal);
  }
}

async function loadOne(
  client: LoadClient,
  dataset: DatasetName,
  partition: PartitionRecord,
  signal: AbortSignal,
): Promise<void> {
  const { api, datasetName } = client;
  if (!partition.storageUri.startsWith('gs://')) {
    throw new BronzeError('CATALOG_SCHEMA', `BigQuery cannot load ${partition.storageUri}: Bronze is not in GCS`, {
      details: { object: partition.storageUri, hint: 'catalog.bigquery.load needs storage.backend gcs' },
    });
  }
  const load = {
    destinationTable: { projectId: api.project, datasetId: datasetName, tableId: dataset.dataset },
    sourceFormat: 'PARQUET',
    sourceUris: [partition.storageUri],
    createDisposition: 'CREATE_IF_NEEDED',
    writeDisposition: 'WRITE_APPEND',
    ...LOAD_TABLE,
  };
  const id = loadJobId(dataset, partition);
  for (let attempt = 1; ; ) {
    const job = await runLoad(client, id, load, signal, attempt);
    // Somebody else's job may have loaded it into another table, or into one that was emptied since.
    const missing = job.found && (await missingOf(client, dataset, [partition], signal)).length > 0;
    if (!missing) return;
    attempt = job.attempt + 1;
  }
}

/** Those of which the table holds nothing. */
async function missingOf(
  client: LoadClient,
  dataset: DatasetName,
  partitions: readonly PartitionRecord[],
  signal: AbortSignal,
): Promise<PartitionRecord[]> {
  const ranges = partitions.map(({ range }) => range);
  const counts = await read(client, client.sql.loaded(dataset, ranges), signal).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  });
  const held = new Map(counts.map((row) => [Number(row.ledger_start), Number(row.n)]));
  return partitions.filter(({ range, rowCount }) => {
    const rows = held.get(range.start) ?? 0;
    if (rows === 0) return true;
    if (rows === rowCount) return false;
    throw new BronzeError(
      'CATALOG_CONFLICT',
      `the table ${client.datasetName}.${dataset.dataset} holds ${rows} rows of partition ${range.start}-${range.end}, which has ${rowCount}`,
      {
        details: {
          ...range,
          expected: `${rowCount} rows`,
          found: `${rows} rows`,
          hint: 'delete the rows of this range from the table; they are loaded again',
        },
      },
    );
  });
}
