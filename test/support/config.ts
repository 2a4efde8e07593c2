/**
 * Configurations for tests: YAML text to a file in a folder of its own, loaded with an environment that is only what
 * the test gives. It does not see process.env.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Environment, FlagSetting } from '../../config/environment.ts';
import { checkConfig, loadConfig } from '../../config/load.ts';
import { formatProblems, type Problem } from '../../config/problems.ts';
import type { Config } from '../../config/schema.ts';

export const CORES = 6;

/** Writes `content` where the program would find it and hands its path to `use`. */
export function withFile<T>(content: string | Uint8Array, use: (file: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'bronze-config-'));
  try {
    const file = join(folder, 'bronze.yaml');
    writeFileSync(file, content);
    return use(file);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

interface Over {
  readonly env?: Environment;
  readonly flags?: readonly FlagSetting[];
}

/** The configuration that a file gives; throws what the program would throw. */
export function load(content: string | Uint8Array, { env = {}, flags = [] }: Over = {}): Config {
  return withFile(content, (file) => loadConfig({ file, env, flags, cores: CORES }));
}

/** The configuration that an environment alone gives. */
export function loadEnvironment(env: Environment): Config {
  return loadConfig({ env, cores: CORES });
}

/** The problems of a file; an empty list where it has none. */
export function problemsOf(content: string | Uint8Array, { env = {}, flags = [] }: Over = {}): readonly Problem[] {
  return withFile(content, (file) => checkConfig({ file, env, flags, cores: CORES }).problems);
}

/** One problem in short: `line:column key` (or the variable or flag and the key), as the tests compare them. */
export function brief({ origin, key }: Problem): string {
  if (origin.kind === 'file') return `${origin.line}:${origin.column} ${key}`;
  return origin.kind === 'missing' ? `- ${key}` : `${origin.name} ${key}`;
}

/** The problems of a file in short. */
export const briefOf = (content: string | Uint8Array, over: Over = {}): string[] =>
  problemsOf(content, over).map(brief);

/** The only problem of a file; fails where there are more or none. */
export function only(content: string | Uint8Array, env: Environment = {}): Problem {
  const problems = problemsOf(content, { env });
  const [problem] = problems;
  if (problem === undefined || problems.length > 1) {
    throw new Error(`expected one problem, found ${problems.length}:\n${formatProblems(problems)}`);
  }
  return problem;
}
