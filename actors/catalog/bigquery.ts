/**
 * The catalog in BigQuery: the tables of rows.ts in one of its data sets. A write is planned from what was read, and is
 * one script in one transaction that refuses itself where anybody wrote since; then it is planned anew.
 * It must never do half of a record, and never report as recorded what no finished job says.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { BronzeError } from '../../machines/errors.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import { orAborted, throwIfCancelled } from '../bounded.ts';
import type { Catalog, CatalogSpec, DatasetName, LineageRow, PartitionRecord } from '../ports/catalog.ts';
import { BigQueryApi, BigQueryRefusal, catalogError, isCollision, isMissing } from './bigquery-client.ts';
import { dryRun, type JobClient, type Row, read, runScript } from './bigquery-jobs.ts';
import { loadPartitions } from './bigquery-load.ts';
import { CatalogSql, FILLABLE, OVERTAKEN, type Part } from './bigquery-sql.ts';
import { checkVersion, createTables, type DatasetClient, inspect, locate, schemaError } from './bigquery-tables.ts';
import { columnsOf, correctionOf, microseconds, planRecord, type StoredRow, schemaHash, spanOf } from './rows.ts';

/** Every call ends within two minutes (ports/catalog.ts); BigQuery's own work goes on, and the next call finds it. */
const CALL_MS = 110_000;
/** Before a write that met another one is planned anew, ms; doubles, and half of it is chance. */
const PAUSE_MS = { first: 200, last: 5_000 } as const;

/** Opens nothing yet. BIGQUERY_EMULATOR_HOST is asked for now, and not later. */
export function openBigQuery(spec: Extract<CatalogSpec, { backend: 'bigquery' }>): Catalog {
  return new BigQueryCatalog(spec);
}

/** What a write is planned from. */
interface Seen {
  readonly writes: number;
  readonly exists: boolean;
  readonly schemaHash: string | null;
  /** The latest other version of the data set. */
  readonly older: string | null;
  readonly rows: readonly Row[];
}

class BigQueryCatalog implements Catalog {
  readonly uri: string;
  readonly #client: DatasetClient;
  readonly #load: boolean;
  /** Where jobs run, once the tables are known to be there. */
  #ready: JobClient | null = null;
  /** Writes of this process come one after another: they would only abort each other. */
  #turn: Promise<unknown> = Promise.resolve();
  readonly #closed = new AbortController();

