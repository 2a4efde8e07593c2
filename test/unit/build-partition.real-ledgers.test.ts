/** Real ledgers of every shape, re-numbered into lakes cut in different ways. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { BuildMemory, buildPartition } from '../../actors/parquet/build-partition.ts';
import type { BuildAnswer } from '../../actors/parquet/spec.ts';
import { openSource } from '../../actors/source/index.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import { queryWithDuckDb } from '../support/parquet-readers.ts';
import { describeShared, itShared, SHARED } from '../support/shared.ts';
import { buildTask, MemoryStaging } from '../support/small-lake.ts';

const TEMPLATES = [
  'pubnet-6154623-v0',
  'pubnet-26154623-v0',
  'pubnet-46154623-v0',
  'pubnet-53312000-v1',
  'pubnet-63092987-v2',
];
const START = 1200;
const COUNT = 100;

describeShared('real ledgers', () => {
  let folder = '';
  const memory = new BuildMemory();
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'real-'));
    const templates = TEMPLATES.map((name) => join(SHARED, 'ledgers/pubnet', `${name}.xdr`)).join(',');
    for (const perFile of [1, 8, 64]) {
      const place = ['--out', join(folder, String(perFile)), '--per-file', String(perFile)];
      const what = ['--templates', templates, '--start', String(START), '--count', String(COUNT)];
      const expected = ['--expect', join(folder, 'expected.jsonl')];
      execFileSync('node', [join(SHARED, 'tools/make-lake.mjs'), ...place, ...what, ...expected]);
    }
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  async function build(perFile: number, range: LedgerRange): Promise<{ answer: BuildAnswer; bytes: Buffer }> {
    const spec = { mode: 'local', path: join(folder, String(perFile)), configured: null } as const;
    const source = openSource(spec);
    const { signal } = new AbortController();
    const writer = new MemoryStaging();
    const task = buildTask(range, await source.open(signal));
    const answer = await buildPartition(task, { source, writer, signal, onProgress: () => {}, memory });
    return { answer, bytes: writer.bytes };
  }

  itShared('give the same bytes for 1, 8 and 64 ledgers in a file, cut into several row groups', async () => {
    const range = { start: START + 3, end: START + COUNT - 4 };
    const { bytes, answer } = await build(1, range);
    for (const perFile of [8, 64]) {
      const other = await build(perFile, range);
      expect(other.bytes.equals(bytes)).toBe(true);
      expect(other.answer.data).toEqual(answer.data);
      expect(other.answer.ledgers).toEqual(answer.ledgers);
    }
    const [groups] = await queryWithDuckDb(bytes, 'SELECT count(DISTINCT row_group_id) n FROM parquet_metadata(FILE)');
    expect(Number(groups?.n)).toBeGreaterThan(3);
  });

  itShared('become rows with what their headers say', async () => {
    const { bytes } = await build(8, { start: START, end: START + COUNT - 1 });
    const rows = await queryWithDuckDb(
      bytes,
      `SELECT ledger_sequence::INTEGER ledger_sequence, ledger_hash, previous_ledger_hash,
         (epoch_ms(close_time) // 1000)::INTEGER close_time, protocol_version, total_coins::VARCHAR total_coins,
         fee_pool::VARCHAR fee_pool, tx_set_hash, tx_count, operation_count, xdr_byte_length, xdr_sha256,
         lower(sha256(xdr_bytes)) = xdr_sha256 AND octet_length(xdr_bytes) = xdr_byte_length
           AND ingested_at = close_time AS proven
       FROM FILE`,
    );
    const lines = readFileSync(join(folder, 'expected.jsonl'), 'utf8').trim().split('\n');
    expect(rows).toEqual(lines.map((line) => ({ ...JSON.parse(line), proven: true })));
  });
});
