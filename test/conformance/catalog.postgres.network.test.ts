// The catalog in PostgreSQL and what lies between: wrong addresses, TLS, sessions that die, a server that is stopped.
import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { openPostgres } from '../../actors/catalog/postgres.ts';
import { LIMITS } from '../../actors/catalog/postgres-session.ts';
import { BronzeError } from '../../machines/errors.ts';
import { describePostgres, dsnWith, freePort, type OwnPostgres, ownPostgres, sql } from '../support/postgres.ts';
import { catalogAt, closeCatalogs, dataset, partition } from '../support/postgres-catalog.ts';

const DATASET = dataset();

closeCatalogs();

describePostgres('addresses, TLS and a server that goes away', () => {
  let own: OwnPostgres;
  let folder: string;
  /** What a call failed with, in full: nothing of it may hold a password. */
  const failure = async (dsn: string, secret = 'testpassword', limits = LIMITS): Promise<BronzeError> => {
    let error: unknown = null;
    try {
      await catalogAt(dsn, limits).probe();
    } catch (thrown) {
      error = thrown;
    }
    if (!(error instanceof BronzeError)) throw new Error(`${dsn} was not refused with a code`, { cause: error });
    const { cause } = error;
    const told = [error.message, error.stack, JSON.stringify(error), String(cause), JSON.stringify(cause ?? null)];
    expect(told.join('\n')).not.toContain(secret);
    return error;
  };

  beforeAll(async () => {
    own = await ownPostgres();
    folder = dirname(own.authority);
    await catalogAt(own.dsn).prepare();
  });
  afterAll(() => own.down());

  it('tells what is wrong with an address, and never the password', async () => {
    const cases: [change: Parameters<typeof dsnWith>[1], code: string, said: string][] = [
      [{ password: 'wr%40ng-secret' }, 'CATALOG_DENIED', 'password authentication failed for user "postgres"'],
      [{ user: 'nobody-here', password: 'wr%40ng-secret' }, 'CATALOG_DENIED', 'for user "nobody-here"'],
      [{ database: 'nowhere' }, 'CATALOG_DENIED', 'database "nowhere" does not exist'],
      [{ port: await freePort() }, 'CATALOG_UNAVAILABLE', 'ECONNREFUSED'],
    ];
    for (const [change, code, said] of cases) {
      const error = await failure(dsnWith(own.dsn, change), change.password === undefined ? undefined : 'ng-secret');
      expect([error.code, error.retryable]).toEqual([code, code === 'CATALOG_UNAVAILABLE']);
      expect(error.message).toContain(said);
    }
    const noHost = await failure(own.dsn.replace('127.0.0.1', 'no-such-host.invalid'));
    expect(noHost).toMatchObject({ code: 'CATALOG_UNAVAILABLE', message: expect.stringContaining('no-such-host') });
    const noPassword = await failure(own.dsn.replace(':testpassword', ''));
    expect(noPassword).toMatchObject({ code: 'CATALOG_DENIED', message: expect.stringContaining('wants a password') });
    expect(catalogAt(own.dsn).uri).toBe(`postgres://postgres@127.0.0.1:${own.port}/postgres`);
  });

  it('takes key=value pairs as well', async () => {
    const password = "it's a \\ pass";
    await sql(own.dsn, "CREATE ROLE \"o'neil\" LOGIN SUPERUSER PASSWORD 'it''s a \\ pass'");
    const pairs = `host = 127.0.0.1 port=${own.port} user=o\\'neil dbname=postgres password='it\\'s a \\\\ pass'`;
    await catalogAt(pairs).probe();
    expect((await failure(pairs.replace('a ', 'b '), password)).code).toBe('CATALOG_DENIED');
  });

  it('gives up where nobody answers', async () => {
    const silent = createServer(() => undefined).listen(0, '127.0.0.1');
    await new Promise((done) => silent.once('listening', done));
    const { port } = silent.address() as { port: number };
    const error = await failure(dsnWith(own.dsn, { port }), 'testpassword', { ...LIMITS, connectMs: 300 });
    expect(error).toMatchObject({ code: 'CATALOG_UNAVAILABLE', retryable: true });
    silent.close();
  });

  it('says that the server has no connection left', async () => {
    await sql(own.dsn, "CREATE ROLE crowded LOGIN PASSWORD 'testpassword' CONNECTION LIMIT 0");
    expect(await failure(dsnWith(own.dsn, { user: 'crowded' }))).toMatchObject({
      code: 'CATALOG_UNAVAILABLE',
      message: expect.stringContaining('no connection left'),
    });
  });

  /** Whether the sessions of this program are encrypted. */
  const encrypted = async (): Promise<unknown[]> =>
    (
      await sql(
        own.dsn,
        `SELECT DISTINCT s.ssl FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)
         WHERE a.application_name = 'bronze-copier'`,
      )
    ).map(({ ssl }) => ssl);

  const withTls = (parameters: Record<string, string>, host = '127.0.0.1'): string =>
    dsnWith(own.dsn.replace('127.0.0.1', host), { parameters });

  it('encrypts and verifies as sslmode says', async () => {
    const { authority } = own;
    const good: [parameters: Record<string, string>, encrypted: boolean, host?: string][] = [
      [{}, true],
      [{ sslmode: 'disable' }, false],
      [{ sslmode: 'require' }, true],
      [{ sslmode: 'verify-ca', sslrootcert: authority }, true],
      [{ sslmode: 'verify-full', sslrootcert: authority }, true],
      [{ sslmode: 'verify-full', sslrootcert: authority }, true, 'localhost'],
      // The same address by a name that is not in the certificate.
      [{ sslmode: 'require' }, true, '127.1'],
      [{ sslmode: 'verify-ca', sslrootcert: authority }, true, '127.1'],
      [{ sslmode: 'require', sslrootcert: authority }, true, '127.1'],
    ];
    for (const [parameters, tls, host] of good) {
      const catalog = openPostgres({ backend: 'postgres', dsn: withTls(parameters, host) });
      await catalog.probe();
      expect(await encrypted(), JSON.stringify([parameters, host])).toEqual([tls]);
      await catalog.close();
    }
    const other = join(folder, 'other.crt');
    execFileSync('openssl', [
      ...'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -subj /CN=other -keyout'.split(' '),
      join(folder, 'other.key'),
      '-out',
      other,
    ]);
    chmodSync(other, 0o644);
    const bad: [parameters: Record<string, string>, host?: string][] = [
      [{ sslmode: 'verify-full' }],
      [{ sslmode: 'verify-full', sslrootcert: 'system' }],
      [{ sslmode: 'verify-full', sslrootcert: other }],
      [{ sslmode: 'verify-ca', sslrootcert: other }],
      [{ sslmode: 'require', sslrootcert: other }],
      [{ sslmode: 'verify-full', sslrootcert: authority }, '127.1'],
    ];
    for (const [parameters, host] of bad) {
      const error = await failure(withTls(parameters, host));
      expect(error.code, JSON.stringify([parameters, host])).toBe('CATALOG_DENIED');
      expect(error.message).toContain('certificate is not accepted');
    }
  });

  it('shows a certificate of its own where the server asks for one', async () => {
    const certificate = join(folder, 'client.crt');
    const key = join(folder, 'client.key');
    execFileSync('openssl', [
      ...'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -subj /CN=postgres -keyout'.split(' '),
      ...[key, '-out', certificate, '-CA', own.authority, '-CAkey', join(folder, 'ca.key')],
    ]);
    const hba = join(folder, 'data', 'pg_hba.conf');
    const before = readFileSync(hba, 'utf8');
    writeFileSync(hba, `hostssl all postgres 127.0.0.1/32 cert\n${before}`);
    await sql(own.dsn, `ALTER SYSTEM SET ssl_ca_file = '${own.authority}'`);
    await sql(own.dsn, 'SELECT pg_reload_conf()');
    const tls = { sslmode: 'verify-full', sslrootcert: own.authority };
    const bare = withTls(tls).replace(':testpassword', '');
    await expect.poll(async () => (await failure(bare)).code).toBe('CATALOG_DENIED');
    await catalogAt(withTls({ ...tls, sslcert: certificate, sslkey: key }).replace(':testpassword', '')).probe();
    writeFileSync(hba, before);
    await own.stop();
    await own.start();
  });

  it('goes without TLS only where it need not be', async () => {
    await sql(own.dsn, 'ALTER SYSTEM SET ssl = off');
    await own.stop();
    await own.start();
    const catalog = catalogAt(own.dsn);
    await Promise.all([catalog.probe(), catalog.probe(), catalog.probe()]);
    expect(await encrypted()).toEqual([false]);
    for (const sslmode of ['require', 'verify-full']) {
      expect(await failure(withTls({ sslmode }))).toMatchObject({
        code: 'CATALOG_DENIED',
        message: expect.stringContaining('it has no TLS'),
      });
    }
    await sql(own.dsn, 'ALTER SYSTEM RESET ssl');
    await own.stop();
    await own.start();
  });

  it('survives the death of its sessions, idle or at work', async () => {
    const catalog = catalogAt(own.dsn);
    await Promise.all([catalog.probe(), catalog.probe()]);
    const kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bronze-copier'";
    expect(await sql(own.dsn, kill)).toHaveLength(2);
    expect(await catalog.record(DATASET, [partition(2, 9)])).toBe('recorded');
    // At work: a trigger ends the session that fires it, in the midst of a statement.
    await sql(
      own.dsn,
      `CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN NEW; END $$;
       CREATE TRIGGER die BEFORE INSERT ON _meta_lineage EXECUTE FUNCTION die()`,
    );
    await expect(catalog.record(DATASET, [partition(10, 19)])).rejects.toMatchObject({
      code: 'CATALOG_UNAVAILABLE',
      retryable: true,
    });
    await sql(own.dsn, 'DROP FUNCTION die CASCADE');
    expect(await catalog.rows(DATASET)).toHaveLength(1);
  });

  it('goes on when the server is back', async () => {
    const catalog = catalogAt(own.dsn);
    await Promise.all([catalog.probe(), catalog.probe()]);
    await own.stop();
    const down = { code: 'CATALOG_UNAVAILABLE', retryable: true };
    await expect(catalog.record(DATASET, [partition(100, 109)])).rejects.toMatchObject(down);
    await expect(catalog.rows(DATASET)).rejects.toMatchObject(down);
    await expect(catalog.prepare()).rejects.toMatchObject(down);
    await own.start();
    await Promise.all([1, 2, 3, 4].map((n) => catalog.record(DATASET, [partition(100 * n, 100 * n + 9)])));
    const starts = ((await catalog.rows(DATASET)) ?? []).map(({ range }) => range.start);
    expect(starts).toEqual(expect.arrayContaining([100, 200, 300, 400]));
  });

  it('calls a commit whose answer is lost unavailable, and finds its row when it asks again', async () => {
    const through = await startProxy(own.port);
    onTestFinished(() => through.close());
    const plain = dsnWith(own.dsn, { port: through.port, parameters: { sslmode: 'disable' } });
    const catalog = catalogAt(plain);
    await catalog.probe();
    through.loseCommit();
    await expect(catalog.record(DATASET, [partition(1000, 1009)])).rejects.toMatchObject({
      code: 'CATALOG_UNAVAILABLE',
      message: expect.stringContaining('the answer to the commit was lost'),
    });
    const kept = 'SELECT * FROM _meta_lineage WHERE ledger_start = 1000';
    await expect.poll(() => sql(own.dsn, kept)).toHaveLength(1);
    const before = await sql(own.dsn, kept);
    expect(await catalog.record(DATASET, [partition(1000, 1009)])).toBe('recorded');
    expect(await sql(own.dsn, kept)).toEqual(before);
  });
});

/** A TCP proxy before the server, which can deliver a COMMIT and then cut the line to who sent it. */
async function startProxy(target: number): Promise<{ port: number; loseCommit(): void; close(): Promise<void> }> {
  let losing = false;
  const sockets = new Set<Socket>();
  const server: Server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
    }
    upstream.pipe(client);
    client.on('data', (chunk) => {
      if (losing && chunk.includes('COMMIT\0')) {
        losing = false;
        upstream.unpipe(client);
        upstream.write(chunk, () => client.destroy());
      } else upstream.write(chunk);
    });
    client.on('end', () => upstream.end());
  }).listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  return {
    port: (server.address() as { port: number }).port,
    loseCommit: () => {
      losing = true;
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((done) => server.close(() => done()));
    },
  };
}