  constructor({ project, dataset, location, load }: Extract<CatalogSpec, { backend: 'bigquery' }>) {
    this.uri = `bigquery://${project}/${dataset}`;
    this.#client = {
      api: new BigQueryApi(project),
      sql: new CatalogSql(project, dataset),
      dataset,
      location,
      uri: this.uri,
    };
    this.#load = load;
    // Both stand in statements, where they cannot be parameters.
    if (!/^[A-Za-z0-9.:-]+$/.test(project) || !/^\w+$/.test(dataset)) {
      throw new BronzeError('CATALOG_SCHEMA', `${this.uri} names no data set of BigQuery`, {
        details: { expected: 'a project (letters, digits, -) and a data set (letters, digits, _)' },
      });
    }
  }

  prepare(signal?: AbortSignal): Promise<'ready'> {
    return this.#call('prepare the catalog', signal, async (until) => {
      this.#ready = await createTables(this.#client, until);
      return 'ready' as const;
    });
  }

  probe(signal?: AbortSignal): Promise<void> {
    return this.#call('look at the catalog', signal, async (until) => {
      const { api, sql } = this.#client;
      const found = await inspect(this.#client, until);
      if (found === null) {
        // Nothing there yet: at least jobs may be run.
        return dryRun({ api, location: this.#client.location }, { sql: 'SELECT 1', parameters: [] }, until);
      }
      const jobs = { api, location: found.location };
      if (!found.missing.includes('_meta_schema')) await checkVersion(this.#client, jobs, until);
      await dryRun(jobs, found.missing.length === 0 ? sql.turn() : { sql: 'SELECT 1', parameters: [] }, until);
    });
  }

  record(dataset: DatasetName, partitions: readonly PartitionRecord[], signal?: AbortSignal): Promise<'recorded'> {
    return this.#call('record partitions', signal, async (until) => {
      if (partitions.length === 0) return 'recorded' as const;
      const { sql, dataset: datasetName } = this.#client;
      const span = spanOf(partitions);
      if (this.#load) {
        const jobs = await this.#open(until);
        const { rows } = await this.#seen(jobs, dataset, span, until);
        const { added } = planRecord(dataset, partitions, rows.map(storedOf));
        await loadPartitions({ ...jobs, sql, datasetName }, dataset, added, until);
      }
      await this.#write(dataset, span, until, (seen) => {
        const { added, known, changes } = planRecord(dataset, partitions, seen.rows.map(storedOf));
        const filled = known.filter((partition) => hasMore(partition, seen.rows));
        if (added.length === 0 && filled.length === 0) return null;
        const times = partitions.map(({ createdAt }) => microseconds(createdAt)).sort();
        const columns = partitions.some((partition) => partition.columns === 2) ? 2 : 1;
        return [
          this.#dataset(dataset, seen, columns, times[0] as string, times.at(-1) as string),
          sql.lineage(dataset, [...added, ...filled]),
          sql.quality(
            dataset,
            added.map(({ range, checks, createdAt }) => ({ range, passed: true, message: null, checks, createdAt })),
          ),
          sql.changes(dataset, [...this.#correction(dataset, seen, times[0] as string), ...changes]),
        ];
      });
      return 'recorded' as const;
    });
  }

  recordFailure(dataset: DatasetName, range: LedgerRange, message: string, signal?: AbortSignal): Promise<'recorded'> {
    return this.#call('record a failure', signal, async (until) => {
      // The one row that follows from no manifest: when it was said is when it happened.
      const now = microseconds(new Date().toISOString());
      await this.#write(dataset, range, until, (seen) => {
        if (seen.rows.some((row) => isOf(row, range))) return null;
        const { sql } = this.#client;
        return [
          this.#dataset(dataset, seen, 2, now, now),
          sql.quality(dataset, [{ range, passed: false, message, checks: null, createdAt: now }]),
          sql.changes(dataset, this.#correction(dataset, seen, now)),
        ];
      });
      return 'recorded' as const;
    });
  }

  rows(dataset: DatasetName, signal?: AbortSignal): Promise<readonly LineageRow[]> {
    return this.#call('read the catalog', signal, async (until) => {
      const { api, sql } = this.#client;
      const location = await locate(this.#client, until);
      if (location === null) return [];
      const jobs = { api, location };
      try {
        const [lineage] = await Promise.all([
          read(jobs, sql.lineageOf(dataset), until),
          checkVersion(this.#client, jobs, until),
        ]);
        return lineage.map(lineageOf);
      } catch (error) {
        if (isMissing(error)) return [];
        throw error;
      }
    });
  }

  forget(dataset: DatasetName, ranges: readonly LedgerRange[], signal?: AbortSignal): Promise<'recorded'> {
    return this.#call('forget partitions', signal, async (until) => {
      const [first] = ranges;
      if (first !== undefined) {
        await this.#write(dataset, first, until, () => [this.#client.sql.forget(dataset, ranges)]);
      }
      return 'recorded' as const;
    });
  }

  async close(): Promise<void> {
    this.#closed.abort(new BronzeError('CANCELLED', 'the catalog was closed'));
  }

  /** The row of the data set; a newer definition of columns takes the place of an older one, never the reverse. */
  #dataset(dataset: DatasetName, seen: Seen, columns: 1 | 2, created: string, updated: string): Part {
    const hash = columns === 2 || seen.schemaHash === null ? schemaHash(columns, dataset) : null;
    return this.#client.sql.dataset(dataset, hash, created, updated);
  }

  #correction(dataset: DatasetName, { exists, older }: Seen, createdAt: string) {
    return exists || older === null ? [] : [correctionOf(older, dataset, createdAt)];
  }

  /** Plans and writes until nobody came between. `plan` gives null where there is nothing to write. */
  async #write(
    dataset: DatasetName,
    span: LedgerRange,
    signal: AbortSignal,
    plan: (seen: Seen) => readonly Part[] | null,
  ): Promise<void> {
    const write = async (): Promise<void> => {
      throwIfCancelled(signal);
      const jobs = await this.#open(signal);
      for (let pause: number = PAUSE_MS.first; ; pause = Math.min(2 * pause, PAUSE_MS.last)) {
        const seen = await this.#seen(jobs, dataset, span, signal);
        const parts = plan(seen);
        if (parts === null) return;
        try {
          await runScript(jobs, this.#client.sql.script(seen.writes, parts), signal);
          return;
        } catch (error) {
          if (!isCollision(error) && !isOvertaken(error)) throw error;
        }
        const wait = pause / 2 + (Math.random() * pause) / 2;
        await sleep(wait, undefined, { signal }).catch(() => throwIfCancelled(signal));
      }
    };
    const turn = this.#turn.then(write);
    this.#turn = turn.catch(() => undefined);
    await orAborted(turn, signal);
  }

  /** The tables are made where nobody has prepared them. */
  async #open(signal: AbortSignal): Promise<JobClient> {
    this.#ready ??= await createTables(this.#client, signal);
    return this.#ready;
  }

  async #seen(jobs: JobClient, dataset: DatasetName, span: LedgerRange, signal: AbortSignal): Promise<Seen> {
    const rows = await read(jobs, this.#client.sql.seen(dataset, span), signal);
    const first = rows[0];
    const writes = first?.writes ?? null;
    if (first === undefined || writes === null) {
      this.#ready = null;
      throw schemaError(this.#client, 'the table _meta_writes has lost its row');
    }
    return {
      writes: Number(writes),
      exists: Number(first.datasets) > 0,
      schemaHash: first.schema_hash ?? null,
      older: first.older ?? null,
      rows: rows.filter((row) => row.ledger_start !== null),
    };
  }

  /** With a time-out of its own; every error gets its code. */
  async #call<T>(
    action: string,
    signal: AbortSignal | undefined,
    step: (until: AbortSignal) => Promise<T>,
  ): Promise<T> {
    throwIfCancelled(signal);
    const late = AbortSignal.timeout(CALL_MS);
    const asked = [this.#closed.signal, ...(signal ? [signal] : [])];
    const until = AbortSignal.any([late, ...asked]);
    try {
      return await step(until);
    } catch (error) {
      for (const stop of asked) throwIfCancelled(stop);
      const what = `${action} (${this.uri})`;
      if (!late.aborted) {
        // What was there is gone: the next call looks again.
        if (isMissing(error)) this.#ready = null;
        throw catalogError(what, error);
      }
      const seconds = CALL_MS / 1000;
      throw new BronzeError('CATALOG_UNAVAILABLE', `could not ${what}: BigQuery was not done after ${seconds} s`, {
        details: { hint: 'what it has begun goes on there; the next try finds it' },
      });
    }
  }
}

