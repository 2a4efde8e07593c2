/**
 * Jobs of BigQuery: queries that are read, scripts and loads that happen once. A job that writes has an id that follows
 * from what it does, so that whoever asks for it again finds it instead of doing it twice.
 * It must never start a job that writes under an id of chance.
 */
import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { BronzeError } from '../../machines/errors.ts';
import { throwIfCancelled } from '../bounded.ts';
import { type BigQueryApi, BigQueryRefusal, isDuplicate, isMissing, type Json } from './bigquery-client.ts';

/** How long BigQuery keeps a read waiting before it says that it is not done, ms. */
const READ_WAIT_MS = 10_000;
/** Between two looks at a job, ms; grows. */
const LOOK_MS = { first: 100, last: 2_000 } as const;
/** Of one answer: more than a chain has partitions. */
const ROWS = 5_000_000;
/** Failed jobs of one id, after which somebody has to look. */
const MOST_ATTEMPTS = 100;

export type Scalar = 'STRING' | 'INT64' | 'BOOL' | 'TIMESTAMP';
export type Value = string | number | boolean | null;
export type Fields = Readonly<Record<string, Scalar>>;

/** A named parameter as the API takes it. */
export type Parameter = Json & { readonly name: string };

const apiValue = (value: Value): Json => ({ value: value === null ? null : String(value) });

export const scalar = (name: string, type: Scalar, value: Value): Parameter => ({
  name,
  parameterType: { type },
  parameterValue: apiValue(value),
});

/** An array of structs with these fields, for `UNNEST(@name)`. */
export const structs = <F extends Fields>(
  name: string,
  fields: F,
  rows: readonly Readonly<Record<keyof F, Value>>[],
): Parameter => ({
  name,
  parameterType: {
    type: 'ARRAY',
    arrayType: {
      type: 'STRUCT',
      structTypes: Object.entries(fields).map(([field, type]) => ({ name: field, type: { type } })),
    },
  },
  parameterValue: {
    arrayValues: rows.map((row) => ({
      structValues: Object.fromEntries(Object.keys(fields).map((field) => [field, apiValue(row[field] ?? null)])),
    })),
  },
});

export interface Statement {
  readonly sql: string;
  readonly parameters: readonly Parameter[];
}

const queryOf = ({ sql, parameters }: Statement): Json => ({
  query: sql,
  useLegacySql: false,
  parameterMode: 'named',
  queryParameters: parameters,
});

/** Where jobs run: the location of the data set, which its jobs have to name. */
export interface JobClient {
  readonly api: BigQueryApi;
  readonly location: string;
}

/** Values of the API: text, or null. Integers and timestamps (microseconds) come as text, too. */
export type Row = Readonly<Record<string, string | null>>;

interface Page extends Json {
  readonly jobComplete?: boolean;
  readonly jobReference?: { readonly jobId?: string };
  readonly schema?: { readonly fields?: readonly { readonly name: string }[] };
  readonly rows?: readonly { readonly f: readonly { readonly v: string | null }[] }[];
  readonly pageToken?: string;
}

/** All rows of a query that only reads. */
export async function read({ api, location }: JobClient, statement: Statement, signal: AbortSignal): Promise<Row[]> {
  const rows: Row[] = [];
  let token: string | undefined;
  let page: Page = await api.request(
    {
      method: 'POST',
      path: '/queries',
      body: {
        ...queryOf(statement),
        location,
        formatOptions: { useInt64Timestamp: true },
        timeoutMs: READ_WAIT_MS,
        requestId: randomUUID(),
      },
    },
    signal,
  );
  for (;;) {
    const names = page.schema?.fields?.map(({ name }) => name) ?? [];
    for (const { f } of page.rows ?? []) rows.push(Object.fromEntries(names.map((name, n) => [name, f[n]?.v ?? null])));
    const { jobComplete, pageToken } = page;
    if (jobComplete !== false && pageToken === undefined) return rows;
    // Pages must make progress; waiting for the job ends with the signal.
    if (pageToken !== undefined && (pageToken === token || rows.length > ROWS)) {
      const message = `the pages of a query do not end: ${rows.length} rows so far`;
      throw new BronzeError('CATALOG_UNAVAILABLE', message, { retryable: false });
    }
    token = pageToken;
    page = await api.request(
      {
        method: 'GET',
        path: `/queries/${page.jobReference?.jobId ?? ''}`,
        query: {
          location,
          'formatOptions.useInt64Timestamp': 'true',
          timeoutMs: String(READ_WAIT_MS),
          ...(pageToken === undefined ? {} : { pageToken }),
        },
      },
      signal,
    );
  }
}

