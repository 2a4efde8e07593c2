/** Reading back: what was built is proved, and every value that is not what the ledger's bytes say is found. */
import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { COLUMNS } from '../../actors/bronze/columns.ts';
import { buildPartition } from '../../actors/parquet/build-partition.ts';
import { readBack } from '../../actors/parquet/read-back.ts';
import type { BuildAnswer, CompressionSpec, ReadBackAnswer, ReadBackTask } from '../../actors/parquet/spec.ts';
import { makeSample } from '../../actors/sample/index.ts';
import { BronzeError } from '../../machines/errors.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import { objectStore } from '../support/object-store.ts';
import { type Rows, rewrite, rowsOf } from '../support/rewritten.ts';
import {
  ALL_CHECKS,
  buildTask,
  CHAIN,
  layoutOf,
  MemoryLake,
  MemoryStaging,
  madeLedgers,
} from '../support/small-lake.ts';

const never = new AbortController().signal;
const KEY = 'testnet/small/v1/ledgers_lcm_raw/range=2-40/part-2-40.parquet';
const RANGE = { start: 2, end: 40 };

const taskOf = (range: LedgerRange = RANGE): ReadBackTask => ({
  kind: 'readback',
  depth: 'rows',
  chain: CHAIN,
  range,
  store: { backend: 'local', root: '/nowhere', prefix: '' },
  key: KEY,
  columns: 2,
  checks: ALL_CHECKS,
});

const back = (bytes: Uint8Array | null, task = taskOf()): Promise<ReadBackAnswer> =>
  readBack(task, never, () => undefined, objectStore(bytes));

