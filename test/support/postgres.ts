/**
 * PostgreSQL for tests (test/servers/postgres.sh). One that runs is named in the environment; without it suites are
 * skipped by name, and with CI=true its absence is a failure, as in servers.ts.
 *
 *   BRONZE_TEST_POSTGRES=postgres://postgres:testpassword@127.0.0.1:15432/postgres
 *
 * But for the suite of catalogs it must never use the program's own code for one: it is the other witness.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterAll, describe, it } from 'vitest';
import { openPostgres } from '../../actors/catalog/postgres.ts';
import type { Catalog } from '../../actors/ports/catalog.ts';

const VARIABLE = 'BRONZE_TEST_POSTGRES';
const SCRIPT = resolve('test/servers/postgres.sh');
const run = promisify(execFile);

/** Databases to be dropped when their suite is over. */
const made: { server: string; name: string }[] = [];
/** Of the suite that runs: the one with the schemas. */
let shared: Promise<string> | null = null;

/** `describe` for suites that need PostgreSQL; `body` gets the DSN of a superuser, and is not run where there is none. */
export function describePostgres(name: string, body: (server: string) => void): void {
  const title = `postgres: ${name}`;
  const server = process.env[VARIABLE];
  const absent = (): never => {
    throw new Error(`${VARIABLE} names no server; test/servers/postgres.sh start DIR starts one`);
  };
  if (server) {
    describe(title, () => {
      afterAll(dropDatabases);
      body(server);
    });
  } else if (process.env.CI === 'true') describe(title, () => it('has postgres', absent));
  else describe.skip(title, () => it('needs postgres', absent));
}

/** The DSN of a new, empty database, for the superuser; dropped when the suite is over. */
export async function freshDatabase(server: string): Promise<string> {
  const name = `bronze_${randomBytes(8).toString('hex')}`;
  await sql(server, `CREATE DATABASE ${name}`);
  made.push({ server, name });
  return dsnWith(server, { database: name });
}

/**
 * The DSN of a new, empty schema in a database that other tests use as well; much quicker than a database. It stays
 * until the suite is over.
 */
export async function freshSchema(server: string): Promise<string> {
  shared ??= freshDatabase(server);
  const database = await shared;
  const name = `bronze_${randomBytes(8).toString('hex')}`;
  await sql(database, `CREATE SCHEMA ${name}`);
  return dsnWith(database, { parameters: { options: `-csearch_path=${name}` } });
}

async function dropDatabases(): Promise<void> {
  shared = null;
  for (const { server, name } of made.splice(0)) await sql(server, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
}

/** The DSN with another database, user and so on. */
export function dsnWith(
  dsn: string,
  change: { database?: string; user?: string; password?: string; port?: number; parameters?: Record<string, string> },
): string {
  const url = new URL(dsn);
  if (change.database !== undefined) url.pathname = `/${change.database}`;
  if (change.user !== undefined) url.username = change.user;
  if (change.password !== undefined) url.password = change.password;
  if (change.port !== undefined) url.port = String(change.port);
  for (const [name, value] of Object.entries(change.parameters ?? {})) url.searchParams.set(name, value);
  return url.href;
}

/** Rows of one statement, or nothing of several, in a session of its own. */
export async function sql<R extends pg.QueryResultRow = pg.QueryResultRow>(
  dsn: string,
  text: string,
  values?: unknown[],
): Promise<R[]> {
  return inSession(dsn, async (client) => (await client.query<R>(text, values)).rows);
}

/** An empty place for the suite of catalogs, and a look at its tables with numbers as numbers. */
export async function postgresUnderTest(server: string) {
  const dsn = await freshSchema(server);
  return {
    open: (): Catalog => openPostgres({ backend: 'postgres', dsn }),
    query: (text: string) =>
      inSession(dsn, async (client) => {
        for (const oid of [pg.types.builtins.INT8, pg.types.builtins.NUMERIC]) client.setTypeParser(oid, Number);
        return (await client.query<Record<string, unknown>>(text)).rows;
      }),
  };
}

/** A session of its own, as long as `body` runs. */
export async function inSession<T>(dsn: string, body: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: dsn });
  await client.connect();
  try {
    return await body(client);
  } finally {
    await client.end();
  }
}

/** A server of one test's own, which may be stopped and started again over the same data. */
export interface OwnPostgres {
  readonly dsn: string;
  readonly port: number;
  /** The certificate of the authority of its certificate. */
  readonly authority: string;
  start(): Promise<void>;
  /** Ends its sessions. */
  stop(): Promise<void>;
  /** Stops it and removes its folder. */
  down(): Promise<void>;
}

/** Takes about two seconds: for tests that do to a server what others must not see. */
export async function ownPostgres(): Promise<OwnPostgres> {
  const parent = await mkdtemp(join(tmpdir(), 'bronze-postgres-'));
  // The server runs as another user where tests run as root.
  await chmod(parent, 0o711);
  const folder = join(parent, 'server');
  const port = await freePort();
  const script = async (action: string): Promise<string> => {
    const { stdout } = await run(SCRIPT, [action, folder], {
      env: { ...process.env, BRONZE_POSTGRES_PORT: String(port) },
    });
    return stdout.trim();
  };
  const dsn = await script('start');
  return {
    dsn,
    port,
    authority: join(folder, 'ca.crt'),
    start: async () => void (await script('start')),
    stop: async () => void (await script('stop')),
    down: async () => {
      await script('down');
      await run('rmdir', [parent]);
    },
  };
}

/** A port of loopback on which nobody listens. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
