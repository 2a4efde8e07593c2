/**
 * Sessions of PostgreSQL: one transaction at a time, each with an end. Everything that can hang has a limit of its own,
 * on the server where it can be set and here where it cannot; limits are set inside of transactions, since poolers
 * between (PgBouncer) refuse them at the start of a session. No client is lost, and the death of a client does not end
 * the process.
 */
import type { Pool, PoolClient, QueryResultRow } from 'pg';
import { orAborted, throwIfCancelled } from '../bounded.ts';
import type { PostgresAddress } from './postgres-dsn.ts';
import { catalogError, NO_TLS, READ_ONLY_STATE, sessionIsOver, stateOf } from './postgres-errors.ts';

export interface PostgresLimits {
  /** A call as a whole, ms: below the two minutes that the port allows. */
  readonly callMs: number;
  /** Until a session is there, ms. */
  readonly connectMs: number;
  /** One statement, ms. */
  readonly statementMs: number;
  /** One wait for somebody's lock, ms. */
  readonly lockMs: number;
}

export const LIMITS: PostgresLimits = { callMs: 110_000, connectMs: 15_000, statementMs: 60_000, lockMs: 30_000 };

/** Of eras that write at the same time, two do; the others wait for milliseconds. */
const CLIENTS = 2;
const IDLE_MS = 30_000;
const KEEPALIVE_MS = 10_000;

/** Attempts of one call where somebody else's doing ended the first: each begins a new transaction. */
const ATTEMPTS = 3;
/** Serialization failure, deadlock; a row of somebody who did not wait for our lock (unique, exclusion). */
const LOST_RACE = new Set(['40001', '40P01', '23505', '23P01']);

/** Asks within a transaction; the rows of the answer. */
export type Ask = <R extends QueryResultRow>(text: string, values?: readonly unknown[]) => Promise<R[]>;

/** `read`: also on a standby. */
type TransactionKind = 'read' | 'write';

export class PostgresSessions {
  readonly #address: PostgresAddress;
  readonly #limits: PostgresLimits;
  #pool: Promise<Pool> | null = null;
  #tls: PostgresAddress['tls'];

  constructor(address: PostgresAddress, limits: PostgresLimits) {
    this.#address = address;
    this.#limits = limits;
    this.#tls = address.tls;
  }

