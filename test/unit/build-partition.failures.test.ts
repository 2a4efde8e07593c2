/**
 * Scenario S4: whatever goes wrong at whatever ledger of a partition, there is no answer, nothing stays staged, and the
 * error says where.
 */
import { describe, expect, it } from 'vitest';
import { BuildMemory, buildPartition } from '../../actors/parquet/build-partition.ts';
import type { CheckSpec } from '../../actors/parquet/spec.ts';
import type { LakeObject } from '../../actors/ports/source.ts';
import { BronzeError, type Details, type ErrorCode } from '../../machines/errors.ts';
import { fill, makeLedger } from '../support/made-ledger.ts';
import {
  ALL_CHECKS,
  buildTask,
  layoutOf,
  MemoryLake,
  MemoryStaging,
  madeLedgers,
  pack,
} from '../support/small-lake.ts';

const RANGE = { start: 11, end: 40 };
const EVERY = Array.from({ length: 30 }, (_, i) => RANGE.start + i);
const LEDGERS = madeLedgers({ start: 2, end: 70 });
const memory = new BuildMemory();

interface Attempt {
  readonly ledgers?: ReadonlyMap<number, Buffer>;
  readonly perFile?: number;
  readonly onObject?: (object: LakeObject) => LakeObject | null;
  readonly signal?: AbortSignal;
  readonly cancelled?: () => boolean;
  readonly onWrite?: MemoryStaging['onWrite'];
  readonly checks?: CheckSpec;
}

/** The error of a build that must fail without leaving anything. */
async function failureOf(attempt: Attempt): Promise<BronzeError> {
  const lake = new MemoryLake(attempt.ledgers ?? LEDGERS, layoutOf(attempt.perFile ?? 1));
  if (attempt.onObject) lake.onObject = attempt.onObject;
  const writer = new MemoryStaging();
  if (attempt.onWrite) writer.onWrite = attempt.onWrite;
  const run = buildPartition(buildTask(RANGE, lake.layout, { checks: attempt.checks ?? ALL_CHECKS }), {
    source: lake,
    writer,
    signal: attempt.signal ?? new AbortController().signal,
    onProgress: () => {},
    memory,
    ...(attempt.cancelled ? { cancelled: attempt.cancelled } : {}),
  });
  const error: unknown = await run.then(
    () => new Error('there was an answer'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(BronzeError);
  expect(writer.state).toBe('aborted');
  return error as BronzeError;
}

const holds = ({ named }: LakeObject, ledger: number): boolean => named.start <= ledger && ledger <= named.end;

const expectError = (error: BronzeError, code: ErrorCode, details: Details): void => {
  expect({ code: error.code, ...error.details }).toMatchObject({ code, ...details, ...RANGE });
};

const replaced = (ledger: number, change: (bytes: Uint8Array) => Uint8Array) => (object: LakeObject) =>
  holds(object, ledger) ? { ...object, bytes: change(object.bytes) } : object;

const flipped = (bytes: Uint8Array, at: number): Buffer => {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] as number) ^ 1;
  return copy;
};

const withLedger = (sequence: number, ledger: Buffer): Map<number, Buffer> => new Map(LEDGERS).set(sequence, ledger);

describe.each([1, 8])('at every ledger of 30, %i in a file,', (perFile) => {
  it('an object that cannot be read', async () => {
    for (const ledger of EVERY) {
      const error = await failureOf({
        perFile,
        onObject: (object) => {
          if (!holds(object, ledger)) return object;
          throw new BronzeError('SOURCE_READ', 'connection reset', {
            details: { object: object.key },
            retryAfterMs: 7,
          });
        },
      });
      expectError(error, 'SOURCE_READ', { object: expect.stringContaining('.xdr.zst') as unknown as string });
      expect(error).toMatchObject({ retryable: true, retryAfterMs: 7 });
    }
  });

  it('an object that is not yielded', async () => {
    for (const ledger of EVERY) {
      const error = await failureOf({ perFile, onObject: (object) => (holds(object, ledger) ? null : object) });
      const first = Math.max(RANGE.start, Math.floor(ledger / perFile) * perFile);
      const isLast = Math.floor(ledger / perFile) === Math.floor(RANGE.end / perFile);
      expectError(error, isLast ? 'ROW_COUNT' : 'LEDGER_MISSING', { ledger: first });
    }
  });

  it('an object that is cut, empty, has bytes after it or one bit changed', async () => {
    for (const ledger of EVERY) {
      const place = { object: expect.stringContaining('.xdr.zst') as unknown as string };
      const first = Math.max(RANGE.start, Math.floor(ledger / perFile) * perFile);
      const corrupt = async (change: (bytes: Uint8Array) => Uint8Array): Promise<BronzeError> =>
        failureOf({ perFile, onObject: replaced(ledger, change) });
      const cut = await corrupt((bytes) => bytes.subarray(0, bytes.length >> 1));
      expectError(cut, 'OBJECT_CORRUPT', { ...place, ledger: first });
      expectError(await corrupt(() => Buffer.alloc(0)), 'OBJECT_EMPTY', { ...place, ledger: first });
      const trailing = await corrupt((bytes) => Buffer.concat([bytes, Buffer.alloc(16)]));
      expectError(trailing, 'OBJECT_CORRUPT', { ...place, ledger: first, check: 'zstd_trailing' });
      const error = await corrupt((bytes) => flipped(bytes, 20 + ((ledger * 7) % (bytes.length - 20))));
      expect(error.details).toMatchObject({ ...place, check: expect.any(String), ...RANGE });
      expect(error.details.ledger).toBeGreaterThanOrEqual(first);
    }
  });

  it('a ledger whose own bytes are wrong', async () => {
    for (const ledger of EVERY) {
      const good = LEDGERS.get(ledger) as Buffer;
      // Byte 60 lies in the header's previous hash, whatever the version.
      const error = await failureOf({ perFile, ledgers: withLedger(ledger, flipped(good, 60)) });
      expectError(error, 'LEDGER_HASH', { ledger, check: 'ledger_hash' });
      expect(error.details.object).toContain('.xdr.zst');
      const longer = await failureOf({ perFile, ledgers: withLedger(ledger, Buffer.concat([good, fill(0xab, 16)])) });
      expect(['XDR_INVALID', 'BATCH_INVALID']).toContain(longer.code);
      expect(longer.details.object).toContain('.xdr.zst');
    }
  });

  it('a ledger of another chain, or of another place', async () => {
    for (const ledger of EVERY) {
      const other = makeLedger({ version: 2, sequence: ledger, previousHash: fill(0x66) });
      const forked = await failureOf({ perFile, ledgers: withLedger(ledger, other) });
      // The link of the first ledger is the neighbours' affair: inside, the second shows it.
      const broken = ledger === RANGE.start ? ledger + 1 : ledger;
      expectError(forked, 'LINK_BROKEN', { ledger: broken, check: 'link' });
      expect(forked.details).toMatchObject({ expected: /^[0-9a-f]{64}$/, found: /^[0-9a-f]{64}$/ } as never);
      const wrong = await failureOf({ perFile, ledgers: withLedger(ledger, LEDGERS.get(ledger + 1) as Buffer) });
      expectError(wrong, 'LEDGER_SEQUENCE', { ledger, expected: String(ledger), found: String(ledger + 1) });
    }
  });

  it('the end of it all, asked for by signal or by flag', async () => {
    for (const ledger of EVERY) {
      const controller = new AbortController();
      const onObject = (object: LakeObject): LakeObject => {
        if (holds(object, ledger)) controller.abort();
        return object;
      };
      expectError(await failureOf({ perFile, onObject, signal: controller.signal }), 'CANCELLED', {});
    }
    // Asked once before all, before every ledger, before the file is closed, and before it is handed over.
    for (let asked = 0; asked < EVERY.length + 3; asked++) {
      let calls = 0;
      expectError(await failureOf({ perFile, cancelled: () => calls++ >= asked }), 'CANCELLED', {});
    }
  });
});

