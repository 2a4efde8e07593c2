/**
 * One DuckDB file, open only while a call lasts: attach, one transaction, checkpoint, detach. It must never open a file
 * that this process has open already (the system's locks do not tell one opening of a process from another, and two
 * of them destroy it), never wait for another process, and never leave a half-made file under the catalog's name.
 * Only the main thread may use it: the turns below are kept in memory.
 */
import { randomBytes } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import type { DuckDBConnection, DuckDBInstance, DuckDBValue } from '@duckdb/node-api';
import { BronzeError, type ErrorCode } from '../../machines/errors.ts';
import { orAborted, throwIfCancelled } from '../bounded.ts';
import { ensureFolder, fsyncFolder, readFully, unlinkIfThere } from '../durable.ts';
import { errnoOf, realFiles as files, OPEN } from '../files.ts';

/** One call from its turn to its end, ms. */
const CALL_MS = 90_000;
/** What a process that was killed while it made a catalog leaves behind is removed after this, ms. */
const STALE_MS = 3_600_000;

/** Rows are few: one thread. Nothing is ever fetched from the network. */
const SETTINGS = { threads: '1', autoinstall_known_extensions: 'false', autoload_known_extensions: 'false' };

export type Row = Readonly<Record<string, unknown>>;
type Values = Record<string, DuckDBValue>;

/** One transaction. */
export interface CatalogDb {
  /** Runs a statement; rows as DuckDB gives them, 64-bit integers as bigint. Parameters are `$name`. */
  query(sql: string, values?: Values): Promise<readonly Row[]>;
}

/**
 * Of a new file: the least that DuckDB has. With its usual 256 KiB a catalog of twenty partitions has 3.7 MB instead of
 * 0.6, and a record costs twice the time. It is fixed in the file.
 */
const BLOCK_SIZE = 16_384;

/** `held`: another process has the file open; nothing was done. */
export const HELD = 'held';
/** `absent`: there is no such file; only reading says so. */
export const ABSENT = 'absent';

/**
 * End of the last call. One at a time, whichever file it is for: DuckDB's own tables show every file that is attached,
 * so that a call would keep another one's file from being let go.
 */
let lastTurn: Promise<void> = Promise.resolve();

/** Reads the file, with whoever else reads it. Writes nothing, not even what a killed writer left to be replayed. */
export function readFile<T>(
  path: string,
  signal: AbortSignal | undefined,
  work: (db: CatalogDb) => Promise<T>,
): Promise<T | typeof HELD | typeof ABSENT> {
  return inTurn(path, signal, async (either) => {
    if (!(await isThere(path))) return ABSENT;
    return transact(path, 'READ_ONLY', either, work);
  });
}

/**
 * Changes the file, all of `work` or nothing, durable once this answers. Where there is none, one is made by `create`,
 * whole before it has its name.
 */
export function changeFile<T>(
  path: string,
  signal: AbortSignal | undefined,
  create: (db: CatalogDb) => Promise<void>,
  work: (db: CatalogDb) => Promise<T>,
): Promise<T | typeof HELD> {
  return inTurn(path, signal, async (either) => {
    await ensureFolder(files, dirname(path));
    if (!(await isThere(path))) await makeFile(path, either, create);
    return transact(path, 'READ_WRITE', either, work);
  });
}

/** One after the other, within CALL_MS; every error comes out coded. */
async function inTurn<T>(
  path: string,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  throwIfCancelled(signal);
  const late = AbortSignal.timeout(CALL_MS);
  const either = signal ? AbortSignal.any([signal, late]) : late;
  const mine = lastTurn.then(() => {
    throwIfCancelled(either);
    return work(either);
  });
  lastTurn = mine.then(
    () => undefined,
    () => undefined,
  );
  try {
    return await orAborted(mine, either);
  } catch (error) {
    throwIfCancelled(signal);
    if (late.aborted) {
      throw new BronzeError('CATALOG_UNAVAILABLE', `${path} did not answer within ${CALL_MS / 1000} seconds`, {
        details: { object: path },
        cause: error,
      });
    }
    throw catalogError(path, error);
  }
}

/** Ends when no call of this process has a file open. */
export const settled = (): Promise<void> => lastTurn;

/**
 * Whether there is a DuckDB database. Throws CATALOG_SCHEMA for anything else: DuckDB itself would try to read, say, an
 * SQLite file by an extension. Closing a descriptor drops the locks of this process, so only before DuckDB opens it.
 */
