// The embedded catalog in processes of their own: two that write at once, one that is killed in the middle, one that may
// not write, one whose disk is full. `npm run build` first.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { openEmbedded } from '../../actors/catalog/embedded.ts';
import { rangesOf, tempFolder } from '../support/bronze.ts';
import { DATASET, holdCatalog, lineageOf, queryCatalog, recordOf } from '../support/catalog.ts';

const CHILD = fileURLToPath(new URL('../support/catalog-child.mjs', import.meta.url));

type Call = readonly [method: 'prepare' | 'probe' | 'record' | 'recordFailure' | 'rows' | 'forget', ...unknown[]];
interface Answer {
  readonly answer?: unknown;
  readonly code?: string;
  readonly message?: string;
  readonly retryable?: boolean;
}

/** A process that makes these calls. */
function start(dir: string, calls: readonly Call[], user?: number, limitKiB?: number) {
  const limit = limitKiB === undefined ? '' : `ulimit -f ${limitKiB}; `;
  const child = spawn('bash', ['-c', `${limit}exec "$0" "$@"`, process.execPath, CHILD, dir], {
    stdio: ['pipe', 'pipe', 'inherit'],
    ...(user === undefined ? {} : { uid: user, gid: user }),
  });
  const ended = once(child, 'exit');
  let seen = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    seen += chunk.toString().split('\n').length - 1;
  });
  const output = text(child.stdout);
  child.stdin.end(JSON.stringify(calls));
  return {
    /** Waits for so many lines. */
    said: async (count: number): Promise<void> => {
      while (seen < count) await Promise.race([once(child.stdout, 'data'), ended]);
    },
    kill: () => child.kill('SIGKILL'),
    ended,
    answers: async (): Promise<Answer[]> => {
      const lines = (await output).trim().split('\n');
      expect((await ended)[0]).toBe(0);
      return lines.slice(1).map((line) => JSON.parse(line));
    },
  };
}

const openIn = (dir: string) => openEmbedded({ backend: 'embedded', dir });
const recordsFrom = (first: number, count: number) => rangesOf(first, 10, count).map((range) => recordOf(range));

it('two processes that record the same at once leave one set of rows', async () => {
  const dir = join(tempFolder(), 'catalog');
  const records = recordsFrom(2, 12);
  const each = records.map((record): Call => ['record', DATASET, [record]]);
  const both = [start(dir, each), start(dir, [['prepare'], ...each.slice(8), ...each])];
  for (const child of both) {
    const answers = await child.answers();
    expect(new Set(answers.map(({ answer, code }) => answer ?? code))).toEqual(
      new Set(answers.length > 12 ? ['ready', 'recorded'] : ['recorded']),
    );
  }
  expect(await openIn(dir).rows(DATASET)).toEqual(records.map(lineageOf));
  for (const table of ['_meta_quality', '_meta_changes']) {
    expect(await queryCatalog(dir, `SELECT count(*) AS n FROM ${table}`)).toEqual([{ n: 12 }]);
  }
  expect(await queryCatalog(dir, 'SELECT count(*) AS n FROM _meta_datasets')).toEqual([{ n: 1 }]);
});

it('a process killed at any moment of a record leaves all of it or nothing, and nothing in the way', async () => {
  const dir = tempFolder();
  const DEATHS = 7;
  const SIZE = 300;
  const batches = Array.from({ length: DEATHS + 2 }, (_, n) => recordsFrom(2 + n * 10 * SIZE, SIZE));
  const calls = batches.map((batch): Call => ['record', DATASET, batch]);
  for (let death = 0; death < DEATHS; death += 1) {
    const child = start(dir, calls);
    // While it loads and makes the file; later while it records one batch or the other.
    await child.said(1 + death);
    await sleep(((death * 5) % 7) * 12);
    child.kill();
    await child.ended;
    const count = (await openIn(dir).rows(DATASET))?.length ?? -1;
    expect(count % SIZE).toBe(0);
    expect(count).toBeGreaterThanOrEqual(death * SIZE);
    if (death === 0) continue;
    for (const table of ['_meta_quality', '_meta_changes']) {
      expect(await queryCatalog(dir, `SELECT count(*) AS n FROM ${table}`)).toEqual([{ n: count }]);
    }
  }
  for (const batch of batches) expect(await openIn(dir).record(DATASET, batch)).toBe('recorded');
  expect(await openIn(dir).rows(DATASET)).toEqual(batches.flat().map(lineageOf));
  expect(await queryCatalog(dir, 'SELECT count(*) AS n FROM _meta_quality')).toEqual([{ n: batches.length * SIZE }]);
  expect(readdirSync(dir).filter((name) => !/^catalog\.duckdb(\.new-.*)?$/.test(name))).toEqual([]);
});

