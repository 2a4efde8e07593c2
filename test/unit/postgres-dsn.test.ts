// Connection strings of PostgreSQL: what libpq understands is understood, what is not kept is refused, and no piece of
// a password is repeated.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseDsn } from '../../actors/catalog/postgres-dsn.ts';
import { BronzeError } from '../../machines/errors.ts';

const home = mkdtempSync(join(tmpdir(), 'bronze-dsn-'));
const root = join(home, 'ca.crt');
writeFileSync(root, 'a certificate');
const HERE = { HOME: home };

const parse = (dsn: string, environment: Record<string, string> = {}) => parseDsn(dsn, { ...HERE, ...environment });

function refusal(dsn: string): string {
  try {
    parse(dsn);
  } catch (error) {
    if (error instanceof BronzeError && error.code === 'CONFIG_INVALID') {
      return `${error.message} ${JSON.stringify(error.details)} ${String(error.cause ?? '')}`;
    }
    throw error;
  }
  throw new Error(`${dsn} was taken`);
}

describe('connection strings of PostgreSQL', () => {
  it.each([
    ['postgres://u:p@h:1/d', 'h', 1, 'd', 'u', 'p'],
    ['postgresql://u:p%40%2F@h/d', 'h', 5432, 'd', 'u', 'p@/'],
    ['postgres://u:p@@:x@h/d', 'h', 5432, 'd', 'u', 'p@@:x'],
    ['postgres://u:p#1@h/d', 'h', 5432, 'd', 'u', 'p#1'],
    ['postgres://u@[::1]:7/d', '::1', 7, 'd', 'u', undefined],
    ['postgres://u:p@h', 'h', 5432, 'u', 'u', 'p'],
    ['postgres://u@%2Fvar%2Frun/d', '/var/run', 5432, 'd', 'u', undefined],
    ['postgres:///d?host=h&port=7&user=u&password=p%26', 'h', 7, 'd', 'u', 'p&'],
    ['host=h port=1 dbname=d user=u password=p', 'h', 1, 'd', 'u', 'p'],
    ["  host = 'h'  dbname=d user=u  password = 'p \\' \\\\ =' ", 'h', 5432, 'd', 'u', "p ' \\ ="],
    ["host=h dbname=d user=u password=p\\ q\\\\=\\'", 'h', 5432, 'd', 'u', "p q\\='"],
    ["host=h dbname=d user=u password=''", 'h', 5432, 'd', 'u', undefined],
    ['host=h dbname=d user=u password=', 'h', 5432, 'd', 'u', undefined],
  ])('%s', (dsn, host, port, database, user, password) => {
    expect(parse(dsn)).toMatchObject({ host, port, database, user, password });
  });

  it('takes from PG* variables what the string does not say', () => {
    const environment = {
      PGHOST: 'e',
      PGPORT: '9',
      PGUSER: 'eu',
      PGDATABASE: 'ed',
      PGPASSWORD: 'ep',
      PGSSLMODE: 'disable',
    };
    expect(parse('host=', environment)).toMatchObject({
      host: 'e',
      port: 9,
      user: 'eu',
      database: 'ed',
      password: 'ep',
      tls: false,
      plainIsFine: false,
      secrets: ['ep'],
    });
    expect(parse('postgres://u@h/d?sslmode=require', environment)).toMatchObject({ host: 'h', user: 'u', tls: {} });
  });

  it('shows host, port, database and user alone', () => {
    expect(parse('postgres://u%40x:geheim@h:1/d?sslmode=disable&application_name=a').uri).toBe(
      'postgres://u%40x@h:1/d',
    );
    expect(parse('postgres://u@[::1]/d').uri).toBe('postgres://u@[::1]:5432/d');
  });

  it('means by sslmode what libpq means', () => {
    const tls = (parameters: string) => parse(`postgres://u@h/d?${parameters}`);
    expect(tls('')).toMatchObject({ plainIsFine: true, tls: { rejectUnauthorized: false } });
    expect(tls('sslmode=disable')).toMatchObject({ plainIsFine: false, tls: false });
    expect(tls('sslmode=require')).toMatchObject({ plainIsFine: false, tls: { rejectUnauthorized: false } });
    expect(tls('ssl=true')).toMatchObject({ plainIsFine: false, tls: { rejectUnauthorized: false } });
    expect(tls('sslmode=require&uselibpqcompat=true')).toMatchObject({ tls: { rejectUnauthorized: false } });
    const authority = { ca: 'a certificate' };
    const anyName = { ...authority, checkServerIdentity: expect.any(Function) };
    expect(tls(`sslmode=require&sslrootcert=${root}`).tls).toEqual(anyName);
    expect(tls(`sslmode=verify-ca&sslrootcert=${root}`).tls).toEqual(anyName);
    expect(tls(`sslmode=verify-full&sslrootcert=${root}`).tls).toEqual(authority);
    expect(tls('sslmode=verify-full').tls).toEqual({});
    expect(parse('postgres://u@%2Frun/d?sslmode=require').tls).toBe(false);
  });

  it.each([
    ['postgres://u@h/d?sslmode=no-verify', 'sslmode may be'],
    ['postgres://u@h/d?sslmode=allow', 'sslmode may be'],
    ['postgres://u@h/d?sslmode=verify-ca', 'needs sslrootcert'],
    [`postgres://u@h/d?sslrootcert=${root}`, 'verifies nothing'],
    ['postgres://u@h/d?sslmode=require&sslrootcert=system', 'needs sslmode=verify-full'],
    ['postgres://u@h/d?sslmode=verify-full&sslrootcert=/none', 'sslrootcert cannot be read (ENOENT)'],
    [`postgres://u@h/d?sslmode=require&sslcert=${root}`, 'go together'],
    ['postgres://u@h/d?channel_binding=require', 'channel_binding may be'],
    ['postgres://u@h/d?target_session_attrs=standby', 'target_session_attrs may be'],
    ['postgres://u@h1,h2/d', 'several hosts'],
    ['postgres://u@h/d?hostaddr=1.2.3.4', 'hostaddr is not supported'],
    ['host=h keepalives=1', 'keepalives is not supported'],
    ['postgres://u@h:99999/d', 'port is no number'],
    ['postgres://u@h:0/d', 'port is no number'],
  ])('refuses %s', (dsn, said) => {
    expect(refusal(dsn)).toContain(said);
  });

  it.each([
    'postgres://u:geheim/wort@h/d',
    'postgres://u:1234/geheim@h/d',
    'postgres://u:1234/geheim/wort',
    'postgres://u:geheim?wort@h/d',
    'postgres://u:1234?geheim@h/d',
    'postgres://u:1234?geheim=wort@h/d',
    'postgres://u:%geheim@h/d',
    'postgres://u@h:geheim/d',
    'postgres://u:p@h/d?geheim=x',
    'host=h password=ge heim',
    'host=h password=x geheim=y',
    "host=h password='geheim",
    "host=h password='x'geheim user=u",
    'host=h port=geheim',
    'host=h sslmode=geheim',
    'postgres://u:p@h/d?sslmode=require&sslrootcert=/geheim',
  ])('refuses %s without repeating any of it', (dsn) => {
    expect(refusal(dsn)).not.toMatch(/geheim|wort|heim\b/);
  });
});
