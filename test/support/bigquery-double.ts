/**
 * A DOUBLE of BigQuery's REST API, written from recorded routes and the API's reference, because no Google Cloud can be
 * reached here. Statements run in DuckDB (googlesql-double.ts says what that leaves unproved). It shows that the program
 * does what it should with such answers; it proves nothing about Google's servers, their permissions, quotas, locations
 * or time, and must never be cited as if it did. What it does not know it refuses (400, notImplemented) rather than guess.
 *
 * It lives in the tests' process; programs under test reach it by BIGQUERY_EMULATOR_HOST.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { BigQueryError, type Field, GoogleSql, type QueryParameter, type ResultSet } from './googlesql-double.ts';

export interface BigQueryRequest {
  /** `datasets.get`, `datasets.insert`, `tables.get`, `tables.insert`, `jobs.get`, `jobs.insert`, `queries.post`, `queries.get`. */
  readonly operation: string;
  /** Of a job, data set or table; '' where the request names none. */
  readonly name: string;
  readonly query: URLSearchParams;
  // biome-ignore lint/suspicious/noExplicitAny: whatever was sent
  readonly body: any;
  /** How many requests of this operation there have been, this one counted. */
  readonly n: number;
}

/** What shall go wrong with one request. A delay may come before any of the others. */
export interface BigQueryFault {
  readonly delayMs?: number;
  /** Answered without doing anything. */
  readonly refusal?: { readonly status: number; readonly reason: string; readonly message?: string };
  /** Sent as it is, with this status: somebody between. */
  readonly page?: { readonly status: number; readonly text: string };
  /** `before`: nothing was done. `after`: it was done, and the answer is lost. */
  readonly cut?: 'before' | 'after';
  /** A query that is not done when it is answered. */
  readonly incomplete?: boolean;
}

export interface BigQueryDouble {
  /** `http://127.0.0.1:port`, for BIGQUERY_EMULATOR_HOST. */
  readonly url: string;
  readonly log: BigQueryRequest[];
  /** Asked once for each request; null = nothing goes wrong. */
  faults: (request: BigQueryRequest) => BigQueryFault | null;
  /** Asked once for each job that is to run; what it gives is how the job fails, with nothing done. */
  jobFaults: (jobId: string) => { readonly reason: string; readonly message: string } | null;
  /** How long a job runs before it does anything, ms. */
  jobMs: number;
  /** Rows of a page of results. */
  pageRows: number;
  /** Bytes of an object in a bucket, for loads; null = there is none. */
  objects: (uri: string) => Uint8Array | null;
  makeDataset(name: string, location: string): void;
  /** GoogleSQL past the API: rows by column; integers as number, times as Date, JSON as text. */
  sql(statement: string): Promise<Record<string, unknown>[]>;
  /** What a table was made with; null = there is none. */
  table(dataset: string, name: string): Readonly<Record<string, unknown>> | null;
  /** Requests of one operation so far. */
  count(operation: string): number;
  /** Ids of the jobs that were started, in order. */
  jobs(): string[];
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

interface LoadConfiguration {
  readonly destinationTable: { readonly datasetId: string; readonly tableId: string };
  readonly sourceUris: readonly string[];
  readonly sourceFormat: string;
  readonly writeDisposition: string;
  readonly schema?: { readonly fields: readonly Field[] };
}

interface Job {
  readonly jobReference: { projectId: string; jobId: string; location: string };
  readonly configuration: Readonly<Record<string, unknown>>;
  state: 'RUNNING' | 'DONE';
  error: { reason: string; message: string } | null;
  result: ResultSet;
}

type Resource = Record<string, unknown>;
type Settings = Pick<BigQueryDouble, 'jobFaults' | 'jobMs' | 'pageRows' | 'objects'>;

const notFound = (what: string): BigQueryError => new BigQueryError(404, 'notFound', `Not found: ${what}`);
const duplicate = (what: string): BigQueryError => new BigQueryError(409, 'duplicate', `Already Exists: ${what}`);
const unknown = (what: string): BigQueryError =>
  new BigQueryError(400, 'notImplemented', `The double knows no ${what}`);

const errorBody = ({ status, reason, message }: Pick<BigQueryError, 'status' | 'reason' | 'message'>): unknown => ({
  error: { code: status, message, errors: [{ message, domain: 'global', reason }] },
});

class Double {
  readonly datasets = new Map<string, Resource>();
  readonly tables = new Map<string, Resource>();
  /** By project and id. */
  readonly jobs = new Map<string, Job>();
  /** Tables that are being made. */
  readonly making = new Map<string, Promise<unknown>>();
  readonly sql: GoogleSql;
  readonly folder = mkdtempSync(join(tmpdir(), 'bigquery-double-'));
  readonly settings: Settings;
  made = 0;

