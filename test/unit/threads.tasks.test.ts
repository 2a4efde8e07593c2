/** The program's own tasks in real threads: the compiled entry in dist/, which `pretest` builds. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dataKey } from '../../actors/bronze/names.ts';
import { buildPartition } from '../../actors/parquet/build-partition.ts';
import type { BuildTask, ReadBackTask } from '../../actors/parquet/spec.ts';
import { objectKey } from '../../actors/source/keys.ts';
import { ThreadPool } from '../../actors/threads/pool.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import {
  ALL_CHECKS,
  buildTask,
  CHAIN,
  layoutOf,
  MemoryLake,
  MemoryStaging,
  madeLedgers,
  writeLake,
} from '../support/small-lake.ts';

const LAYOUT = layoutOf(8, 4);
const LEDGERS = madeLedgers({ start: 2, end: 200 });
const RANGES: readonly LedgerRange[] = [2, 52, 102, 152].map((start) => ({ start, end: start + 48 }));

let folder = '';
const pool = new ThreadPool(2);
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'threads-'));
  writeLake(join(folder, 'lake'), LEDGERS, LAYOUT);
});
afterAll(async () => {
  await pool.close();
  rmSync(folder, { recursive: true });
});

const taskOf = (range: LedgerRange, lake = 'lake'): BuildTask =>
  buildTask(range, LAYOUT, {
    source: { mode: 'local', path: join(folder, lake), configured: null },
    staging: { backend: 'local', folder: join(folder, 'staging'), owner: 'nonce' },
  });

const staged = (): string[] => readdirSync(join(folder, 'staging'));

describe('threads', () => {
  it('build the same bytes as the caller itself would, several at once', async () => {
    const answers = await Promise.all(RANGES.map((range) => pool.run(taskOf(range))));
    for (const [i, range] of RANGES.entries()) {
      const source = new MemoryLake(LEDGERS, LAYOUT);
      const writer = new MemoryStaging();
      const env = { source, writer, signal: new AbortController().signal, onProgress: () => {} };
      const { handle, ...own } = await buildPartition(taskOf(range), env);
      expect(answers[i]).toEqual({ ...own, handle: expect.any(String) });
      expect(handle).toBe('memory:staged');
      expect(readFileSync(answers[i]?.handle ?? '').equals(writer.bytes)).toBe(true);
    }
    expect(staged()).toHaveLength(RANGES.length);
    for (const { handle } of answers) rmSync(handle);
  });

  it('read back what was published, and say what is wrong with it', async () => {
    const range = { start: 10, end: 30 };
    const built = await pool.run(taskOf(range));
    const store = { backend: 'local', root: join(folder, 'bronze'), prefix: '' } as const;
    const key = dataKey(CHAIN, 'ledgers_lcm_raw', range);
    const path = join(store.root, key);
    mkdirSync(dirname(path), { recursive: true });
    renameSync(built.handle, path);
    const base = { kind: 'readback', chain: CHAIN, range, store, key, columns: 2, checks: ALL_CHECKS } as const;
    const task = (depth: ReadBackTask['depth']): ReadBackTask => ({ ...base, depth });
    const rows = await pool.run(task('rows'));
    expect(rows).toEqual({
      data: built.data,
      rows: { ledgers: built.ledgers, writer: built.writer, checks: built.checks },
    });
    expect(await pool.run(task('bytes'))).toEqual({ data: built.data, rows: null });
    const bytes = readFileSync(path);
    bytes[100] = (bytes[100] as number) ^ 1;
    writeFileSync(path, bytes);
    await expect(pool.run(task('rows'))).rejects.toMatchObject({ code: 'PARTITION_DAMAGED' });
    const stopped = pool.run(task('rows'), { signal: AbortSignal.abort() });
    await expect(stopped).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('give back typed errors, and leave nothing staged', async () => {
    writeLake(join(folder, 'damaged'), LEDGERS, LAYOUT);
    const key = objectKey(LAYOUT, 20, 'zst');
    writeFileSync(join(folder, 'damaged', key), 'not a frame');
    const error = await pool.run(taskOf({ start: 2, end: 50 }, 'damaged')).catch((e: unknown) => e);
    expect(error).toMatchObject({
      code: 'OBJECT_CORRUPT',
      retryable: false,
      details: { object: key, ledger: 16, start: 2, end: 50 },
      cause: { name: 'ThreadError', stack: expect.stringContaining('decompressInto') },
    });
    const missing = pool.run(taskOf({ start: 190, end: 260 }));
    await expect(missing).rejects.toMatchObject({ code: 'LEDGER_MISSING', details: { start: 190, end: 260 } });
    expect(staged()).toEqual([]);
  });

  it('stop when they are told to, and leave nothing staged', async () => {
    const controller = new AbortController();
    const run = pool.run(taskOf({ start: 2, end: 190 }), {
      signal: controller.signal,
      onStarted: () => setImmediate(() => controller.abort()),
    });
    await expect(run).rejects.toMatchObject({ code: 'CANCELLED', details: { start: 2, end: 190 } });
    expect(staged()).toEqual([]);
    expect((await pool.run(taskOf({ start: 2, end: 9 }))).data.rowCount).toBe(8);
  });
});
