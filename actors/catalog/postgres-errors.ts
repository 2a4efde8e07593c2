/**
 * What PostgreSQL, `pg` and the network say, as coded errors. Whether asking again may help is decided here alone. No
 * password gets into a message, nor what `pg` hangs on its errors.
 */
import { redactSecrets } from '../../config/secrets.ts';
import { BronzeError, type ErrorCode } from '../../machines/errors.ts';
import { scrubbed } from '../remote/faults.ts';
import type { PostgresAddress } from './postgres-dsn.ts';

/** The transaction may not write. */
export const READ_ONLY_STATE = '25006';

interface Meaning {
  readonly code: ErrorCode;
  readonly hint: string;
}

const UNAVAILABLE: Meaning = { code: 'CATALOG_UNAVAILABLE', hint: 'it is tried again; check the server' };
const DENIED: Meaning = {
  code: 'CATALOG_DENIED',
  hint: 'correct catalog.postgres_dsn, or grant what is missing; docs/catalog.md lists the rights',
};
const SCHEMA: Meaning = {
  code: 'CATALOG_SCHEMA',
  hint: 'use another database or schema; the catalog can be filled again from Bronze',
};
const CONFLICT: Meaning = { code: 'CATALOG_CONFLICT', hint: 'find out who wrote the other row; Bronze decides' };

/**
 * A standby is promoted, and a cloud's server that ran full gets space again: it passes, so copying need not stop for it.
 * Who asked for a standby by mistake is told by the message.
 */
const READ_ONLY: Meaning = {
  code: 'CATALOG_UNAVAILABLE',
  hint: 'the database is read-only: a standby, a server without space, or default_transaction_read_only; it is tried again',
};

/** By SQLSTATE, whole or its class: the appendix "PostgreSQL Error Codes" of its manual. */
const STATES: Readonly<Record<string, Meaning>> = {
  '08': UNAVAILABLE,
  '0A': SCHEMA,
  '2B': SCHEMA,
  '22': SCHEMA,
  '23': CONFLICT,
  '25': UNAVAILABLE,
  [READ_ONLY_STATE]: READ_ONLY,
  '28': DENIED,
  '3D': DENIED,
  '3F': DENIED,
  '40': UNAVAILABLE,
  '42': SCHEMA,
  '42501': DENIED,
  '53': UNAVAILABLE,
  '53100': { ...UNAVAILABLE, hint: "the server's disk is full; it is tried again" },
  '53300': { ...UNAVAILABLE, hint: 'the server has no connection left; it is tried again' },
  '54': UNAVAILABLE,
  '55': UNAVAILABLE,
  '57': UNAVAILABLE,
  '58': UNAVAILABLE,
  F0: UNAVAILABLE,
  XX: UNAVAILABLE,
};

/** Errors of Node's TLS about somebody's certificate, and OpenSSL's alerts about ours. */
const CERTIFICATE = /^(CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_|ERR_SSL_.*(?:CERT|UNKNOWN_CA)|ERR_OSSL_)/;

export const NO_TLS = 'The server does not support SSL connections';

/** `pg`: the server wants a password, and there is none, here or in the password file. */
const NO_PASSWORD = /client password must be a|password must be a string/;

/**
 * PgBouncer has one SQLSTATE for all it says. What begins or ends like this is a refusal; the rest (a server that is away,
 * no connection left, a time-out) passes.
 */
const POOLER_STATE = '08P01';
const POOLER_REFUSES =
  /authentication failed|^no such (?:database|user)|^database .* (?:does not exist|is disabled)|login rejected|^unsupported startup parameter/i;

/** The SQLSTATE of an error of the server; null for any other. */
export function stateOf(error: unknown): string | null {
  const code = error instanceof Error && 'severity' in error && 'code' in error ? error.code : null;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : null;
}

/** Whether the session is of no further use: there is no server behind it, or none that takes rows. */
export function sessionIsOver(error: unknown): boolean {
  const state = stateOf(error);
  if (state === null) return !(error instanceof BronzeError);
  return /^(08|57P|58|XX)/.test(state) || state === READ_ONLY_STATE || state === '25P03';
}

/** Without the address's secrets. */
function withoutSecrets(text: string, { secrets }: PostgresAddress): string {
  let clean = redactSecrets(text);
  for (const secret of secrets) {
    // Shorter than this it is in every word.
    if (secret.length >= 3) clean = clean.replaceAll(secret, '***').replaceAll(encodeURIComponent(secret), '***');
  }
  return clean;
}

function judge(error: unknown): { meaning: Meaning; reason: string } {
  const message = error instanceof Error ? error.message : String(error);
  const state = stateOf(error);
  if (state !== null) {
    const { detail } = error as { detail?: unknown };
    const reason = `${message}${typeof detail === 'string' && detail !== '' ? ` (${detail})` : ''} [SQLSTATE ${state}]`;
    if (state === POOLER_STATE && POOLER_REFUSES.test(message)) return { meaning: DENIED, reason };
    return { meaning: STATES[state] ?? STATES[state.slice(0, 2)] ?? SCHEMA, reason };
  }
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (CERTIFICATE.test(code)) return { meaning: DENIED, reason: `its certificate is not accepted: ${message}` };
  if (message === NO_TLS) return { meaning: DENIED, reason: 'it has no TLS, which sslmode asks for' };
  if (NO_PASSWORD.test(message)) return { meaning: DENIED, reason: 'it wants a password, and there is none' };
  // A name with several addresses: what each of them said is inside.
  const within = error instanceof AggregateError ? error.errors.map((one) => (one as Error).message).join('; ') : '';
  return { meaning: UNAVAILABLE, reason: message || within || code };
}

/**
 * The coded error of whatever was thrown; a BronzeError stays as it is. `action` continues "could not …".
 */
export function catalogError(error: unknown, action: string, address: PostgresAddress): BronzeError {
  if (error instanceof BronzeError) return error;
  const { meaning, reason } = judge(error);
  const cause = scrubbed(error);
  cause.message = withoutSecrets(cause.message, address);
  if (cause.stack !== undefined) cause.stack = withoutSecrets(cause.stack, address);
  const told = withoutSecrets(reason, address).replace(/\s+/g, ' ').slice(0, 500);
  return new BronzeError(meaning.code, `could not ${action} ${address.uri}: ${told}; ${meaning.hint}`, {
    details: { object: address.uri, hint: meaning.hint },
    cause,
  });
}