async function damageOf(bytes: Uint8Array | null, task = taskOf()): Promise<BronzeError> {
  const error = await back(bytes, task).then(
    () => new Error('it was accepted'),
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(BronzeError);
  expect(error).toMatchObject({ code: 'PARTITION_DAMAGED', retryable: false, details: { object: KEY } });
  return error as BronzeError;
}

async function build(
  ledgers: ReadonlyMap<number, Buffer>,
  range: LedgerRange,
  compression: CompressionSpec = { codec: 'zstd', level: 3 },
): Promise<{ answer: BuildAnswer; bytes: Buffer }> {
  const lake = new MemoryLake(ledgers, layoutOf(1));
  const writer = new MemoryStaging();
  const answer = await buildPartition(buildTask(range, lake.layout, { compression }), {
    source: lake,
    writer,
    signal: never,
    onProgress: () => undefined,
  });
  return { answer, bytes: writer.bytes };
}

const made = madeLedgers({ start: 2, end: 60 });
let whole: { answer: BuildAnswer; bytes: Buffer };
let rows: Rows;
beforeAll(async () => {
  whole = await build(made, RANGE);
  rows = await rowsOf(whole.bytes);
});

/** The rows with one of them changed. */
const withRow = (at: number, change: (row: Record<string, unknown>) => Record<string, unknown>): Rows =>
  rows.map((row, i) => (i === at ? { ...row, ...change(row) } : row));

describe('a partition that is whole', () => {
  it.each(['zstd', 'snappy', 'none'] as const)('is what was built, with %s', async (codec) => {
    const { answer, bytes } = await build(made, RANGE, { codec, level: 3 });
    const found = await back(bytes);
    const { data, ledgers, writer, checks } = answer;
    expect(found).toEqual({ data: { ...data, file: 'part-2-40.parquet' }, rows: { ledgers, writer, checks } });
  });

  it('is proved for the sample lake, across its boundary', async () => {
    const sample = new Map(makeSample().ledgers.map((bytes, i) => [i + 2, bytes]));
    const range = { start: 2, end: 127 };
    const { answer, bytes } = await build(sample, range);
    expect((await back(bytes, taskOf(range))).rows?.ledgers).toEqual(answer.ledgers);
  });

  it('is proved whoever wrote it: other row groups, codecs, encodings', async () => {
    for (const options of [
      {},
      { codec: 'SNAPPY' },
      { codec: 'UNCOMPRESSED', rowGroupSize: 1 },
      { rowGroupSize: 7, encoding: 'PLAIN' },
      { encoding: 'RLE_DICTIONARY' },
      { encoding: 'DELTA_LENGTH_BYTE_ARRAY' },
    ] as const) {
      const found = await back(rewrite(rows, options));
      expect([options, found.rows?.ledgers]).toEqual([options, whole.answer.ledgers]);
      expect(found.data.checksum).not.toBe(whole.answer.data.checksum);
      expect(found.rows?.writer).not.toHaveProperty('writer');
    }
  });

  it('is hashed alone at depth bytes, and not looked into', async () => {
    const task = { ...taskOf(), depth: 'bytes' } as const;
    expect(await back(whole.bytes, task)).toEqual({ data: { ...whole.answer.data }, rows: null });
    const text = Buffer.from('not Parquet');
    const checksum = `sha256:${createHash('sha256').update(text).digest('hex')}`;
    expect((await back(text, task)).data).toMatchObject({ checksum, byteSize: text.length });
  });
});

describe('a partition that is not what it should be', () => {
  it('is not there', async () => {
    expect((await damageOf(null)).details.check).toBe('object');
  });

  it('holds another range or chain', async () => {
    for (const [task, check] of [
      [taskOf({ start: 2, end: 41 }), 'row_count'],
      [taskOf({ start: 2, end: 39 }), 'row_count'],
      [taskOf({ start: 3, end: 41 }), 'sequence'],
      [{ ...taskOf(), chain: { ...CHAIN, network: 'pubnet' } }, 'network'],
      [{ ...taskOf(), chain: { ...CHAIN, eraId: 'smal1' } }, 'era_id'],
      [{ ...taskOf(), chain: { ...CHAIN, versionLabel: 'v10' } }, 'bronze_version'],
      [{ ...taskOf(), columns: 1 }, 'schema'],
    ] as [ReadBackTask, string][]) {
      const isSaid = !['row_count', 'schema'].includes(check);
      expect((await damageOf(whole.bytes, task)).details.check).toBe(isSaid ? 'footer_key' : check);
      // A file of another writer says nothing of it, and its rows do.
      expect((await damageOf(rewrite(rows), task)).details.check).toBe(check);
    }
    const guarded = { ...taskOf(), checks: { ...ALL_CHECKS, protocolMin: 1000 } };
    expect((await damageOf(whole.bytes, guarded)).details.check).toBe('protocol');
  });

  it.each(COLUMNS.map((c) => c.element.name))('has another %s in one row', async (name) => {
    const altered = withRow(17, (row) => {
      const value = row[name];
      if (typeof value === 'bigint') return { [name]: value + 1n };
      if (typeof value === 'number') return { [name]: value - 1 };
      if (value instanceof Date) return { [name]: new Date(value.getTime() + 1) };
      if (value instanceof Uint8Array) return { [name]: value.map((b, i) => (i === 200 ? b ^ 1 : b)) };
      return { [name]: String(value).replace(/.$/, (last) => (last === '0' ? '1' : '0')) };
    });
    const failure = await damageOf(rewrite(altered));
    expect(failure.details.ledger).toBe(19);
    if (name !== 'xdr_bytes') {
      expect(failure.details.check).toBe(name);
      expect(failure.details.expected).not.toBe(failure.details.found);
      expect(failure.message).toContain('ledger 19');
    }
  });

  it('has text of another length, in another case, or cut', async () => {
    const cases: ((text: string) => string)[] = [
      (t) => t.toUpperCase(),
      (t) => `${t} `,
      (t) => t.slice(1),
      () => '',
      (t) => t.repeat(1000),
    ];
    for (const change of cases) {
      const altered = withRow(3, (row) => ({ ledger_hash: change(String(row.ledger_hash)) }));
      expect((await damageOf(rewrite(altered))).details).toMatchObject({ ledger: 5, check: 'ledger_hash' });
    }
  });

  it('lacks a row, has one twice, or has two of them exchanged', async () => {
    expect((await damageOf(rewrite(rows.slice(0, -1)))).details.check).toBe('row_count');
    const [a, b] = rows.slice(4, 6) as [Rows[0], Rows[0]];
    const exchanged = [...rows.slice(0, 4), b, a, ...rows.slice(6)];
    expect((await damageOf(rewrite(exchanged))).details).toMatchObject({ ledger: 6, check: 'sequence' });
    const twice = [...rows.slice(0, 5), a, ...rows.slice(6)];
    expect((await damageOf(rewrite(twice))).details).toMatchObject({ ledger: 7, check: 'sequence' });
    expect((await damageOf(rewrite([...rows, rows[0] as Rows[0]]))).details.check).toBe('row_count');
  });

  it('goes on with a ledger of another chain', async () => {
    // The same sequences, linked among themselves, from another start.
    const other = await build(madeLedgers({ start: 20, end: 60 }), { start: 20, end: 40 });
    const joined = [...rows.slice(0, 18), ...(await rowsOf(other.bytes))];
    expect((await damageOf(rewrite(joined))).details).toMatchObject({ ledger: 20, check: 'link' });
  });

  it('has bytes after a ledger, or a ledger cut, with every column made to fit', async () => {
    for (const change of [
      (xdr: Uint8Array) => Buffer.concat([xdr, Buffer.alloc(16)]),
      (xdr: Uint8Array) => Buffer.from(xdr.subarray(0, -4)),
    ]) {
      const altered = withRow(9, (row) => {
        const bytes = change(row.xdr_bytes as Uint8Array);
        const hash = createHash('sha256').update(bytes).digest('hex');
        return { xdr_bytes: bytes, xdr_byte_length: bytes.length, xdr_sha256: hash };
      });
      expect((await damageOf(rewrite(altered))).details).toMatchObject({ ledger: 11, check: 'xdr' });
    }
  });

  it('has other columns: a type, a name, an order, optional ones', async () => {
    const schemas: Record<string, object>[] = [
      { ledger_sequence: { converted_type: 'UINT_64' } },
      { network: { name: 'net' } },
      { era_id: { repetition_type: 'OPTIONAL' } },
      { close_time: { logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: false, unit: 'MILLIS' } } },
      { tx_set_hash: { converted_type: undefined, logical_type: undefined } },
    ];
    for (const schema of schemas) {
      const renamed = rows.map((row) => ({ ...row, net: row.network }));
      expect((await damageOf(rewrite(renamed, { schema }))).details.check).toBe('schema');
    }
  });

  it('is compressed in a way that is not read', async () => {
    const failure = await damageOf(rewrite(rows, { codec: 'GZIP' }));
    expect(failure.message).toContain('codec GZIP');
  });
});