async function isThere(path: string): Promise<boolean> {
  let fd: number;
  try {
    fd = await files.open(path, OPEN.read);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
  try {
    const head = Buffer.alloc(12);
    const facts = await files.fstat(fd);
    if (facts.kind === 'file') await readFully(files, fd, head, 0);
    if (head.toString('latin1', 8) === 'DUCK') return true;
    throw schemaError(path, 'it is no DuckDB database');
  } finally {
    await files.close(fd);
  }
}

async function makeFile(path: string, signal: AbortSignal, create: (db: CatalogDb) => Promise<void>): Promise<void> {
  const folder = dirname(path);
  const prefix = `${basename(path)}.new-`;
  for (const { name } of await files.readdir(folder)) {
    const stale = join(folder, name);
    if (name.startsWith(prefix) && Date.now() - (await files.lstat(stale)).mtimeMs > STALE_MS) {
      await unlinkIfThere(files, stale);
    }
  }
  const temp = join(folder, `${prefix}${randomBytes(6).toString('hex')}`);
  try {
    await transact(temp, 'READ_WRITE', signal, create, `, BLOCK_SIZE ${BLOCK_SIZE}`);
    await files.link(temp, path);
  } catch (error) {
    // Somebody else made it meanwhile.
    if (errnoOf(error) !== 'EEXIST') throw error;
  } finally {
    for (const left of [temp, `${temp}.wal`]) await unlinkIfThere(files, left);
  }
  await fsyncFolder(files, folder);
}

async function transact<T>(
  path: string,
  access: 'READ_ONLY' | 'READ_WRITE',
  signal: AbortSignal,
  work: (db: CatalogDb) => Promise<T>,
  options = '',
): Promise<T | typeof HELD> {
  const engine = await startEngine();
  const connection = await engine.connect();
  const run = async (sql: string, values?: Values): Promise<readonly Row[]> =>
    (await connection.runAndReadAll(sql, values)).getRowObjects();
  try {
    throwIfCancelled(signal);
    try {
      await run(`ATTACH '${path.replaceAll("'", "''")}' AS ${NAME} (TYPE duckdb, ${access}${options})`);
    } catch (error) {
      if (isHeld(error)) return HELD;
      throw error;
    }
    try {
      return await inTransaction(connection, run, access, signal, work);
    } finally {
      await release(engine, run);
    }
  } finally {
    connection.closeSync();
  }
}

async function inTransaction<T>(
  connection: DuckDBConnection,
  run: CatalogDb['query'],
  access: 'READ_ONLY' | 'READ_WRITE',
  signal: AbortSignal,
  work: (db: CatalogDb) => Promise<T>,
): Promise<T> {
  const interrupt = (): void => connection.interrupt();
  signal.addEventListener('abort', interrupt);
  const query: CatalogDb['query'] = (sql, values) => {
    // An interrupt between two statements stops neither of them.
    throwIfCancelled(signal);
    return run(sql, values);
  };
  try {
    await query(`USE ${NAME}`);
    await query('BEGIN');
    const answer = await work({ query });
    await query('COMMIT');
    // From the log into the file: detaching would do it as well, but without saying that it failed.
    if (access === 'READ_WRITE') await query('CHECKPOINT');
    return answer;
  } finally {
    signal.removeEventListener('abort', interrupt);
  }
}

/** Lets go of the file; what was not committed is gone. */
async function release(engine: DuckDBInstance, run: CatalogDb['query']): Promise<void> {
  // Says that there is no transaction where there is none.
  await run('ROLLBACK').catch(() => undefined);
  try {
    await run('USE memory');
    await run(`DETACH ${NAME}`);
  } catch {
    // After an error that DuckDB calls fatal it takes no statement any more; the file goes with the engine.
    if (started !== null && (await started) === engine) started = null;
    engine.closeSync();
  }
}

/** Starting one takes ten times as long as opening a file in it, so it stays; it holds no file. */
let started: Promise<DuckDBInstance> | null = null;
/** What a file is called while it is attached. */
const NAME = 'file';

function startEngine(): Promise<DuckDBInstance> {
  started ??= loadDuckDb().then(({ DuckDBInstance }) => DuckDBInstance.create(':memory:', SETTINGS));
  started.catch(() => {
    started = null;
  });
  return started;
}

async function loadDuckDb(): Promise<typeof import('@duckdb/node-api')> {
  try {
    return await import('@duckdb/node-api');
  } catch (cause) {
    throw new BronzeError('CATALOG_UNAVAILABLE', 'DuckDB, which keeps the embedded catalog, cannot be loaded here', {
      cause,
      retryable: false,
      details: { hint: 'use catalog.backend postgres, bigquery or none on this platform' },
    });
  }
}

// ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────────

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** DuckDB's error for a file that another process has open. */
const isHeld = (error: unknown): boolean =>
  ['Could not set lock on file', 'Conflicting lock'].every((words) => messageOf(error).includes(words));

const DENIED = /permission denied|operation not permitted|read-only file system/i;
/** Damaged, of another kind, or of a DuckDB that is newer than ours. */
const NO_DATABASE =
  /not a valid DuckDB database|corrupt database|could not read enough bytes|^Serialization Error|version number|encrypt|wal file/i;
/** Tables that are not ours, or that somebody gave constraints of his own. */
const OTHER_TABLES = /^(Catalog|Binder|Constraint|Conversion) Error/;
const PASSING = /^(IO|Out of Memory|Transaction|TransactionContext|INTERRUPT|FATAL|Connection) Error/;
const OTHER_KIND = new Set(['ENOTDIR', 'EISDIR', 'ELOOP', 'ENAMETOOLONG']);

/** What is in the file is no catalog of this release. */
export const schemaError = (path: string, why: string, cause?: unknown): BronzeError =>
  errorOf(
    'CATALOG_SCHEMA',
    path,
    why,
    'configure another folder, or move the file away: Bronze fills a new one',
    cause,
  );

function errorOf(code: ErrorCode, path: string, why: string, hint: string, cause: unknown): BronzeError {
  return new BronzeError(code, `the catalog ${path}: ${why}; ${hint}`, { details: { object: path, hint }, cause });
}

/** The coded error of a file operation or of DuckDB; what is neither passes through, as the bug that it is. */
export function catalogError(path: string, error: unknown): unknown {
  if (error instanceof BronzeError) return error;
  const message = messageOf(error).split('\n')[0] as string;
  const errno = errnoOf(error);
  if (DENIED.test(message)) {
    return errorOf('CATALOG_DENIED', path, message, 'let the user of this process write there', error);
  }
  if (NO_DATABASE.test(message) || OTHER_TABLES.test(message) || (errno !== null && OTHER_KIND.has(errno))) {
    return schemaError(path, message, error);
  }
  if (errno !== null || PASSING.test(message)) {
    return errorOf('CATALOG_UNAVAILABLE', path, message, 'look at the disk; it is tried again', error);
  }
  return error;
}