  /**
   * What `body` gives, committed. `body` may run more than once; what it throws undoes its transaction.
   * @throws CATALOG_*, CANCELLED
   */
  async transaction<T>(
    action: string,
    kind: TransactionKind,
    signal: AbortSignal | undefined,
    body: (ask: Ask) => Promise<T>,
  ): Promise<T> {
    throwIfCancelled(signal);
    const ends = new AbortController();
    const end = (): void => ends.abort(new Error('ended'));
    const timer = setTimeout(end, this.#limits.callMs);
    signal?.addEventListener('abort', end, { once: true });
    try {
      for (let attempt = 1; ; attempt++) {
        const outcome = await this.#attempt(kind, ends.signal, body);
        if ('value' in outcome) return outcome.value;
        throwIfCancelled(signal);
        if (ends.signal.aborted) {
          const ms = this.#limits.callMs;
          throw catalogError(new Error(`no answer within ${ms} ms`), action, this.#address);
        }
        if (!outcome.again || attempt === ATTEMPTS) throw catalogError(outcome.error, action, this.#address);
      }
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
    }
  }

  /** Waits for calls under way. */
  async close(): Promise<void> {
    const pool = this.#pool;
    this.#pool = null;
    if (pool !== null) await (await pool).end();
  }

  /** One transaction; `again`: another one may come out differently, and this one left nothing. */
  async #attempt<T>(
    kind: TransactionKind,
    ends: AbortSignal,
    body: (ask: Ask) => Promise<T>,
  ): Promise<{ value: T } | { error: unknown; again: boolean }> {
    let client: PoolClient;
    try {
      client = await this.#connect(ends);
    } catch (error) {
      return { error, again: false };
    }
    let released = false;
    // With a query under way this cuts the connection, which ends the wait for its answer.
    const release = (broken: boolean): void => {
      if (released) return;
      released = true;
      client.release(broken);
    };
    const cut = (): void => release(true);
    ends.addEventListener('abort', cut, { once: true });
    if (ends.aborted) cut();
    let step: 'begin' | 'body' | 'commit' = 'begin';
    try {
      await client.query(this.#beginning(kind));
      step = 'body';
      const value = await body(async (text, values) => (await client.query(text, values as unknown[])).rows);
      step = 'commit';
      const { command } = await client.query('COMMIT');
      if (command !== 'COMMIT') throw new Error(`it was ${command}`);
      release(false);
      return { value };
    } catch (error) {
      if (sessionIsOver(error) || step === 'commit') {
        release(true);
        // A session that slept through its server's end, or through its becoming a standby, is found out here.
        if (step !== 'commit') return { error, again: step === 'begin' || stateOf(error) === READ_ONLY_STATE };
        const reason = error instanceof Error ? error.message : String(error);
        const lost = `the answer to the commit was lost (${reason}): it is asked again, which changes nothing where it was committed`;
        return { error: stateOf(error) === null ? new Error(lost) : error, again: false };
      }
      await client.query('ROLLBACK').then(
        () => release(false),
        () => release(true),
      );
      return { error, again: LOST_RACE.has(stateOf(error) ?? '') };
    } finally {
      ends.removeEventListener('abort', cut);
    }
  }

  /** Begins, with limits. Committed has to mean durable, whatever the role's or the database's setting is. */
  #beginning(kind: TransactionKind): string {
    const { statementMs, lockMs } = this.#limits;
    return `BEGIN ISOLATION LEVEL READ COMMITTED${kind === 'read' ? ' READ ONLY' : ''};
      SET LOCAL statement_timeout = ${statementMs};
      SET LOCAL lock_timeout = ${lockMs};
      SET LOCAL idle_in_transaction_session_timeout = ${statementMs};
      SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'`;
  }

  async #connect(ends: AbortSignal): Promise<PoolClient> {
    try {
      return await this.#client(ends);
    } catch (error) {
      if (!(error instanceof Error) || error.message !== NO_TLS || !this.#address.plainIsFine) throw error;
    }
    // sslmode=prefer, and this server has no TLS.
    if (this.#tls !== false) {
      this.#tls = false;
      await this.close();
    }
    return this.#client(ends);
  }

  async #client(ends: AbortSignal): Promise<PoolClient> {
    this.#pool ??= this.#open();
    const coming = (await this.#pool).connect();
    try {
      return await orAborted(coming, ends);
    } catch (error) {
      // One that comes too late goes back.
      coming.then(
        (client) => client.release(),
        () => undefined,
      );
      throw error;
    }
  }

  async #open(): Promise<Pool> {
    const { default: pg } = await import('pg');
    const { host, port, database, user, password, applicationName, options, connectTimeoutMs } = this.#address;
    const pool = new pg.Pool({
      host,
      port,
      database,
      user,
      ssl: this.#tls,
      ...(password === undefined ? {} : { password }),
      ...(options === undefined ? {} : { options }),
      ...(applicationName === undefined ? {} : { application_name: applicationName }),
      fallback_application_name: 'bronze-copier',
      max: CLIENTS,
      connectionTimeoutMillis: Math.min(connectTimeoutMs ?? this.#limits.connectMs, this.#limits.connectMs),
      idleTimeoutMillis: IDLE_MS,
      allowExitOnIdle: true,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEPALIVE_MS,
    });
    // A client that dies while nobody uses it is replaced by the pool; one that dies in use rejects its query. Without
    // anybody who listens either would end the process.
    pool.on('error', () => undefined);
    pool.on('connect', (client) => client.on('error', () => undefined));
    return pool;
  }
}