describe('a process that may not write', () => {
  const NOBODY = 65_534;
  const isRoot = process.getuid?.() === 0;
  const record: Call = ['record', DATASET, recordsFrom(12, 1)];
  /** As somebody whom modes bind: root is not bound. */
  const answersOf = async (dir: string, ...calls: Call[]): Promise<Answer[]> =>
    start(dir, calls, isRoot ? NOBODY : undefined).answers();
  const denied = { code: 'CATALOG_DENIED', retryable: false };

  it('into the folder', async () => {
    const dir = tempFolder();
    await openIn(dir).record(DATASET, recordsFrom(2, 1));
    chmodSync(join(dir, 'catalog.duckdb'), 0o666);
    chmodSync(dir, 0o555);
    const answers = await answersOf(dir, ['probe'], record, ['prepare'], ['rows', DATASET]);
    chmodSync(dir, 0o755);
    expect(answers.slice(0, 3)).toEqual([0, 1, 2].map(() => expect.objectContaining(denied)));
    expect(answers[3]?.answer).toEqual(recordsFrom(2, 1).map(lineageOf));
    expect(await openIn(dir).rows(DATASET)).toHaveLength(1);
  });

  it('into the file', async () => {
    const dir = tempFolder();
    await openIn(dir).record(DATASET, recordsFrom(2, 1));
    chmodSync(dir, 0o777);
    chmodSync(join(dir, 'catalog.duckdb'), 0o444);
    expect(await answersOf(dir, ['probe'], record)).toEqual([0, 1].map(() => expect.objectContaining(denied)));
    chmodSync(join(dir, 'catalog.duckdb'), 0o000);
    expect(await answersOf(dir, ['rows', DATASET], ['probe'])).toEqual(
      [0, 1].map(() => expect.objectContaining(denied)),
    );
  });

  it('where the folder is to be made', async () => {
    const above = tempFolder();
    chmodSync(above, 0o555);
    const dir = join(above, 'state', 'catalog');
    const answers = await answersOf(dir, ['probe'], ['prepare'], record, ['rows', DATASET]);
    chmodSync(above, 0o755);
    expect(answers.slice(0, 3)).toEqual([0, 1, 2].map(() => expect.objectContaining(denied)));
    expect(answers[3]).toEqual({ answer: [] });
    expect(readdirSync(above)).toEqual([]);
  });
});

describe('a disk that takes no more', () => {
  const full = { code: 'CATALOG_UNAVAILABLE', retryable: true };

  it.each([
    ['its log', () => 100],
    ['the file', (file: number) => Math.ceil(file / 1024) + 64],
  ])('writing %s, leaves all or nothing, lets go of the file, and takes the rest later', async (_, limitOf) => {
    const dir = tempFolder();
    const records = recordsFrom(2, 3000);
    await openIn(dir).record(DATASET, records.slice(0, 10));
    // KiB to which files of this process may grow.
    const limit = limitOf(statSync(join(dir, 'catalog.duckdb')).size);
    const calls: Call[] = [
      ['record', DATASET, records],
      ['rows', DATASET],
    ];
    const [refused, read] = await start(dir, calls, undefined, limit).answers();
    expect(refused).toMatchObject(full);
    const left = read?.answer as readonly unknown[];
    expect([10, records.length]).toContain(left.length);
    await (await holdCatalog(dir, 'READ_WRITE'))();
    expect(await openIn(dir).rows(DATASET)).toEqual(left);
    expect(await openIn(dir).record(DATASET, records)).toBe('recorded');
    expect(await openIn(dir).rows(DATASET)).toEqual(records.map(lineageOf));
  });

  it('has no half catalog where there was none', async () => {
    const dir = join(tempFolder(), 'catalog');
    mkdirSync(dir);
    const [refused] = await start(dir, [['prepare']], undefined, 8).answers();
    expect(refused).toMatchObject(full);
    expect(readdirSync(dir)).toEqual([]);
    expect(await openIn(dir).prepare()).toBe('ready');
  });
});