  constructor(sql: GoogleSql, settings: Settings) {
    this.sql = sql;
    this.settings = settings;
  }

  async answer(
    request: BigQueryRequest,
    project: string,
    segments: readonly string[],
    fault: BigQueryFault,
  ): Promise<Answer> {
    const { operation, body, query } = request;
    const [, dataset = '', , table = ''] = segments;
    const ok = (resource: unknown): Answer => ({ status: 200, body: resource });
    switch (operation) {
      case 'datasets.get':
        return ok(this.dataset(project, dataset));
      case 'datasets.insert': {
        const id = body.datasetReference.datasetId;
        if (this.datasets.has(id)) throw duplicate(`Dataset ${project}:${id}`);
        return ok(this.makeDataset(id, body.location ?? 'US'));
      }
      case 'tables.get': {
        this.dataset(project, dataset);
        // Seen only once it can be used, as of one that is made by a single step.
        await this.making.get(`${dataset}.${table}`)?.catch(() => undefined);
        const found = this.tables.get(`${dataset}.${table}`);
        if (found === undefined) throw notFound(`Table ${project}:${dataset}.${table}`);
        return ok(found);
      }
      case 'tables.insert':
        this.dataset(project, dataset);
        return ok(await this.makeTable(project, dataset, body.tableReference.tableId, body));
      case 'jobs.insert':
        return ok(await this.insertJob(project, body));
      case 'jobs.get':
        return ok(jobResource(this.job(project, request.name, query.get('location'))));
      case 'queries.post': {
        const location = body.location ?? 'US';
        const job = this.newJob(project, `job_${this.jobs.size}`, location, { query: body });
        await this.run(job, false);
        if (fault.incomplete) return ok({ jobComplete: false, jobReference: job.jobReference });
        return ok(this.page(job, 0, body.formatOptions?.useInt64Timestamp === true));
      }
      case 'queries.get': {
        const job = this.job(project, request.name, query.get('location'));
        while (job.state !== 'DONE') await sleep(5);
        if (job.error !== null) throw new BigQueryError(400, job.error.reason, job.error.message);
        const from = Number(query.get('pageToken') ?? '0');
        return ok(this.page(job, from, query.get('formatOptions.useInt64Timestamp') === 'true'));
      }
      default:
        throw unknown(`route ${operation}`);
    }
  }

  dataset(project: string, id: string): Resource {
    const found = this.datasets.get(id);
    if (found === undefined) throw notFound(`Dataset ${project}:${id}`);
    return found;
  }

  makeDataset(id: string, location: string): Resource {
    const resource = { kind: 'bigquery#dataset', datasetReference: { datasetId: id }, location };
    this.datasets.set(id, resource);
    return resource;
  }

  async makeTable(project: string, dataset: string, table: string, what: Resource): Promise<Resource> {
    const key = `${dataset}.${table}`;
    if (this.tables.has(key)) {
      // Who is told that it is there may use it at once.
      await this.making.get(key)?.catch(() => undefined);
      throw duplicate(`Table ${project}:${key}`);
    }
    // Taken at once: two requests for one table do not both make it.
    const resource = { ...what, creationTime: String(1_760_000_000_000 + ++this.made) };
    this.tables.set(key, resource);
    const { schema, view } = what as { schema?: { fields: Field[] }; view?: { query: string } };
    const made =
      view === undefined
        ? this.sql.createTable(dataset, table, schema?.fields ?? [])
        : this.sql.run(`CREATE VIEW \`${project}.${key}\` AS ${view.query}`);
    this.making.set(key, made);
    await made.catch((error: unknown) => {
      this.tables.delete(key);
      throw error;
    });
    return resource;
  }

