/**
 * Results of test runs as files, for docs/failure-model.md. Nothing reads them to decide whether a test passes.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** From the sources and from the compiled tools alike the results lie in build/results of the project. */
const FOLDER = resolve(process.cwd(), 'build/results');

/** One death of the real program: where, what it left, what the next run did. */
export interface KillResult {
  readonly point: string;
  /** What was on disk right after the death, over both eras. */
  readonly found: {
    readonly published: number;
    readonly manifests: number;
    readonly events: number;
    readonly staged: number;
    readonly locks: number;
  };
  /** What the next run did: partitions built, taken note of; by whether it still had its state folder. */
  readonly recovery: {
    readonly kept: { built: number; found: number };
    readonly lost: { built: number; found: number };
  };
}

export interface ModelResult {
  readonly name: string;
  readonly about: string;
  readonly states: number;
  readonly edges: number;
  readonly depth: number;
  readonly moves: Readonly<Record<string, number>>;
}

export function writeResults(name: string, results: unknown): void {
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(join(FOLDER, `${name}.json`), `${JSON.stringify(results, null, 1)}\n`);
}

export const readResults = <T>(name: string): T => JSON.parse(readFileSync(join(FOLDER, `${name}.json`), 'utf8')) as T;
