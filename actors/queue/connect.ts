/**
 * Connections to the queue's server (Redis or Valkey), and whether it can be used: who answers, which version, whether
 * it may drop tasks. No password gets into a message. An outage is waited for, a refusal is not, so the two are told
 * apart.
 */
import { isIP } from 'node:net';
import type { Redis, RedisOptions } from 'ioredis';
import { BronzeError } from '../../machines/errors.ts';

export interface QueueSpec {
  /** `redis://[user@]host[:port][/database]` or `rediss://`; no password in it. */
  readonly url: string;
  /** Null where the server asks for none. */
  readonly password: string | null;
}

/** How long one attempt to connect may take, ms. */
const CONNECT_MS = 5_000;
/** Longest pause between two attempts to connect again, ms. */
const RECONNECT_MS = 2_000;
/** What BullMQ's scripts need. */
const OLDEST = [6, 2] as const;

/** For messages: host, port and database, nothing else. */
export function queueUri({ url }: QueueSpec): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname === '/' ? '' : pathname}`;
}

function optionsOf({ url, password }: QueueSpec): RedisOptions {
  const { protocol, hostname, port, username, pathname } = new URL(url);
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  return {
    host,
    port: port === '' ? 6379 : Number(port),
    db: Number(pathname.replace('/', '') || 0),
    ...(username === '' ? {} : { username: decodeURIComponent(username) }),
    ...(password === null ? {} : { password }),
    // An address has no name to be asked for.
    ...(protocol === 'rediss:' ? { tls: isIP(host) === 0 ? { servername: host } : {} } : {}),
    connectTimeout: CONNECT_MS,
  };
}

/** A connection that lasts: it is made again whenever it is lost, and what is asked meanwhile waits. */
export async function connectQueue(spec: QueueSpec): Promise<Redis> {
  const { Redis } = await import('ioredis');
  const redis = new Redis({
    ...optionsOf(spec),
    // What BullMQ asks for: a command waits for the connection, however long that takes.
    maxRetriesPerRequest: null,
    retryStrategy: (times) => Math.min(100 * 2 ** Math.min(times, 10), RECONNECT_MS),
    reconnectOnError: (error) => /^(?:READONLY|LOADING|MASTERDOWN)/.test(error.message),
  });
  // Told by whoever waits for it; without a listener ioredis writes to the terminal.
  redis.on('error', () => undefined);
  return redis;
}

/** Asks once whether the server can be used. Throws QUEUE_UNAVAILABLE (may pass), QUEUE_DENIED, QUEUE_UNFIT. */
export const checkQueue = (spec: QueueSpec): Promise<void> => briefly(spec, (redis) => judged(spec, redis));

/** Throws QUEUE_UNFIT where the server is none for a queue. */
export const judged = async (spec: QueueSpec, redis: Redis): Promise<void> => judge(spec, await redis.info());

/** A connection for one question: it is not made again, and nothing is waited for longer than a moment. Throws QUEUE_*. */
export async function briefly<T>(spec: QueueSpec, ask: (redis: Redis) => Promise<T>): Promise<T> {
  const { Redis } = await import('ioredis');
  const redis = new Redis({
    ...optionsOf(spec),
    lazyConnect: true,
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    commandTimeout: CONNECT_MS,
    retryStrategy: () => null,
  });
  let seen: unknown = null;
  redis.on('error', (error) => {
    seen ??= error;
  });
  try {
    await redis.connect();
    return await ask(redis);
  } catch (error) {
    throw error instanceof BronzeError ? error : queueError(spec, seen ?? error);
  } finally {
    redis.disconnect();
  }
}

const unfit = (spec: QueueSpec, why: string, hint: string): BronzeError =>
  new BronzeError('QUEUE_UNFIT', `the queue ${queueUri(spec)} cannot be used: ${why}`, {
    details: { object: queueUri(spec), hint },
  });

function judge(spec: QueueSpec, info: unknown): void {
  const fields = new Map(
    String(info)
      .split('\r\n')
      .map((line) => line.split(':', 2) as [string, string]),
  );
  const version = fields.get('redis_version');
  if (version === undefined) throw unfit(spec, 'it is no Redis', 'perf.queue wants a Redis or Valkey server');
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
    throw unfit(spec, `it is version ${version}`, `use Redis ${OLDEST.join('.')} or newer, or Valkey`);
  }
  if (fields.get('redis_mode') === 'cluster') {
    throw unfit(spec, 'it is a cluster', 'use a single server, with replicas if you like: the queue is small');
  }
  const policy = fields.get('maxmemory_policy');
  if (policy !== undefined && policy !== 'noeviction') {
    throw unfit(
      spec,
      `its maxmemory-policy is ${policy}, which may drop tasks`,
      'set maxmemory-policy noeviction, or use a server of its own for the queue',
    );
  }
}

const DENIED = /^(?:WRONGPASS|NOAUTH|NOPERM|ERR (?:invalid password|AUTH|Client sent AUTH))/;
const TLS = /^(?:ERR_TLS|ERR_SSL|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|CERT_|EPROTO|HOSTNAME_MISMATCH)/;

/** An error of ioredis in the codes of this program. */
export function queueError(spec: QueueSpec, error: unknown): BronzeError {
  const { message = String(error), code = '', name = '' } = error as { message?: string; code?: string; name?: string };
  const where = queueUri(spec);
  if (DENIED.test(message)) {
    return new BronzeError('QUEUE_DENIED', `the queue ${where} refused user or password: ${message}`, {
      details: { object: where, hint: 'set QUEUE_PASSWORD or perf.queue_password_file; the user stands in perf.queue' },
      cause: error,
    });
  }
  if (TLS.test(code)) {
    const hint = 'rediss:// wants a server with TLS, and a certificate that this machine trusts (NODE_EXTRA_CA_CERTS)';
    return unfit(spec, `TLS failed: ${message}`, hint);
  }
  if (name === 'ParserError' || /protocol error/i.test(message)) {
    return unfit(spec, 'it does not speak the Redis protocol', 'perf.queue wants a Redis or Valkey server');
  }
  const full = /^OOM/.test(message) ? 'it is full' : message;
  return new BronzeError('QUEUE_UNAVAILABLE', `the queue ${where} cannot be used now: ${full}`, {
    details: {
      object: where,
      hint: 'is the server running, and can it be reached from here? Nothing is lost; copying goes on when it is back',
    },
    cause: error,
  });
}
