// Surroundings that are not as a developer's: credentials out of a file with a line break at its end, a container's user
// whom nobody has entered in /etc/passwd.
import { describe, expect, it } from 'vitest';
import { newCopier, said } from '../support/copier.ts';
import { environmentFor, remoteScene } from '../support/remote-scene.ts';
import { describeServer, describeServers } from '../support/servers.ts';

const CUT = { start: 60, end: 67, size: 4 };

describeServers('credentials that end in a line break', (server) => {
  it('are what they are without it', async () => {
    const kind = { protocol: 's3', server } as const;
    const scene = await remoteScene(kind, await newCopier(CUT));
    for (const [name, value] of Object.entries(environmentFor(kind))) scene.environment[name] = `${value}\n`;
    const run = await scene.run();
    expect(run.code, said(run)).toBe(0);
  });
});

/** Nobody's number. */
const NOBODY = 54_321;
const isRoot = process.getuid?.() === 0;

/** Words before the program: another user, without HOME, whom no file's rights keep out, wherever this tree lies. */
const asNobody: readonly string[] = [
  ...['env', '-u', 'HOME', 'setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'],
  ...['--inh-caps=+dac_override', '--ambient-caps=+dac_override'],
];

// Only root may become somebody else.
describe.runIf(isRoot)('a user without an entry in /etc/passwd, and without HOME', () => {
  describeServer('moto', 'Bronze in S3', (server) => {
    it('copies', async () => {
      const scene = await remoteScene({ protocol: 's3', server }, await newCopier(CUT));
      const run = await scene.run({ under: asNobody });
      expect(run.code, said(run)).toBe(0);
    });

    it('is told that there are no credentials, where there are none', async () => {
      const scene = await remoteScene({ protocol: 's3', server }, await newCopier(CUT));
      const env = { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '', AWS_EC2_METADATA_DISABLED: 'true' };
      const run = await scene.start('run', { under: asNobody, env }).done;
      expect(run.code, said(run)).toBe(1);
      expect(run.stderr).toMatch(/CREDENTIALS_INVALID/);
    });
  });

  it('is told that a connection string has to name a user', async () => {
    const scene = await newCopier(CUT, { catalog: { backend: 'postgres', postgres_dsn: 'postgres://127.0.0.1:1/x' } });
    const run = await scene.run({ under: asNobody });
    expect(run.code, said(run)).toBe(2);
    expect(run.stderr).toMatch(new RegExp(`CONFIG_INVALID: catalog\\.postgres_dsn: .*user ${NOBODY} .*PGUSER`));
  });
});
