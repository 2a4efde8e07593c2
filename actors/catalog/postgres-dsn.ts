/**
 * Connection strings of PostgreSQL, as libpq's users know them: both forms, its PG* variables, its sslmode. `pg` has a
 * parser of its own, which knows no `key=value` and takes `require` for `verify-full`; nothing is left to it. It
 * repeats no piece of the string that could belong to a password: one that nobody escaped ends up anywhere.
 */
import { readFileSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import { BronzeError } from '../../machines/errors.ts';

/** A place in PostgreSQL. */
export interface PostgresAddress {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** Undefined: `pg` looks into the password file. */
  readonly password: string | undefined;
  readonly applicationName: string | undefined;
  readonly options: string | undefined;
  /** Null where the string does not say, ms. */
  readonly connectTimeoutMs: number | null;
  /** False: no TLS. */
  readonly tls: ConnectionOptions | false;
  /** `prefer`: without TLS where the server has none. */
  readonly plainIsFine: boolean;
  /** For messages: host, port, database, user. */
  readonly uri: string;
  /** What no message may hold. */
  readonly secrets: readonly string[];
}

type Environment = Readonly<Record<string, string | undefined>>;
type Parameters = Map<string, string>;

/** What is understood, and the variable that counts where the string does not say. */
const VARIABLES: Readonly<Record<string, string | null>> = {
  host: 'PGHOST',
  port: 'PGPORT',
  dbname: 'PGDATABASE',
  user: 'PGUSER',
  password: 'PGPASSWORD',
  application_name: 'PGAPPNAME',
  options: 'PGOPTIONS',
  connect_timeout: 'PGCONNECT_TIMEOUT',
  sslmode: 'PGSSLMODE',
  sslrootcert: 'PGSSLROOTCERT',
  sslcert: 'PGSSLCERT',
  sslkey: 'PGSSLKEY',
  sslpassword: null,
  // Asked of the server, and what this program asks for anyway; what it cannot keep is refused.
  target_session_attrs: 'PGTARGETSESSIONATTRS',
  channel_binding: 'PGCHANNELBINDING',
  gssencmode: 'PGGSSENCMODE',
  client_encoding: null,
  // What `pg` needs to be told to understand sslmode as libpq does.
  uselibpqcompat: null,
};

/** Values of parameters that are kept without doing anything. */
const KEPT: Readonly<Record<string, readonly string[]>> = {
  target_session_attrs: ['any', 'read-write', 'primary'],
  channel_binding: ['disable', 'prefer'],
  gssencmode: ['disable', 'prefer'],
  client_encoding: ['auto', 'utf8', 'utf-8'],
  uselibpqcompat: ['true'],
};

/** Other parameters of libpq: their names may be said aloud. */
const REFUSED = new Set(
  (
    'hostaddr passfile service servicefile fallback_application_name keepalives keepalives_idle keepalives_interval ' +
    'keepalives_count tcp_user_timeout replication requiressl sslcompression sslcertmode sslcrl sslcrldir sslsni ' +
    'sslnegotiation require_auth requirepeer ssl_min_protocol_version ssl_max_protocol_version min_protocol_version ' +
    'max_protocol_version krbsrvname gsslib gssdelegation load_balance_hosts ssl'
  ).split(' '),
);

const DEFAULT_PORT = 5432;

const refuse = (problem: string, hint = 'docs/catalog.md tells what a connection string may say'): BronzeError =>
  new BronzeError('CONFIG_INVALID', `catalog.postgres_dsn: ${problem}; ${hint}`, {
    details: { object: 'catalog.postgres_dsn', hint },
  });

const ESCAPE_HINT = 'write / ? @ : % and blanks of a password as %2F %3F %40 %3A %25 %20, or use key=value pairs';

/**
 * The address that a connection string names. Reads the files of certificates.
 * @throws CONFIG_INVALID: it cannot be understood, asks for what is not supported, or names a file that cannot be read
 */
export function parseDsn(dsn: string, environment: Environment = process.env): PostgresAddress {
  const given = /^postgres(?:ql)?:\/\//.test(dsn) ? fromUrl(dsn) : fromPairs(dsn);
  for (const name of given.keys()) {
    if (name in VARIABLES) continue;
    throw refuse(
      REFUSED.has(name) ? `the parameter ${name} is not supported` : 'it has a parameter that PostgreSQL does not know',
    );
  }
  const value = (name: keyof typeof VARIABLES): string | undefined => {
    const variable = VARIABLES[name];
    return given.get(name) || (variable ? environment[variable] : undefined) || undefined;
  };
  for (const [name, kept] of Object.entries(KEPT)) {
    const found = value(name);
    if (found !== undefined && !kept.includes(found.toLowerCase())) {
      throw refuse(`${name} may be ${kept.join(' or ')} here`);
    }
  }
  const host = value('host') ?? 'localhost';
  if (host.includes(',')) throw refuse('it names several hosts; one is supported');
  const user = value('user') ?? ownName();
  const database = value('dbname') ?? user;
  const port = wholeNumber(value('port') ?? String(DEFAULT_PORT), 'port', 65_535);
  const timeout = wholeNumber(value('connect_timeout') ?? '0', 'connect_timeout', 1_000_000);
  const secrets = [value('password'), value('sslpassword')].filter((secret) => secret !== undefined);
  const shown = host.includes(':') ? `[${host}]` : encodeURIComponent(host);
  return {
    host,
    port,
    database,
    user,
    password: value('password'),
    applicationName: value('application_name'),
    options: value('options'),
    connectTimeoutMs: timeout === 0 ? null : timeout * 1000,
    ...tlsOf(value, host.startsWith('/'), environment),
    uri: `postgres://${encodeURIComponent(user)}@${shown}:${port}/${encodeURIComponent(database)}`,
    secrets,
  };
}

/** As libpq: the name of the user of this process. */
function ownName(): string {
  try {
    return userInfo().username;
  } catch {
    throw refuse(
      `it names no user, and user ${process.getuid?.()} of this machine has no name`,
      'add one, or set PGUSER',
    );
  }
}

function wholeNumber(text: string, name: string, most: number): number {
  const found = /^\s*\d{1,9}\s*$/.test(text) ? Number(text) : Number.NaN;
  if (!(found <= most) || (name === 'port' && found === 0)) throw refuse(`its ${name} is no number`, ESCAPE_HINT);
  return found;
}

// ── the two forms ────────────────────────────────────────────────────────────────────────────────────────────────

/** `postgres://user:password@host:port/database?name=value&…`; the last `@` before the path ends the password. */
function fromUrl(dsn: string): Parameters {
  const found: Parameters = new Map();
  const rest = dsn.slice(dsn.indexOf('://') + 3);
  const [, authority = '', path = '', query] = /^([^/?]*)(?:\/([^?]*))?(?:\?([\s\S]*))?$/.exec(rest) ?? [];
  const at = authority.lastIndexOf('@');
  // A password with a slash or a question mark: what follows would be shown as the name of the database.
  if (path.includes('@') || path.includes('/') || (at < 0 && query?.includes('@'))) {
    throw refuse('it cannot be understood', ESCAPE_HINT);
  }
  const set = (name: string, raw: string): void => {
    if (raw !== '') found.set(name, unescaped(raw));
  };
  if (at >= 0) {
    const [user = '', ...password] = authority.slice(0, at).split(':');
    set('user', user);
    set('password', password.join(':'));
  }
  const [, host = '', port = ''] = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/s.exec(authority.slice(at + 1)) ?? [];
  set('host', host.replace(/^\[(.*)\]$/, '$1'));
  set('port', port);
  set('dbname', path);
  for (const pair of query ? query.split('&') : []) {
    const [, name, value] = /^([^=]*)=([^=]*)$/.exec(pair) ?? [];
    if (name === undefined) throw refuse('what follows its ? is not name=value&name=value', ESCAPE_HINT);
    // libpq takes JDBC's word as well.
    if (name === 'ssl' && value === 'true') set('sslmode', 'require');
    else set(unescaped(name), value ?? '');
  }
  return found;
}

function unescaped(text: string): string {
  try {
    const plain = decodeURIComponent(text);
    if (!plain.includes('\0')) return plain;
  } catch {
    // Told below, without the text.
  }
  throw refuse('it has a % that does not begin an escape', ESCAPE_HINT);
}

/** `host=… password='it\'s'`: blanks around `=` are nothing, a backslash takes the next character as it is. */
function fromPairs(dsn: string): Parameters {
  const found: Parameters = new Map();
  const pair = /\s*([^\s=]+)\s*=\s*(?:'((?:[^'\\]|\\[\s\S])*)'|((?:[^\s'\\]|\\[\s\S])(?:[^\s\\]|\\[\s\S])*)?)(?=\s|$)/y;
  const end = dsn.trimEnd().length;
  while (pair.lastIndex < end) {
    const match = pair.exec(dsn);
    if (match === null) {
      throw refuse(
        'it is not name=value pairs',
        "put a value with blanks between ' and ', and a backslash before ' and \\ in it",
      );
    }
    const [, name = '', quoted, bare] = match;
    found.set(name, (quoted ?? bare ?? '').replace(/\\([\s\S])/g, '$1'));
  }
  return found;
}

// ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────────

type Tls = Pick<PostgresAddress, 'tls' | 'plainIsFine'>;

/** What Node needs to know for libpq's sslmode. */
function tlsOf(value: (name: string) => string | undefined, socket: boolean, environment: Environment): Tls {
  const mode = value('sslmode') ?? 'prefer';
  const root = rootOf(mode, value('sslrootcert'), environment);
  const certificate = value('sslcert');
  const key = value('sslkey');
  if ((certificate === undefined) !== (key === undefined)) throw refuse('sslcert and sslkey go together');
  const own: ConnectionOptions =
    certificate === undefined || key === undefined
      ? {}
      : { cert: contentOf('sslcert', certificate), key: contentOf('sslkey', key), passphrase: value('sslpassword') };
  // Nobody listens between two processes of one machine: libpq has no TLS there either.
  if (socket) return { tls: false, plainIsFine: false };
  const unverified = { ...own, rejectUnauthorized: false };
  switch (mode) {
    case 'disable':
      return { tls: false, plainIsFine: false };
    case 'prefer':
      return { tls: unverified, plainIsFine: true };
    case 'require':
      // libpq: with an authority at hand, as verify-ca.
      return { tls: root === null ? unverified : { ...own, ...root, ...ANY_NAME }, plainIsFine: false };
    case 'verify-ca':
      return { tls: { ...own, ...root, ...ANY_NAME }, plainIsFine: false };
    case 'verify-full':
      return { tls: { ...own, ...root }, plainIsFine: false };
    default:
      throw refuse('sslmode may be disable, prefer, require, verify-ca or verify-full', 'require verifies nothing');
  }
}