describe('a partition', () => {
  it('is not built of the wrong batches', async () => {
    const ledger = 20;
    const again = LEDGERS.get(ledger - 1) as Buffer;
    const batch = Buffer.alloc(12);
    batch.writeUInt32BE(ledger - 1, 0);
    batch.writeUInt32BE(ledger - 1, 4);
    batch.writeUInt32BE(1, 8);
    const other = pack(Buffer.concat([batch, again]));
    const outside = await failureOf({ onObject: replaced(ledger, () => other) });
    expect(outside).toMatchObject({ code: 'BATCH_INVALID', details: { ledger, found: '19-19' } });
    expect(outside.details.object).toContain('--20.xdr.zst');
    // The same object twice, under a name that covers it.
    const twice = await failureOf({
      onObject: (object) =>
        holds(object, ledger) ? { ...object, named: { start: 19, end: 20 }, bytes: other } : object,
    });
    expectError(twice, 'BATCH_INVALID', { ledger, found: '19', expected: '20' });
  });

  it('is not built of ledgers outside the protocol guard', async () => {
    const checks = { results: true, protocolMin: null, protocolMax: 27, networkPassphrase: null };
    expectError(await failureOf({ checks }), 'PROTOCOL_GUARD', { ledger: RANGE.start, check: 'protocol' });
  });

  it('is not staged where the store fails', async () => {
    const full = new BronzeError('STORE_FULL', 'no space left', { details: { object: '/tmp/x' } });
    const now = await failureOf({
      onWrite: () => {
        throw full;
      },
    });
    expectError(now, 'STORE_FULL', { object: '/tmp/x' });
    expectError(await failureOf({ onWrite: () => Promise.reject(full) }), 'STORE_FULL', { object: '/tmp/x' });
    expect(now.retryable).toBe(true);
  });

  it('shows a real error also where it was cancelled at that moment', async () => {
    const controller = new AbortController();
    const onObject = (object: LakeObject): LakeObject => {
      if (!holds(object, 25)) return object;
      controller.abort();
      throw new BronzeError('SOURCE_DENIED', 'no permission');
    };
    expectError(await failureOf({ onObject, signal: controller.signal }), 'SOURCE_DENIED', {});
    // A library that reports the abort itself is only cancelled.
    const aborting = new AbortController();
    const error = await failureOf({
      signal: aborting.signal,
      onObject: () => {
        aborting.abort();
        aborting.signal.throwIfAborted();
        return null;
      },
    });
    expectError(error, 'CANCELLED', {});
  });

  it('does not fail for a ledger beyond its end that hashes wrong: that is its own partition', async () => {
    const ledgers = withLedger(45, flipped(LEDGERS.get(45) as Buffer, 60));
    const lake = new MemoryLake(ledgers, layoutOf(8));
    const writer = new MemoryStaging();
    const signal = new AbortController().signal;
    const env = { source: lake, writer, signal, onProgress: () => {}, memory };
    const answer = await buildPartition(buildTask(RANGE, lake.layout), env);
    expect(answer.data.rowCount).toBe(30);
    // Bytes that are no XDR make the whole object invalid.
    const cut = withLedger(45, (LEDGERS.get(45) as Buffer).subarray(0, 100));
    expectError(await failureOf({ ledgers: cut, perFile: 8 }), 'XDR_INVALID', {});
  });
});