/** Whether BigQuery would take this statement from these credentials; nothing is done. `location` null: the default. */
export async function dryRun(
  { api, location }: { readonly api: BigQueryApi; readonly location: string | null },
  statement: Statement,
  signal: AbortSignal,
): Promise<void> {
  const jobReference = { projectId: api.project, ...(location === null ? {} : { location }) };
  const body = { jobReference, configuration: { dryRun: true, query: queryOf(statement) } };
  await api.request({ method: 'POST', path: '/jobs', body }, signal);
}

interface Job extends Json {
  readonly status?: {
    readonly state?: string;
    readonly errorResult?: { readonly reason?: string; readonly message?: string };
  };
}

export interface FinishedJob {
  /** Which of the jobs of its id did it: 1 is the first. */
  readonly attempt: number;
  /** Somebody had asked for it before. */
  readonly found: boolean;
}

/**
 * Runs a job under this id, or finds it. One that was found failed gets a successor under the next id; of one that was
 * started here the failure is thrown (BigQueryRefusal with status 0). Every job here does all that it does, or nothing.
 */
async function runOnce(
  client: JobClient,
  id: string,
  configuration: Json,
  signal: AbortSignal,
  first = 1,
): Promise<FinishedJob> {
  const { api, location } = client;
  for (let attempt = first; attempt <= MOST_ATTEMPTS; attempt++) {
    const jobId = attempt === 1 ? id : `${id}_${attempt}`;
    let found = false;
    try {
      const jobReference = { projectId: api.project, jobId, location };
      await api.request({ method: 'POST', path: '/jobs', body: { jobReference, configuration } }, signal);
    } catch (error) {
      if (!isDuplicate(error)) throw error;
      found = true;
    }
    const job = await finished(client, jobId, signal);
    const failure = job === null ? null : job.status?.errorResult;
    if (job !== null && failure === undefined) return { attempt, found };
    if (!found) throw new BigQueryRefusal(0, failure?.reason ?? '', failure?.message ?? 'the job is not there');
  }
  throw new BronzeError('CATALOG_UNAVAILABLE', `${MOST_ATTEMPTS} jobs named ${id} have failed`, {
    retryable: false,
    details: { hint: 'look at these jobs in the console of BigQuery: what they say is the reason' },
  });
}

/** A job once it has ended, well or not; null where it is not there (it was found, in another location). */
async function finished({ api, location }: JobClient, jobId: string, signal: AbortSignal): Promise<Job | null> {
  for (let pause: number = LOOK_MS.first; ; pause = Math.min(pause * 1.5, LOOK_MS.last)) {
    try {
      const job: Job = await api.request({ method: 'GET', path: `/jobs/${jobId}`, query: { location } }, signal);
      if (job.status?.state === 'DONE') return job;
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
    await sleep(pause, undefined, { signal }).catch(() => throwIfCancelled(signal));
  }
}

/** Runs a script once: its id is the hash of its text and parameters. */
export function runScript(client: JobClient, statement: Statement, signal: AbortSignal): Promise<FinishedJob> {
  const hash = createHash('sha256')
    .update(JSON.stringify([statement.sql, statement.parameters]))
    .digest('hex');
  return runOnce(client, `bronze_catalog_${hash.slice(0, 40)}`, { query: queryOf(statement) }, signal);
}

/** Runs a load once. `first`: the attempt to begin with, where it is known that none before it helped. */
export const runLoad = (client: JobClient, id: string, load: Json, signal: AbortSignal, first: number) =>
  runOnce(client, id, { load }, signal, first);
