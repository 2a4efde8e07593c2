import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { MerkleTree } from '../../actors/bronze/merkle.ts';
import { BuildMemory, buildPartition } from '../../actors/parquet/build-partition.ts';
import type { BuildAnswer, Progress } from '../../actors/parquet/spec.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import { hashOf } from '../support/made-ledger.ts';
import { queryWithDuckDb, type Row } from '../support/parquet-readers.ts';
import { buildTask, layoutOf, MemoryLake, MemoryStaging, madeLedgers } from '../support/small-lake.ts';

const LEDGERS = madeLedgers({ start: 2, end: 260 });
const memory = new BuildMemory();

interface Built {
  readonly answer: BuildAnswer;
  readonly bytes: Buffer;
  readonly progress: readonly Progress[];
}

async function build(range: LedgerRange, ledgersPerFile = 1, own = memory): Promise<Built> {
  const lake = new MemoryLake(LEDGERS, layoutOf(ledgersPerFile));
  const writer = new MemoryStaging();
  const progress: Progress[] = [];
  const answer = await buildPartition(buildTask(range, lake.layout), {
    source: lake,
    writer,
    signal: new AbortController().signal,
    onProgress: (p) => progress.push(p),
    memory: own,
  });
  expect(writer.state).toBe('finished');
  return { answer, bytes: writer.bytes, progress };
}

describe('the bytes of a partition', () => {
  it('do not depend on how the lake cuts its files', async () => {
    // 2..63 lie in a file named 0-63, and both ends of the range within files.
    for (const range of [
      { start: 2, end: 101 },
      { start: 70, end: 200 },
      { start: 63, end: 64 },
    ]) {
      const { bytes, answer } = await build(range, 1);
      for (const perFile of [8, 64]) {
        const other = await build(range, perFile);
        expect(other.bytes.equals(bytes)).toBe(true);
        expect(other.answer.ledgers).toEqual(answer.ledgers);
        expect(other.answer.rawBytes).toBe(answer.rawBytes);
      }
    }
  });

  it('are the same on every run, in fresh memory and in used memory', async () => {
    const range = { start: 10, end: 109 };
    const { bytes } = await build(range);
    expect((await build(range)).bytes.equals(bytes)).toBe(true);
    expect((await build(range, 8, new BuildMemory())).bytes.equals(bytes)).toBe(true);
  });

  it('say what is in the answer', async () => {
    const range = { start: 20, end: 59 };
    const { answer, bytes, progress } = await build(range, 8);
    const tree = new MerkleTree();
    let raw = 0;
    for (let s = range.start; s <= range.end; s++) {
      const xdr = LEDGERS.get(s) as Buffer;
      raw += xdr.length;
      tree.append(createHash('sha256').update(xdr).digest());
    }
    const hex = (sequence: number): string => hashOf(LEDGERS.get(sequence) as Buffer).toString('hex');
    expect(answer).toMatchObject({
      handle: 'memory:staged',
      data: {
        file: 'part-20-59.parquet',
        checksum: `sha256:${createHash('sha256').update(bytes).digest('hex')}`,
        rowCount: 40,
        byteSize: bytes.length,
      },
      ledgers: { firstHash: hex(20), lastHash: hex(59), previousHash: hex(19), contentRoot: tree.root() },
      checks: { ledger_hash: true, link: true, tx_set_hash: true, result_hash: true, xdr: true, protocol: false },
      rawBytes: raw,
    });
    expect(answer.sourceBytes).toBeGreaterThan(0);
    expect(progress.at(-1)).toEqual({ ledgers: 40, rawBytes: raw });
    // Reported by time, not by ledger.
    expect(progress.length).toBeLessThan(5);
  });
});

describe('partitions of another size', () => {
  it('hold the same rows', async () => {
    const rows = async (bytes: Buffer): Promise<Row[]> =>
      queryWithDuckDb(bytes, 'SELECT * REPLACE (hex(xdr_bytes) AS xdr_bytes) FROM FILE ORDER BY ledger_sequence');
    const whole = await build({ start: 2, end: 101 });
    const parts: Built[] = [];
    for (let start = 2; start <= 101; start += 7) parts.push(await build({ start, end: Math.min(start + 6, 101) }, 8));
    const joined = (await Promise.all(parts.map(({ bytes }) => rows(bytes)))).flat();
    expect(joined).toEqual(await rows(whole.bytes));
    expect(joined).toHaveLength(100);
    for (const [i, { answer }] of parts.entries()) {
      const before = parts[i - 1];
      if (before) expect(answer.ledgers.previousHash).toBe(before.answer.ledgers.lastHash);
    }
    expect(parts.at(-1)?.answer.ledgers.lastHash).toBe(whole.answer.ledgers.lastHash);
  });

  it('may be one ledger, also the last that there can be', async () => {
    const last = 4294967295;
    const ledgers = madeLedgers({ start: last - 2, end: last });
    for (const perFile of [1, 8]) {
      const lake = new MemoryLake(ledgers, layoutOf(perFile));
      const writer = new MemoryStaging();
      const signal = new AbortController().signal;
      const env = { source: lake, writer, signal, onProgress: () => {}, memory };
      const answer = await buildPartition(buildTask({ start: last, end: last }, lake.layout), env);
      expect(answer.data).toMatchObject({ rowCount: 1, file: `part-${last}-${last}.parquet` });
      expect(answer.ledgers.firstHash).toBe(answer.ledgers.lastHash);
    }
  });
});