const isOvertaken = (error: unknown): boolean => error instanceof BigQueryRefusal && error.message.includes(OVERTAKEN);

const isOf = (row: Row, { start, end }: LedgerRange): boolean =>
  Number(row.ledger_start) === start && Number(row.ledger_end) === end;

/** Whether the record says something where its row says nothing. */
function hasMore(partition: PartitionRecord, rows: readonly Row[]): boolean {
  const row = rows.find((each) => isOf(each, partition.range));
  return Object.entries(FILLABLE).some(
    ([column, key]) => (partition[key] ?? '') !== '' && (row?.[column] ?? '') === '',
  );
}

const lineageOf = (row: Row): LineageRow => ({
  range: { start: Number(row.ledger_start), end: Number(row.ledger_end) },
  rowCount: Number(row.row_count),
  byteSize: Number(row.byte_size),
  checksum: row.checksum ?? '',
  prevHash: row.prev_hash || null,
  storagePath: row.storage_path ?? '',
  storageUri: row.storage_uri ?? '',
  pasEventId: row.pas_event_id || null,
});

const storedOf = (row: Row): StoredRow => ({
  ...lineageOf(row),
  createdAt: timeOf(row.created_at ?? '0'),
  columns: columnsOf(row.new_version ?? null),
});

/** Microseconds since 1970, as text, in the form of rows.ts. */
function timeOf(micros: string): string {
  const value = BigInt(micros);
  const digits = String(value % 1_000_000n).padStart(6, '0');
  return microseconds(new Date(Number(value / 1000n)).toISOString().replace(/\.\d+Z$/, `.${digits}Z`));
}
