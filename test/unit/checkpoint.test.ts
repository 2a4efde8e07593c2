/** The checkpoint: written durably, read without ever failing. */
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openCheckpoint } from '../../actors/state/checkpoint.ts';
import { CHAIN, failureOf, hex, tempFolder } from '../support/bronze.ts';
import { dyingAfter, failing } from '../support/faulty-files.ts';
import { itShared, SHARED } from '../support/shared.ts';

const NAME = 'checkpoint_pubnet_pre_p23_v1.json';
const SUM = `sha256:${hex('x')}`;
const NONE = { facts: null, problem: null };

const open = (dir: string, files?: Parameters<typeof openCheckpoint>[0]['files']) =>
  openCheckpoint({ dir, chain: CHAIN, copierId: 'c', now: () => '2026-01-01T00:00:00Z', ...(files ? { files } : {}) });

it('is written with the keys of the old program, and read back', async () => {
  const dir = join(tempFolder(), 'state');
  expect(await open(dir).read()).toEqual(NONE);
  await open(dir).write({ start: 10, end: 19 }, SUM);
  expect(JSON.parse(readFileSync(join(dir, NAME), 'utf8'))).toEqual({
    copier_id: 'c',
    network: 'pubnet',
    era_id: 'pre_p23',
    version_label: 'v1',
    last_committed_ledger: 19,
    last_committed_partition: { start: 10, end: 19, checksum: SUM },
    format: 2,
    updated_at: '2026-01-01T00:00:00Z',
  });
  expect(await open(dir).read()).toEqual({ facts: { range: { start: 10, end: 19 }, checksum: SUM }, problem: null });
  expect(readdirSync(dir)).toEqual([NAME]);
});

itShared("S28: the old program's file vouches for nothing, and nothing is wrong with it", async () => {
  const dir = tempFolder();
  cpSync(join(SHARED, 'old-estate/aligned/state', NAME), join(dir, NAME));
  const { facts, problem, isOld } = await open(dir).read();
  expect(facts).toBeNull();
  expect(isOld).toBe(true);
  expect(problem).toContain('is of the old program');
  await open(dir).write({ start: 64020, end: 64024 }, SUM);
  expect(await open(dir).read()).toEqual({
    facts: { range: { start: 64020, end: 64024 }, checksum: SUM },
    problem: null,
  });
});

it('S14: what is corrupt, of another era or nonsense is not used, and the reason is told', async () => {
  const dir = tempFolder();
  const good = {
    network: 'pubnet',
    era_id: 'pre_p23',
    version_label: 'v1',
    last_committed_ledger: 19,
    last_committed_partition: { start: 10, end: 19, checksum: SUM },
  };
  const bad: [unknown, string][] = [
    ['', 'empty'],
    ['{"network"', 'not JSON'],
    [Buffer.from([0xff]), 'not UTF-8'],
    ['null', 'expected object'],
    [{ ...good, era_id: 'p23' }, 'belongs to pubnet/p23/v1'],
    [{ ...good, network: 'testnet' }, 'belongs to testnet'],
    [{ ...good, last_committed_ledger: 20 }, 'not the end'],
    [{ ...good, last_committed_ledger: -1 }, 'last_committed_ledger'],
    [{ ...good, last_committed_ledger: 2 ** 33 }, 'last_committed_ledger'],
    [{ ...good, last_committed_partition: { start: 30, end: 19, checksum: SUM } }, 'ends before it starts'],
    [{ ...good, last_committed_partition: { start: 10, end: 19, checksum: 'md5:1' } }, 'checksum'],
    [{ ...good, last_committed_partition: null }, 'last_committed_partition'],
  ];
  for (const [content, reason] of bad) {
    const isText = typeof content === 'string' || Buffer.isBuffer(content);
    writeFileSync(join(dir, NAME), isText ? content : JSON.stringify(content));
    const { facts, problem } = await open(dir).read();
    expect(facts).toBeNull();
    expect(problem).toContain(reason);
    expect(problem).toContain(NAME);
  }
  const denied = await open(dir, failing(['open'], 'EACCES')).read();
  expect(denied.problem).toContain('EACCES');
  const folder = tempFolder();
  mkdirSync(join(folder, NAME));
  expect((await open(folder).read()).facts).toBeNull();
});

it('S21: no space is an error, and the old checkpoint stays', async () => {
  const dir = tempFolder();
  await open(dir).write({ start: 10, end: 19 }, SUM);
  for (const step of ['open', 'write', 'fsync', 'rename'] as const) {
    const failure = await failureOf(open(dir, failing([step], 'ENOSPC')).write({ start: 20, end: 29 }, SUM));
    expect(failure).toMatchObject({ code: 'STATE_IO', retryable: true });
    expect(failure.message).toContain(NAME);
  }
});

it('S5: killed at any operation, the old or the new one stands there, and the next leaves no temporary file', async () => {
  for (let n = 0; ; n++) {
    const dir = tempFolder();
    await open(dir).write({ start: 10, end: 19 }, SUM);
    const { files, state } = dyingAfter(n);
    await open(dir, files)
      .write({ start: 20, end: 29 }, SUM)
      .catch(() => undefined);
    expect([19, 29]).toContain((await open(dir).read()).facts?.range.end);
    await open(dir).write({ start: 20, end: 29 }, SUM);
    expect(readdirSync(dir)).toEqual([NAME]);
    if (!state.died) break;
  }
});
