/**
 * Test data that is not in this repository: a folder of real ledgers, lakes and old estates beside it. Tests that need
 * it are skipped by name where it is absent; with CI=true its absence is a failure, so that nothing is skipped unseen.
 */
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, it } from 'vitest';

function projectRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'tsconfig.json'))) {
    const up = dirname(folder);
    if (up === folder) throw new Error('no tsconfig.json above this file');
    folder = up;
  }
  return folder;
}

/** Absolute path of the shared data: `../shared` from the project's root, or BRONZE_SHARED. */
export const SHARED: string = resolve(projectRoot(), process.env.BRONZE_SHARED || '../shared');

const hasShared: boolean = existsSync(join(SHARED, 'ledgers', 'INDEX.json'));

const absent = (): never => {
  throw new Error(`the shared test data is not at ${SHARED} (BRONZE_SHARED names another place)`);
};

/** `describe` for suites that need the shared data; where it is absent `body` is not even run. */
export function describeShared(name: string, body: () => void): void {
  if (hasShared) describe(name, body);
  else if (process.env.CI === 'true') describe(name, () => it('has the shared test data', absent));
  else describe.skip(name, () => it('needs the shared test data', absent));
}

/** `it` for tests that need the shared data. */
export function itShared(name: string, body: () => void | Promise<void>, timeoutMs?: number): void {
  if (hasShared) it(name, body, timeoutMs);
  else if (process.env.CI === 'true') it(name, absent);
  else it.skip(name, absent);
}