/** The authority vouches for the certificate, whatever name stands in it. */
const ANY_NAME: ConnectionOptions = { checkServerIdentity: () => undefined };

/** Whom the server's certificate has to come from; null = nobody. `{}`: Node's own list of public authorities. */
function rootOf(mode: string, given: string | undefined, environment: Environment): ConnectionOptions | null {
  if (given === 'system') {
    if (mode === 'verify-full') return {};
    throw refuse('sslrootcert=system needs sslmode=verify-full', 'anybody can get a certificate of a public authority');
  }
  if (given !== undefined) {
    if (mode !== 'prefer') return { ca: contentOf('sslrootcert', given) };
    throw refuse('sslrootcert alone verifies nothing', 'add sslmode=verify-full');
  }
  if (mode !== 'verify-ca' && mode !== 'verify-full') return null;
  const usual = join(environment.HOME ?? homedir(), '.postgresql', 'root.crt');
  try {
    return { ca: readFileSync(usual, 'utf8') };
  } catch {
    if (mode === 'verify-full') return {};
    throw refuse('sslmode=verify-ca needs sslrootcert', 'name the file with the certificate of the authority');
  }
}

function contentOf(name: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw refuse(`the file of ${name} cannot be read (${code})`, 'correct its path or its rights');
  }
}
