/**
 * S44: configurations that would keep the program busy, or waiting: refused at once. Nothing is timed: what takes time
 * with the square of its length would not come to an end here.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkConfig } from '../../config/load.ts';
import { redactSecrets } from '../../config/secrets.ts';
import { tempFolder } from '../support/bronze.ts';
import { only, problemsOf } from '../support/config.ts';

const BASE = 'era: { era_id: e, version_label: v1, network: pubnet }\nsource: { local_path: ./lake }\n';

describe('what is no file to be read', () => {
  const refused = (file: string): string => {
    try {
      checkConfig({ file, env: {} });
      return '';
    } catch (error) {
      return `${(error as { code: string }).code}: ${(error as Error).message}`;
    }
  };

  it('a pipe that nobody writes to, a device, a folder, a socket', async () => {
    const root = tempFolder();
    const pipe = join(root, 'pipe');
    execFileSync('mkfifo', [pipe]);
    expect(refused(pipe)).toContain('CONFIG_UNREADABLE: the configuration file cannot be read: ');
    expect(refused(pipe)).toContain('is a pipe');
    const link = join(root, 'link.yaml');
    symlinkSync(pipe, link);
    expect(refused(link)).toContain('is a pipe');
    for (const device of ['/dev/zero', '/dev/null', '/dev/tty']) expect(refused(device)).toContain('CONFIG_UNREADABLE');
    expect(refused('/dev/zero')).toContain('is a device');
    mkdirSync(join(root, 'folder'));
    expect(refused(join(root, 'folder'))).toContain('is a folder');
    const server = createServer().listen(join(root, 'socket'));
    await new Promise((resolve) => server.once('listening', resolve));
    expect(refused(join(root, 'socket'))).toContain('CONFIG_UNREADABLE');
    server.close();
  });

  it('a file of gigabytes', () => {
    const file = join(tempFolder(), 'huge.yaml');
    writeFileSync(file, BASE);
    truncateSync(file, 8 * 1024 ** 3);
    expect(refused(file)).toContain('has 8589934592 bytes, and at most 262144 are read');
  });
});

describe('what would take a parser minutes', () => {
  it.each([
    ['lines', `${BASE}${'#\n'.repeat(20_000)}`, 'too many lines'],
    ['a line', `${BASE}# ${'x'.repeat(200_000)}`, 'a line that is too long'],
    ['brackets', `${BASE}eras: ${'['.repeat(1000)}`, 'nested too deeply'],
    ['brackets over lines', `${BASE}eras: ${'[\n'.repeat(1000)}`, 'nested too deeply'],
    ['mappings', `${BASE}eras: ${'{a: '.repeat(900)}`, 'nested too deeply'],
    ['dashes', `${BASE}eras:\n  ${'- '.repeat(1000)}`, 'nested too deeply'],
    ['question marks', `${BASE}${'? '.repeat(1000)}`, 'nested too deeply'],
  ])('%s', (_, text, message) => {
    expect(only(text).message).toBe(message);
  });

  it('mappings that bring in each other', () => {
    const names = 'abcdefgh'.split('');
    const bomb = names.map((name, n) => {
      const next = names[n - 1];
      return next === undefined
        ? `${name}: &${name} { workers: 1 }`
        : `${name}: &${name} { <<: [${`*${next}, `.repeat(60)}] }`;
    });
    expect(problemsOf(`${bomb.join('\n')}\n${BASE}perf: { <<: [*h, *h] }\n`).map(({ message }) => message)).toContain(
      'an alias of nothing',
    );
  });

  it('aliases without number', () => {
    const text = `x: &a e\n${BASE}active_eras:\n${'  - *a\n'.repeat(5_000)}`;
    expect(problemsOf(text).map(({ message }) => message)).toContain('an alias of nothing');
  });
});

describe('values of any length', () => {
  const long = (text: string, times: number): string => text.repeat(times);

  it.each([
    ['digits', long('0', 2_000_000)],
    ['a scheme', long('a', 2_000_000)],
    ['schemes without an end', long('a://b:', 400_000)],
    ['passwords', long(" password='x", 200_000)],
    ['slashes', `http://${long('/', 2_000_000)} x`],
    ['blanks', `x${long(' ', 2_000_000)}x`],
  ])('%s, in a variable of every kind', (_, text) => {
    for (const name of [
      'WORKERS',
      'ERA_ID',
      'STORAGE_PREFIX',
      'PAS_ENDPOINT',
      'CATALOG_DSN',
      'PAS_ENABLED',
      'LOG_LEVEL',
    ]) {
      const { problems } = checkConfig({ env: { ERA_ID: 'e', SOURCE_LOCAL_PATH: 'x', [name]: text } });
      expect(problems.map(({ message }) => message)).toEqual([`a value of ${text.length} characters`]);
      expect(problems[0]?.found.length).toBeLessThan(200);
    }
  });

  it('a secret in a text that is longer than what is searched stays one', () => {
    const text = `postgres://user:${'geheim'.repeat(3_000)}@host/db`;
    expect(redactSecrets(text)).not.toContain('geheim');
    expect(redactSecrets(`${'x'.repeat(8_150)} postgres://user:geheim@host/db`)).not.toContain('geheim');
  });
});

describe('names that the layout uses', () => {
  it.each(['_staging', '_audit', '_x', '.hidden', '_bronze.json'])('%s is no label of an era', (name) => {
    for (const key of ['era_id', 'version_label', 'network']) {
      const labels = { era_id: 'e', version_label: 'v1', network: 'sample', [key]: name };
      const problem = only(`era: ${JSON.stringify(labels)}\nsource: { local_path: ./lake }\n`);
      expect([problem.key, problem.message]).toEqual([`era.${key}`, 'not usable']);
    }
  });

  it.each(['ledgers_lcm_raw', 'LEDGERS_lcm_raw', 'own'])('%s is that of the table', (name) => {
    for (const key of ['era_id', 'version_label', 'network']) {
      const labels = { era_id: 'e', version_label: 'v1', network: 'sample', [key]: name };
      const text = `era: ${JSON.stringify(labels)}\nsource: { local_path: ./lake }\nbronze: { primary_table: own }\n`;
      expect(only(text).key).toBe(`era.${key}`);
    }
  });

  it.each(['_staging/x', 'a/_audit', 'a/RANGE=2-9/', 'ledgers_lcm_raw', 'a/_Staging'])('%s is no prefix', (prefix) => {
    expect(only(`${BASE}storage: { prefix: ${JSON.stringify(prefix)} }\n`).key).toBe('storage.prefix');
  });

  it('others that only look like them are', () => {
    expect(problemsOf(`${BASE}storage: { prefix: a_staging/stage/_own }\n`)).toEqual([]);
  });
});