  async insertJob(project: string, body: Resource): Promise<unknown> {
    const { jobReference = {}, configuration } = body as {
      jobReference?: { jobId?: string; location?: string };
      configuration: Resource;
    };
    const { jobId = `job_${this.jobs.size}`, location = 'US' } = jobReference;
    if (configuration.dryRun === true) {
      const { query, queryParameters = [] } = configuration.query as {
        query: string;
        queryParameters?: QueryParameter[];
      };
      await this.sql.explain(query, queryParameters);
      return { status: { state: 'DONE' }, configuration };
    }
    if (!/^[A-Za-z0-9_-]{1,1024}$/.test(jobId)) throw new BigQueryError(400, 'invalid', `Invalid job ID "${jobId}"`);
    if (this.jobs.has(`${project}:${jobId}`)) throw duplicate(`Job ${project}:${location}.${jobId}`);
    const job = this.newJob(project, jobId, location, configuration);
    void this.run(job, true);
    return jobResource(job);
  }

  newJob(project: string, jobId: string, location: string, configuration: Resource): Job {
    const jobReference = { projectId: project, jobId, location };
    const job: Job = { jobReference, configuration, state: 'RUNNING', error: null, result: { fields: [], rows: [] } };
    this.jobs.set(`${project}:${jobId}`, job);
    return job;
  }

  job(project: string, jobId: string, location: string | null): Job {
    const job = this.jobs.get(`${project}:${jobId}`);
    if (
      job === undefined ||
      (location !== null && location.toLowerCase() !== job.jobReference.location.toLowerCase())
    ) {
      throw notFound(`Job ${jobId}`);
    }
    return job;
  }

