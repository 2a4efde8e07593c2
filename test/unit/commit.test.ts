// A build tells the commit that it was made from: in a repository, in an archive of one, and nowhere.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';
import { tempFolder } from '../support/bronze.ts';

const ROOT = resolve(import.meta.dirname, '../..');

function run(cwd: string, command: string, ...args: string[]): string {
  const env = { PATH: process.env.PATH, HOME: cwd, GIT_CONFIG_NOSYSTEM: '1' };
  return execFileSync(command, args, { cwd, encoding: 'utf8', env, stdio: ['ignore', 'pipe', 'pipe'] }).trim();
}

const git = (cwd: string, ...args: string[]): string =>
  run(cwd, 'git', '-c', 'user.name=t', '-c', 'user.email=t@example.org', ...args);

const built = (root: string): string => {
  const code = `import('./runtime/commit.mjs').then(({ commitOf }) => console.log(commitOf(process.cwd())))`;
  return run(root, process.execPath, '--input-type=module', '-e', code);
};

function project(): string {
  const root = join(tempFolder(), 'project');
  mkdirSync(join(root, 'runtime'), { recursive: true });
  for (const name of ['.gitattributes', 'runtime/commit.mjs']) copyFileSync(join(ROOT, name), join(root, name));
  return root;
}

function repository(): string {
  const root = project();
  git(root, 'init', '--quiet');
  git(root, 'add', '.');
  git(root, 'commit', '--quiet', '-m', 'first');
  return root;
}

it('of a repository: its commit, and whether the code differs from it', () => {
  const root = repository();
  const head = git(root, 'rev-parse', 'HEAD');
  expect(built(root)).toBe(head);
  writeFileSync(join(root, 'notes.txt'), 'no code');
  expect(built(root)).toBe(head);
  writeFileSync(join(root, 'runtime/new.ts'), '');
  expect(built(root)).toBe(`${head}-dirty`);
});

it('of an archive: the commit that it was made from', () => {
  const root = repository();
  const archive = tempFolder();
  run(root, 'git', 'archive', '--output', join(archive, 'a.tar'), 'HEAD');
  run(archive, 'tar', 'xf', 'a.tar');
  expect(built(archive)).toBe(git(root, 'rev-parse', 'HEAD'));
});

it("of neither, also inside of somebody else's repository: unknown", () => {
  const inside = project();
  expect(built(inside)).toBe('unknown');
  const other = join(inside, '..');
  git(other, 'init', '--quiet');
  git(other, 'add', '.');
  git(other, 'commit', '--quiet', '-m', 'another project');
  expect(built(inside)).toBe('unknown');
});
