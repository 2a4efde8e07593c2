/** The local lake: every way in which one may be cut, what is missing or strange in it, and how its head is found. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LakeLayout, LakeSource } from '../../actors/ports/source.ts';
import { makeSample, SAMPLE_PASSPHRASE, type SampleOptions, writeSampleLake } from '../../actors/sample/index.ts';
import { openSource } from '../../actors/source/index.ts';
import { objectKey } from '../../actors/source/keys.ts';
import { LocalLake } from '../../actors/source/local.ts';
import { sourceError } from '../../actors/source/local-read.ts';
import { SourceMeter } from '../../actors/source/meter.ts';
import { Arena, FrameDecompressor } from '../../actors/zstd.ts';
import { BronzeError } from '../../machines/errors.ts';
import type { LedgerRange } from '../../machines/protocol.ts';

const root = mkdtempSync(join(tmpdir(), 'source-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let made = 0;

const never = new AbortController().signal;
const spec = (path: string, configured: { ledgersPerFile: number; filesPerPartition: number } | null = null) =>
  ({ mode: 'local', path, configured }) as const;
/** A lake on a disk whose every read counts as slow: what it holds is read ahead, but for a few objects now and then. */
const onSlowDisk = (path: string) => new LocalLake(spec(path), new SourceMeter(), Number.NEGATIVE_INFINITY);
/** The two ways of reading. */
const disks = [
  ['quick', (path: string) => openSource(spec(path))],
  ['slow', onSlowDisk],
] as const;

async function sample(options: SampleOptions = {}): Promise<string> {
  made += 1;
  const path = join(root, `lake-${made}`);
  await writeSampleLake(path, options);
  return path;
}

function folder(files: Record<string, string | Uint8Array>): string {
  made += 1;
  const path = join(root, `folder-${made}`);
  mkdirSync(path);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), content);
  }
  return path;
}

interface ReadBack {
  readonly keys: string[];
  readonly named: LedgerRange[];
  readonly raw: Buffer[];
}

async function readAll(
  path: string,
  range: LedgerRange,
  layout?: LakeLayout,
  lake: LakeSource = openSource(spec(path)),
): Promise<ReadBack> {
  const frames = new FrameDecompressor();
  const read: ReadBack = { keys: [], named: [], raw: [] };
  for await (const batch of lake.read(layout ?? (await lake.open(never)), range, never)) {
    for (const { key, named, bytes } of batch) {
      const arena = new Arena();
      const { end } = frames.decompressInto(arena, bytes, key);
      read.keys.push(key);
      read.named.push(named);
      read.raw.push(arena.bytes.subarray(0, end));
    }
  }
  return read;
}