  /** `keeps`: how it fails is found out by asking; else it is thrown. */
  async run(job: Job, keeps: boolean): Promise<void> {
    const { jobId, location, projectId } = job.jobReference;
    try {
      if (keeps) await sleep(this.settings.jobMs);
      const fault = keeps ? this.settings.jobFaults(jobId) : null;
      if (fault !== null) throw new BigQueryError(400, fault.reason, fault.message);
      const { load, query } = job.configuration as {
        load?: LoadConfiguration;
        query?: { query: string; queryParameters?: QueryParameter[] };
      };
      const named = load?.destinationTable.datasetId ?? /`[^`.]+\.([^`.]+)\./.exec(query?.query ?? '')?.[1];
      if (named !== undefined && this.dataset(projectId, named).location !== location) {
        throw notFound(`Dataset ${projectId}:${named} was not found in location ${location}`);
      }
      if (load !== undefined) await this.load(projectId, load);
      else if (query !== undefined) job.result = await this.sql.run(query.query, query.queryParameters);
    } catch (error) {
      if (!keeps) throw error;
      const { reason, message } =
        error instanceof BigQueryError ? error : { reason: 'internalError', message: String(error) };
      job.error = { reason, message };
    } finally {
      job.state = 'DONE';
    }
  }

  /** All of it or nothing: one statement. */
  async load(project: string, load: LoadConfiguration): Promise<void> {
    const { destinationTable, sourceUris, sourceFormat, writeDisposition, schema } = load;
    const { datasetId, tableId } = destinationTable;
    if (sourceFormat !== 'PARQUET' || writeDisposition !== 'WRITE_APPEND') throw unknown(`load of ${sourceFormat}`);
    const files = sourceUris.map((uri, n) => {
      const bytes = this.settings.objects(uri);
      if (bytes === null) throw notFound(`URI ${uri}`);
      const file = join(this.folder, `${++this.made}-${n}.parquet`);
      writeFileSync(file, bytes);
      return `'${file}'`;
    });
    const key = `${datasetId}.${tableId}`;
    if (!this.tables.has(key)) await this.makeTable(project, datasetId, tableId, { ...load });
    await this.making.get(key);
    const columns = (schema?.fields ?? []).map(({ name }) => `"${name}"`).join(', ');
    await this.sql.run(
      `INSERT INTO "${datasetId}"."${tableId}" (${columns}) SELECT ${columns} FROM read_parquet([${files.join(', ')}])`,
    );
  }

  page({ jobReference, result }: Job, from: number, micros: boolean): unknown {
    if (!micros && result.fields.some(({ type }) => type === 'TIMESTAMP')) throw unknown('timestamp but int64');
    const { pageRows } = this.settings;
    const rows = result.rows.slice(from, from + pageRows).map((row) => ({ f: row.map((v) => ({ v })) }));
    const next = from + pageRows < result.rows.length ? { pageToken: String(from + pageRows) } : {};
    return {
      jobReference,
      jobComplete: true,
      schema: { fields: result.fields },
      rows,
      totalRows: String(result.rows.length),
      ...next,
    };
  }
}

const jobResource = ({ jobReference, configuration, state, error }: Job): unknown => ({
  jobReference,
  configuration,
  status: { state, ...(error === null || state !== 'DONE' ? {} : { errorResult: error, errors: [error] }) },
});

function plain(type: string, value: string | null): unknown {
  if (value === null) return null;
  if (type === 'INTEGER') return Number(value);
  if (type === 'BOOLEAN') return value === 'true';
  return type === 'TIMESTAMP' ? new Date(Number(value) / 1000) : value;
}

function operationOf(method: string, [kind = '', name, below]: readonly string[], named: boolean): string {
  const verb = method === 'POST' ? (kind === 'queries' ? 'post' : 'insert') : named ? 'get' : 'list';
  return `${below === undefined || name === undefined ? kind : below}.${verb}`;
}

const send = (response: ServerResponse, status: number, type: string, text: string): void =>
  void response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) }).end(text);

const sendJson = (response: ServerResponse, { status, body }: Answer): void =>
  send(response, status, 'application/json; charset=UTF-8', JSON.stringify(body));

export async function startBigQueryDouble(): Promise<BigQueryDouble> {
  const counts = new Map<string, number>();

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', 'http://double');
    const [, project = '', path = ''] = /^\/projects\/([^/]+)\/(.*)$/.exec(url.pathname) ?? [];
    const segments = path.split('/').map(decodeURIComponent);
    const text = await textOf(request);
    const operation = operationOf(request.method ?? '', segments, segments.length % 2 === 0);
    const n = (counts.get(operation) ?? 0) + 1;
    counts.set(operation, n);
    const body = text === '' ? {} : JSON.parse(text);
    const name = operation === 'jobs.insert' ? (body.jobReference?.jobId ?? '') : (segments[3] ?? segments[1] ?? '');
    const seen: BigQueryRequest = { operation, name, query: url.searchParams, body, n };
    double.log.push(seen);
    const fault = double.faults(seen) ?? {};
    if (fault.delayMs !== undefined) await sleep(fault.delayMs);
    if (fault.cut === 'before') return void request.socket.destroy();
    if (fault.page !== undefined) return send(response, fault.page.status, 'text/html', fault.page.text);
    let answer: Answer;
    try {
      if (fault.refusal !== undefined) {
        const { status, reason, message = reason } = fault.refusal;
        throw new BigQueryError(status, reason, message);
      }
      answer = await state.answer(seen, project, segments, fault);
    } catch (error) {
      if (!(error instanceof BigQueryError)) throw error;
      answer = { status: error.status, body: errorBody(error) };
    }
    if (fault.cut === 'after') return void request.socket.destroy();
    sendJson(response, answer);
  }

  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => {
      // A mistake of the double itself: loud, and nothing that a client would try again.
      const refusal = new BigQueryError(400, 'notImplemented', `The double: ${error}`);
      sendJson(response, { status: 400, body: errorBody(refusal) });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  const double: BigQueryDouble = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    log: [],
    faults: () => null,
    jobFaults: () => null,
    jobMs: 0,
    pageRows: 10_000,
    objects: () => null,
    makeDataset: (name, location) => void state.makeDataset(name, location),
    async sql(statement) {
      const { fields, rows } = await state.sql.run(statement);
      return rows.map((row) =>
        Object.fromEntries(fields.map(({ name, type }, n) => [name, plain(type, row[n] ?? null)])),
      );
    },
    table: (dataset, name) => state.tables.get(`${dataset}.${name}`) ?? null,
    count: (operation) => counts.get(operation) ?? 0,
    jobs: () => [...state.jobs.values()].map((job) => job.jobReference.jobId).filter((id) => !/^job_\d+$/.test(id)),
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => {
          state.sql.close();
          rmSync(state.folder, { recursive: true, force: true });
          if (error) reject(error);
          else resolve();
        });
        server.closeAllConnections();
      }),
  };
  const state = new Double(await GoogleSql.open(), double);
  return double;
}
