/**
 * A real PgBouncer in transaction mode before a PostgreSQL, on loopback, for one test file. Where there is no `pgbouncer`
 * suites are skipped by name; with CI=true that is a failure.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, it } from 'vitest';
import { tempFolder } from './bronze.ts';
import { describePostgres, dsnWith, freePort } from './postgres.ts';

const isThere = spawnSync('pgbouncer', ['--version']).status === 0;

/** `describe` for suites that need both; `body` gets the DSN of a superuser, past PgBouncer. */
export function describePgBouncer(name: string, body: (server: string) => void): void {
  const title = `pgbouncer: ${name}`;
  const absent = (): never => {
    throw new Error('there is no pgbouncer in PATH; Debian has it in the package pgbouncer');
  };
  if (isThere) describe(title, () => describePostgres('behind it', body));
  else if (process.env.CI === 'true') describe(title, () => it('has pgbouncer', absent));
  else describe.skip(title, () => it('needs pgbouncer', absent));
}

const started = new Set<ChildProcess>();

afterAll(() => {
  for (const child of started) child.kill('SIGKILL');
});

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });

/** The DSN of the server's database through a PgBouncer. Its database `dead` lies on a server that is not there. */
export async function startPgBouncer(server: string): Promise<string> {
  const { hostname, port, username, password, pathname } = new URL(server);
  const folder = tempFolder();
  const [own, nobody] = [await freePort(), await freePort()];
  const users = join(folder, 'users');
  writeFileSync(users, `"${username}" "${password}"\n`);
  const config = join(folder, 'pgbouncer.ini');
  const lines = [
    '[databases]',
    `${pathname.slice(1)} = host=${hostname} port=${port}`,
    `dead = host=127.0.0.1 port=${nobody}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${own}`,
    'unix_socket_dir =',
    'pool_mode = transaction',
    'auth_type = scram-sha-256',
    `auth_file = ${users}`,
    'query_wait_timeout = 2',
  ];
  writeFileSync(config, `${lines.join('\n')}\n`);
  // It refuses to run as root, and has to read what root has written.
  chmodSync(folder, 0o755);
  const user = process.getuid?.() === 0 ? ['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups'] : [];
  const [file = '', ...words] = [...user, 'pgbouncer', '--quiet', config];
  const child = spawn(file, words, { stdio: ['ignore', 'pipe', 'pipe'] });
  started.add(child);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk));
  while (!(await answers(own))) {
    if (child.exitCode !== null) throw new Error(`pgbouncer has ended: ${said}`);
    await sleep(20);
  }
  return dsnWith(server, { port: own });
}