describe('parts', () => {
  it.each([
    ['many', () => 1_000],
    ['one, cut nowhere', () => whole.bytes.length],
    ['one', () => whole.bytes.length * 2],
  ])('%s, are told where they are asked for, and change nothing', async (_, bytesOf) => {
    const partBytes = bytesOf();
    const count = Math.ceil(whole.bytes.length / partBytes);
    const { parts, ...answer } = await back(whole.bytes, { ...taskOf(), partBytes });
    expect(answer).toEqual(await back(whole.bytes));
    expect(parts).toHaveLength(count);
    for (const [i, part] of (parts ?? []).entries()) {
      const bytes = whole.bytes.subarray(i * partBytes, (i + 1) * partBytes);
      expect(part).toEqual({ size: bytes.length, md5: createHash('md5').update(bytes).digest('hex') });
    }
  });
});

describe('the surroundings', () => {
  it('fail as they are: an error of the store is not damage', async () => {
    const error = new BronzeError('STORE_IO', 'the disk is gone');
    let reads = 0;
    const store = objectStore(whole.bytes, () => {
      reads += 1;
      if (reads === 5) throw error;
    });
    await expect(readBack(taskOf(), never, () => undefined, store)).rejects.toBe(error);
  });

  it('may stop it at any time', async () => {
    const already = readBack(taskOf(), AbortSignal.abort(), () => undefined, objectStore(whole.bytes));
    await expect(already).rejects.toMatchObject({ code: 'CANCELLED' });
    for (let at = 1; at < 40; at += 6) {
      const abort = new AbortController();
      let reads = 0;
      const store = objectStore(whole.bytes, () => {
        reads += 1;
        if (reads === at) abort.abort();
      });
      const stopped = readBack(taskOf(), abort.signal, () => undefined, store);
      if (at < 20) await expect(stopped).rejects.toMatchObject({ code: 'CANCELLED' });
      else await stopped.catch(() => undefined);
    }
  });
});