async function failureOf(promise: Promise<unknown>): Promise<BronzeError> {
  const error = await promise.then(
    () => null,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(BronzeError);
  return error as BronzeError;
}

describe('S1: lakes of every cut', () => {
  const ledgers = makeSample().ledgers;
  const cuts: [string, SampleOptions][] = [];
  for (const ledgersPerFile of [1, 8, 64]) {
    for (const filesPerPartition of [1, 10, 64_000]) {
      for (const suffix of ['zst', 'zstd'] as const) {
        for (const config of [true, false]) {
          const name = `${ledgersPerFile} a file, ${filesPerPartition} a partition, .${suffix}`;
          const options = { ledgersPerFile, filesPerPartition, suffix, config };
          cuts.push([`${name}, ${config ? 'with' : 'without'} .config.json`, options]);
        }
      }
    }
  }

  it.each(cuts)('%s', async (_name, options) => {
    const path = await sample(options);
    const lake = openSource(spec(`${path}/`));
    const layout = await lake.open(never);
    expect(layout).toMatchObject({
      ledgersPerFile: options.ledgersPerFile,
      filesPerPartition: options.filesPerPartition,
      networkPassphrase: options.config ? SAMPLE_PASSPHRASE : null,
      origin: options.config ? 'lake' : 'listing',
    });
    const read = await readAll(path, { start: 2, end: 127 }, layout);
    const bodies = Buffer.concat(read.raw.map((raw) => raw.subarray(12)));
    expect(bodies.equals(Buffer.concat(ledgers))).toBe(true);
    expect(read.raw[0]?.readUInt32BE(0)).toBe(2);
    expect(read.named[0]).toEqual({ start: options.ledgersPerFile === 1 ? 2 : 0, end: read.raw[0]?.readUInt32BE(4) });
    expect(await lake.head(layout, 2, never)).toEqual({ head: 127, contiguousTo: 127, holeAt: null });
    rmSync(path, { recursive: true });
  });

  it('reads with the configured numbers where the lake does not say any, and says so where they do not fit', async () => {
    const path = await sample({ ledgersPerFile: 8, filesPerPartition: 10, config: false });
    const numbers = { ledgersPerFile: 8, filesPerPartition: 10 };
    expect(await openSource(spec(path, numbers)).open(never)).toMatchObject({ ...numbers, origin: 'configuration' });
    const other = openSource(spec(path, { ledgersPerFile: 1, filesPerPartition: 64_000 }));
    expect((await failureOf(other.open(never))).message).toMatch(/does not fit the configured numbers/);
    const said = await sample();
    expect(await openSource(spec(said, numbers)).open(never)).toMatchObject({ ledgersPerFile: 1, origin: 'lake' });
  });

  it('reads only the files of a range', async () => {
    const path = await sample({ ledgersPerFile: 8, filesPerPartition: 4 });
    const read = await readAll(path, { start: 31, end: 33 });
    expect(read.named).toEqual([
      { start: 24, end: 31 },
      { start: 32, end: 39 },
    ]);
  });
});

describe('.config.json', () => {
  const good = {
    networkPassphrase: 'x',
    version: '1.0',
    compression: 'zstd',
    ledgersPerBatch: 1,
    batchesPerPartition: 2,
  };
  const bad: [string, string, string | undefined][] = [
    ['no JSON', '{', undefined],
    ['not an object', '[]', undefined],
    ['not UTF-8', '\xff', undefined],
    ['huge', ' '.repeat(70_000), undefined],
    ['another compression', JSON.stringify({ ...good, compression: 'gzip' }), 'compression'],
    ['no passphrase', JSON.stringify({ ...good, networkPassphrase: 7 }), 'networkPassphrase'],
    ['zero', JSON.stringify({ ...good, ledgersPerBatch: 0 }), 'ledgersPerBatch'],
    ['negative', JSON.stringify({ ...good, ledgersPerBatch: -64 }), 'ledgersPerBatch'],
    ['a fraction', JSON.stringify({ ...good, batchesPerPartition: 1.5 }), 'batchesPerPartition'],
    ['a text', JSON.stringify({ ...good, batchesPerPartition: '64000' }), 'batchesPerPartition'],
    ['missing', JSON.stringify({ ...good, batchesPerPartition: undefined }), 'batchesPerPartition'],
    ['beyond uint32', JSON.stringify({ ...good, ledgersPerBatch: 1e300 }), 'ledgersPerBatch'],
    [
      'a product beyond',
      JSON.stringify({ ...good, ledgersPerBatch: 1e9, batchesPerPartition: 1e9 }),
      'batchesPerPartition',
    ],
  ];
  it.each(bad)('%s is refused', async (name, text, field) => {
    const path = folder({ '.config.json': name === 'not UTF-8' ? Uint8Array.of(0x22, 0xff, 0x22) : text });
    const failure = await failureOf(openSource(spec(path)).open(never));
    expect([failure.code, failure.details.check]).toEqual(['LAKE_CONFIG_INVALID', field]);
    expect(failure.message).toContain(join(path, '.config.json'));
  });

  it('may have fields that are not known', async () => {
    const path = folder({ '.config.json': JSON.stringify({ ...good, codec: 'later', ledgersPerBatch: 64 }) });
    expect(await openSource(spec(path)).open(never)).toMatchObject({ ledgersPerFile: 64, filesPerPartition: 2 });
  });

  it('may not be a folder', async () => {
    expect((await failureOf(openSource(spec(folder({ '.config.json/x': '' }))).open(never))).code).toBe('SOURCE_READ');
  });
});

describe('what is not a lake', () => {
  const open = (path: string) => failureOf(openSource(spec(path)).open(never));

  it('is LAKE_NOT_FOUND: absent, empty, foreign, a file', async () => {
    const file = join(folder({ 'a.txt': 'a' }), 'a.txt');
    const places = [join(root, 'nowhere'), folder({}), folder({ 'photo.jpg': '', 'docs/a.txt': '' }), file];
    for (const path of places) expect([path, (await open(path)).code]).toEqual([path, 'LAKE_NOT_FOUND']);
    const configured = openSource(spec(folder({ 'photo.jpg': '' }), { ledgersPerFile: 1, filesPerPartition: 64_000 }));
    expect((await failureOf(configured.open(never))).code).toBe('LAKE_NOT_FOUND');
  });

  it('asks for the numbers where names disagree', async () => {
    const mixed: Record<string, string>[] = [
      { 'FFFFFFFF--0-63999/FFFFFFFD--2.xdr.zst': '', 'FFFFFFFD--2.xdr.zst': '' },
      { 'FFFFFFFF--0-7.xdr.zst': '', 'FFFFFFFF--0-63.xdr.zst': '' },
      { 'FFFFFFFF--0-9/FFFFFFFD--2.xdr.zst': '', 'FFFFFFEB--20-39/FFFFFFEB--20.xdr.zst': '' },
      { 'FFFFFFFF--0-9/FFFFFFFF--0-7.xdr.zst': '' },
      { 'FFFFFFFF--0-9/.keep': '' },
    ];
    for (const files of mixed) {
      const failure = await open(folder(files));
      expect([failure.code, failure.details.hint]).toEqual([
        'LAKE_CONFIG_INVALID',
        'set source.ledgers_per_file and source.files_per_partition',
      ]);
    }
  });
});

describe('reading', () => {
  let path: string;
  let names: (seq: number) => string;
  beforeAll(async () => {
    path = await sample();
    const layout = await openSource(spec(path)).open(never);
    names = (seq) => join(path, objectKey(layout, seq, 'zst'));
  });

  it.each(disks)('S3: names the first ledger that is missing, after what comes before it; %s', async (_disk, open) => {
    for (const missing of [2, 3, 64, 126, 127]) {
      renameSync(names(missing), `${names(missing)}.away`);
      const lake = open(path);
      const layout = await lake.open(never);
      let seen = 1;
      const failure = await failureOf(
        (async () => {
          for await (const batch of lake.read(layout, { start: 2, end: 127 }, never)) seen += batch.length;
        })(),
      );
      expect([failure.code, failure.details.ledger, seen]).toEqual(['LEDGER_MISSING', missing, missing - 1]);
      expect(failure.details.object).toContain(`--${missing}.xdr.zst`);
      renameSync(`${names(missing)}.away`, names(missing));
    }
    const long = await sample({ ledgersPerFile: 64 });
    expect((await failureOf(readAll(long, { start: 150, end: 160 }))).details.ledger).toBe(150);
  });

  it.each(disks)('takes either suffix, also mixed; %s', async (_disk, open) => {
    for (let seq = 40; seq < 90; seq += 3) renameSync(names(seq), `${names(seq)}d`);
    const read = await readAll(path, { start: 2, end: 127 }, undefined, open(path));
    expect(read.keys.filter((key) => key.endsWith('.zstd'))).toHaveLength(17);
    expect(read.raw.map((raw) => raw.readUInt32BE(0))).toEqual(Array.from({ length: 126 }, (_, i) => i + 2));
    for (let seq = 40; seq < 90; seq += 3) renameSync(`${names(seq)}d`, names(seq));
  });

  it('gives every strange thing in place of an object a code', async () => {
    const strange: [string, (file: string) => void, string, boolean][] = [
      ['a folder', (file) => mkdirSync(file), 'SOURCE_READ', false],
      ['a loop of links', (file) => symlinkSync(file, file), 'SOURCE_READ', false],
      ['a link to nowhere', (file) => symlinkSync(join(root, 'nowhere'), file), 'LEDGER_MISSING', false],
      ['an empty file', (file) => writeFileSync(file, ''), 'OBJECT_EMPTY', false],
      [
        'half a file',
        (file) => writeFileSync(file, makeSample().files.values().next().value?.subarray(0, 90) ?? ''),
        'OBJECT_CORRUPT',
        false,
      ],
      ['a named pipe', (file) => execFileSync('mkfifo', [file]), 'OBJECT_EMPTY', false],
      ['the memory device', (file) => symlinkSync('/dev/zero', file), 'OBJECT_EMPTY', false],
    ];
    for (const [disk, open] of disks) {
      for (const large of [false, true]) {
        const lakePath = await sample();
        const layout = await openSource(spec(lakePath)).open(never);
        const file = join(lakePath, objectKey(layout, 9, 'zst'));
        // One before it that is larger than a batch.
        if (large) writeFileSync(join(lakePath, objectKey(layout, 8, 'zst')), bigFrame());
        for (const [name, put, code, retryable] of strange) {
          rmSync(file, { force: true });
          put(file);
          const failure = await failureOf(readAll(lakePath, { start: 4, end: 20 }, undefined, open(lakePath)));
          expect([name, disk, large, failure.code, failure.retryable]).toEqual([name, disk, large, code, retryable]);
          rmSync(file, { recursive: true });
        }
      }
    }
  });

  it('says who refused', async () => {
    const told = (code: string) => sourceError(Object.assign(new Error('as the kernel says'), { code }), 'a/b.xdr.zst');
    expect(told('EACCES')).toMatchObject({
      code: 'SOURCE_DENIED',
      retryable: false,
      details: { object: 'a/b.xdr.zst' },
    });
    expect(told('EPERM').code).toBe('SOURCE_DENIED');
    expect(told('EIO')).toMatchObject({ code: 'SOURCE_READ', retryable: true });
    // Permission bits do not stop root.
    if (process.getuid?.() === 0) return;
    chmodSync(names(9), 0);
    expect((await failureOf(readAll(path, { start: 2, end: 20 }))).code).toBe('SOURCE_DENIED');
    chmodSync(names(9), 0o644);
  });

  it.each(disks)('stops when it is cancelled, small objects and large ones; %s', async (_disk, open) => {
    for (const large of [false, true]) {
      const lakePath = await sample();
      const lake = open(lakePath);
      const layout = await lake.open(never);
      if (large) {
        for (let seq = 2; seq < 60; seq += 1) writeFileSync(join(lakePath, objectKey(layout, seq, 'zst')), bigFrame());
      }
      const abort = new AbortController();
      let seen = 0;
      const failure = await failureOf(
        (async () => {
          for await (const batch of lake.read(layout, { start: 2, end: 59 }, abort.signal)) {
            seen += batch.length;
            abort.abort();
          }
          if (!large) for await (const _ of lake.read(layout, { start: 2, end: 59 }, abort.signal)) seen += 1;
        })(),
      );
      expect(failure.code).toBe('CANCELLED');
      expect(seen).toBeLessThan(59);
    }
  });

  it.each(disks)('gives objects of any size in order, and leaves nothing open; %s', async (_disk, open) => {
    const lakePath = await sample();
    const lake = open(lakePath);
    const layout = await lake.open(never);
    const sizes = new Map<number, number>();
    for (let seq = 2; seq <= 127; seq += 1) {
      if (seq < 20 || (seq > 60 && seq < 90)) {
        sizes.set(seq, 100_000 + seq * 1000);
        writeFileSync(join(lakePath, objectKey(layout, seq, 'zst')), Buffer.alloc(100_000 + seq * 1000, seq));
      }
    }
    writeFileSync(join(lakePath, objectKey(layout, 70, 'zst')), Buffer.alloc(20_000_000, 70));
    sizes.set(70, 20_000_000);
    let next = 2;
    for await (const batch of lake.read(layout, { start: 2, end: 127 }, never)) {
      for (const { key, bytes } of batch) {
        expect(key).toBe(objectKey(layout, next, 'zst'));
        const size = sizes.get(next);
        if (size !== undefined) {
          expect(bytes.length).toBe(size);
          expect(bytes.every((b) => b === next)).toBe(true);
        }
        next += 1;
      }
    }
    expect(next).toBe(128);
    // Given up in the middle: nothing is left open.
    for await (const _ of lake.read(layout, { start: 2, end: 127 }, never)) break;
    const before = readdirSync('/proc/self/fd').length;
    for (let i = 0; i < 20; i += 1) for await (const _ of lake.read(layout, { start: 61, end: 127 }, never)) break;
    expect(readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before + 2);
  });

  it('S24: reads the last ledgers there can be', async () => {
    const [first] = makeSample().files.values();
    for (const [per, files] of [
      [1, 1],
      [1, 64_000],
      [64, 1],
    ] as const) {
      const layout = { ledgersPerFile: per, filesPerPartition: files };
      const keys = new Set([4294967294, 4294967295].map((seq) => objectKey(layout, seq, 'zst')));
      const lakePath = folder(Object.fromEntries([...keys].map((key) => [key, first as Buffer])));
      const lake = openSource(spec(lakePath));
      const found = await lake.open(never);
      expect(found).toMatchObject(layout);
      const read = await readAll(lakePath, { start: 4294967295, end: 4294967295 });
      expect(read.named).toEqual([{ start: per === 1 ? 4294967295 : 4294967232, end: 4294967295 }]);
      const head = { head: 4294967295, contiguousTo: 4294967295, holeAt: null };
      expect(await lake.head(found, 4294967294, never)).toEqual(head);
    }
  });
});

describe('the head', () => {
  async function lakeOf(present: readonly number[], per = 1, files = 10): Promise<[string, LakeLayout]> {
    const layout: LakeLayout = {
      ledgersPerFile: per,
      filesPerPartition: files,
      networkPassphrase: null,
      origin: 'configuration',
      suffix: 'zst',
    };
    return [folder(Object.fromEntries(present.map((seq) => [objectKey(layout, seq, 'zst'), 'x']))), layout];
  }
  const span = (a: number, b: number) => Array.from({ length: b - a + 1 }, (_, i) => a + i);

  it('is the newest object, and the run ends before the first hole', async () => {
    const present = [...span(2, 34), ...span(36, 47), 60];
    for (const files of [1, 10]) {
      const [path, layout] = await lakeOf(present, 1, files);
      const at = (from: number) => openSource(spec(path)).head(layout, from, never);
      expect(await at(2)).toEqual({ head: 60, contiguousTo: 34, holeAt: 35 });
      expect(await at(0)).toEqual({ head: 60, contiguousTo: 34, holeAt: 35 });
      expect(await at(35)).toEqual({ head: 60, contiguousTo: 34, holeAt: 35 });
      expect(await at(36)).toEqual({ head: 60, contiguousTo: 47, holeAt: 48 });
      expect(await at(60)).toEqual({ head: 60, contiguousTo: 60, holeAt: null });
      expect(await at(61)).toEqual({ head: 60, contiguousTo: 60, holeAt: null });
      expect(await at(900)).toEqual({ head: 60, contiguousTo: 899, holeAt: null });
    }
  });

  it('is null in an empty lake, and skips folders without objects', async () => {
    const [empty, layout] = await lakeOf([]);
    expect(await openSource(spec(empty)).head(layout, 2, never)).toEqual({ head: null, contiguousTo: 1, holeAt: null });
    const [path] = await lakeOf([...span(2, 19)]);
    mkdirSync(join(path, 'FFFFFFEB--20-29'));
    writeFileSync(join(path, 'FFFFFFEB--20-29', 'FFFFFFEB--20.xdr.zst.tmp'), '');
    expect(await openSource(spec(path)).head(layout, 2, never)).toEqual({ head: 19, contiguousTo: 19, holeAt: null });
  });

  it('counts whole files of several ledgers', async () => {
    const [path, layout] = await lakeOf([0, 8, 16, 32], 8, 2);
    expect(await openSource(spec(path)).head(layout, 2, never)).toEqual({ head: 39, contiguousTo: 23, holeAt: 24 });
    expect(await openSource(spec(path)).head(layout, 13, never)).toEqual({ head: 39, contiguousTo: 23, holeAt: 24 });
  });

  it('S20: a hole that fills later is followed by the same source, also one in a folder seen before', async () => {
    const [path, layout] = await lakeOf([...span(2, 30), ...span(32, 45)]);
    const lake = openSource(spec(path));
    expect(await lake.head(layout, 2, never)).toEqual({ head: 45, contiguousTo: 30, holeAt: 31 });
    expect(await lake.head(layout, 21, never)).toEqual({ head: 45, contiguousTo: 30, holeAt: 31 });
    writeFileSync(join(path, objectKey(layout, 31, 'zst')), 'x');
    expect(await lake.head(layout, 21, never)).toEqual({ head: 45, contiguousTo: 45, holeAt: null });
    writeFileSync(join(path, objectKey(layout, 46, 'zst')), 'x');
    expect(await lake.head(layout, 41, never)).toEqual({ head: 46, contiguousTo: 46, holeAt: null });
  });

  it('stops when it is cancelled', async () => {
    const [path, layout] = await lakeOf(span(2, 30));
    const failure = await failureOf(openSource(spec(path)).head(layout, 2, AbortSignal.abort()));
    expect(failure.code).toBe('CANCELLED');
  });
});

/** A valid frame of more than 64 KB. */
function bigFrame(): Buffer {
  // A raw block per 128 KB: header of a frame without checksum and with a window of 1 MB, then one last raw block.
  const size = 100_000;
  const header = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x50]);
  const block = Buffer.from([1 | ((size << 3) & 0xff), (size >> 5) & 0xff, (size >> 13) & 0xff]);
  return Buffer.concat([header, block, Buffer.alloc(size, 1)]);
}
