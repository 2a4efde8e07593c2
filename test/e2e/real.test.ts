/**
 * Real ledgers, row by row (S1), the same bytes whatever the number of workers (S2), lakes cut in every way, and ledgers
 * of every version (S22). The large lake is read whole; the smaller ones are for variants.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { compress } from 'zstd-napi';
import { tempFolder } from '../support/bronze.ts';
import { type BronzeRow, grid, parquetHashes, readJson, rowsIn, sealedIn } from '../support/estate.ts';
import {
  type ExpectedRow,
  type Lake,
  type LakeOptions,
  makeLake,
  PASSPHRASES,
  PUBNET,
  SMALL,
  sampleEra,
  sampleLake,
  sampleScene,
} from '../support/lakes.ts';
import { Scene, type Settings, SIDE_BY_SIDE } from '../support/program.ts';
import { expectVerified } from '../support/settled.ts';
import { describeShared, SHARED } from '../support/shared.ts';

const era = (ledger_start: number, ledger_end: number, over: Settings = {}): Settings => ({
  era_id: 'e',
  version_label: 'v1',
  network: 'pubnet',
  ledger_start,
  ledger_end,
  partition_size: 100,
  ...over,
});

/** Every row equals the line that the tool expects; what DuckDB recomputes from the XDR agrees. */
function expectRows(rows: readonly BronzeRow[], expected: readonly ExpectedRow[], network = 'pubnet'): void {
  expect(rows.map((row) => row.ledger_sequence)).toEqual(expected.map((row) => row.ledger_sequence));
  for (const [i, line] of expected.entries()) {
    const row = rows[i] as BronzeRow;
    const { close_time, ...same } = line;
    expect(row).toMatchObject({
      ...same,
      close_time_ms: close_time * 1000,
      ingested_at_ms: close_time * 1000,
      recomputed_sha256: line.xdr_sha256,
      recomputed_length: line.xdr_byte_length,
      era_id: 'e',
      network,
      bronze_version: 'v1',
    });
  }
}

const START = 63_000_000;
const END = START + 599;

describeShared('S1, S2: 600 real ledgers of pubnet', () => {
  let lake: Lake;
  let scene: Scene;
  let hashes: Record<string, string>;

  beforeAll(async () => {
    lake = makeLake({ start: START, count: 600, templates: PUBNET });
    scene = new Scene(lake.path, era(START, END), SIDE_BY_SIDE);
    const outcome = await scene.run();
    expect(outcome.code, outcome.stderr).toBe(0);
    hashes = parquetHashes(scene.bronze);
  });

  it('every row equals the expected line', async () => {
    expectRows(await rowsIn(scene.bronze), lake.expected);
  });

  it('verify says so, from the bytes up', async () => {
    const { code, stdout } = await scene.verify('--json');
    expect(code, stdout).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      ok: true,
      chains: [{ partitions: 6, read: 6, ledgers: 600, not_read: 0 }],
    });
  });

  it.each([1, 4])('%i workers give the same bytes', async (workers) => {
    const other = new Scene(lake.path, era(START, END), { perf: { workers, threads: workers } });
    expect((await other.run()).code).toBe(0);
    expect(parquetHashes(other.bronze)).toEqual(hashes);
  });

  it('partitions of 10,000: one of 600 ledgers, with the same rows', async () => {
    const other = new Scene(lake.path, era(START, END, { partition_size: 10_000 }));
    expect((await other.run()).code).toBe(0);
    expect(sealedIn(other.chain('pubnet', 'e'))).toEqual([`${START}-${END}`]);
    expectRows(await rowsIn(other.bronze), lake.expected);
  });
});

describeShared('S1, S2: small real ledgers in partitions of 7', () => {
  const MIXED = [...SMALL, 'pubnet/pubnet-16154623-v0.xdr', 'load/standalone-84-v2.xdr'];

  it('1, 2 and 4 workers, two runs, one chain of events or another: the same bytes and rows', async () => {
    const lake = makeLake({ start: 1000, count: 150, templates: MIXED });
    const all: Record<string, string>[] = [];
    for (const workers of [1, 2, 4, 4]) {
      const scene = new Scene(lake.path, era(1000, 1149, { partition_size: 7 }), { perf: { workers, threads: 2 } });
      expect((await scene.run()).code).toBe(0);
      expect(sealedIn(scene.chain('pubnet', 'e'))).toEqual(grid(1000, 1149, 7));
      all.push(parquetHashes(scene.bronze));
      if (all.length > 1) continue;
      expectRows(await rowsIn(scene.bronze), lake.expected);
      await expectVerified(scene);
    }
    expect(Object.keys(all[0] as object)).toHaveLength(grid(1000, 1149, 7).length);
    for (const hashes of all) expect(hashes).toEqual(all[0]);
  });
});

describeShared('S1: lakes cut in every way give the same rows', () => {
  const base: LakeOptions = { start: 2, count: 158, templates: SMALL };
  const cuts: Record<string, LakeOptions> = {
    'one ledger a file': {},
    '8 ledgers a file': { perFile: 8 },
    '64 ledgers a file, the first named 0-63 and holding 2 to 63': { perFile: 64 },
    '64 ledgers a file, two files a folder': { perFile: 64, perPartition: 2 },
    'the suffix zstd': { suffix: 'zstd' },
    'no .config.json': { config: false },
    'no .config.json, 8 ledgers a file, four files a folder': { config: false, perFile: 8, perPartition: 4 },
    'no .config.json, no folders, 64 a file, zstd': { config: false, perFile: 64, perPartition: 1, suffix: 'zstd' },
    'no partition folders': { perPartition: 1 },
    'folders of ten files': { perPartition: 10 },
  };
  let hashes: Record<string, string>;

  it.each(Object.keys(cuts))('%s', async (name) => {
    const lake = makeLake({ ...base, ...cuts[name] });
    const scene = new Scene(lake.path, era(2, 159));
    const outcome = await scene.run();
    expect(outcome.code, outcome.stderr).toBe(0);
    hashes ??= parquetHashes(scene.bronze);
    expect(parquetHashes(scene.bronze)).toEqual(hashes);
    if (name === 'one ledger a file') {
      expectRows(await rowsIn(scene.bronze), lake.expected);
      await expectVerified(scene);
    }
  });

  it('no .config.json, and the numbers written down', async () => {
    const lake = makeLake({ ...base, config: false, perFile: 8, perPartition: 4 });
    const numbers = { ledgers_per_file: 8, files_per_partition: 4 };
    const scene = new Scene(lake.path, era(2, 159), { source: numbers });
    expect((await scene.run()).code).toBe(0);
    expect(parquetHashes(scene.bronze)).toEqual(hashes);
    const wrong = new Scene(lake.path, era(2, 159), { source: { ...numbers, ledgers_per_file: 16 } });
    const outcome = await wrong.run();
    expect(outcome.summary?.eras[0]?.error).toMatchObject({ code: 'LAKE_CONFIG_INVALID' });
  });

  it.each(['bronze/', 'bronze', '/', 'deep/er/bronze'])(
    'storage.prefix %s, the lake with a slash at its end',
    async (prefix) => {
      const lake = makeLake(base);
      const scene = new Scene(`${lake.path}/`, era(2, 159), { storage: { prefix } });
      expect((await scene.run()).code).toBe(0);
      const below = join(scene.data, prefix);
      expect(parquetHashes(below)).toEqual(hashes);
      const event = readJson(below, 'pubnet/e/v1/_audit/0000000000.json');
      const written = prefix === '/' ? '' : `${prefix.replace(/\/$/, '')}/`;
      expect(event.tables.ledgers_lcm_raw.storage_path).toBe(
        `${written}pubnet/e/v1/ledgers_lcm_raw/range=2-99/part-2-99.parquet`,
      );
      await expectVerified(scene);
    },
  );
});

describe('S1: the sample lake cut in every way gives the same rows', () => {
  it('one, 8 and 64 ledgers a file; zstd; no .config.json; no folders', async () => {
    const hashes: Record<string, string>[] = [];
    for (const cut of [
      {},
      { ledgersPerFile: 8, filesPerPartition: 4 },
      { ledgersPerFile: 64, filesPerPartition: 1, suffix: 'zstd' as const },
      { config: false },
    ]) {
      const { path } = await sampleLake(cut);
      const scene = await sampleScene(sampleEra({ partition_size: 50 }), { source: { local_path: path } });
      expect((await scene.run()).code).toBe(0);
      hashes.push(parquetHashes(scene.bronze));
    }
    for (const other of hashes) expect(other).toEqual(hashes[0]);
  });
});

const index = readIndex();

function readIndex(): {
  streams: { file: string; firstSequence: number; lastSequence: number; counts: [number, number][] }[];
} {
  try {
    return readJson(SHARED, 'ledgers', 'INDEX.json');
  } catch {
    return { streams: [] };
  }
}

describeShared("S1, S22: streams of stellar-core's own tests", () => {
  const CAP_83 = 'streams/p28-cap83-empty-txset.xdr';

  it.each(index.streams.filter(({ file }) => file !== CAP_83).map((stream) => [stream.file, stream] as const))(
    '%s',
    async (stream, facts) => {
      const lake = makeLake({ stream, network: 'core' });
      const { firstSequence: first, lastSequence: last } = facts;
      const scene = new Scene(lake.path, era(first, last, { network: 'core' }), {
        source: { network_passphrase: PASSPHRASES.core },
      });
      const outcome = await scene.run();
      expect(outcome.code, outcome.stderr).toBe(0);
      const rows = await rowsIn(scene.bronze);
      expect(rows.map((row) => [row.tx_count, row.operation_count])).toEqual(facts.counts);
      expectRows(rows, lake.expected, 'core');
      await expectVerified(scene);
    },
  );

  it('the empty transaction set of protocol 28, whose hash in the header is all zeros', async () => {
    // The tool that makes lakes does not know such headers.
    const ledger = readFileSync(join(SHARED, 'ledgers', CAP_83)).subarray(4);
    const head = Buffer.alloc(12);
    for (const [i, word] of [5, 5, 1].entries()) head.writeUInt32BE(word, 4 * i);
    const lake = tempFolder();
    mkdirSync(join(lake, 'FFFFFFFF--0-63999'));
    writeFileSync(join(lake, 'FFFFFFFF--0-63999', 'FFFFFFFA--5.xdr.zst'), compress(Buffer.concat([head, ledger])));
    const scene = new Scene(lake, era(5, 5));
    const outcome = await scene.run();
    expect(outcome.code, outcome.stderr).toBe(0);
    expect(await rowsIn(scene.bronze)).toMatchObject([
      { ledger_sequence: 5, tx_set_hash: '0'.repeat(64), tx_count: 0, operation_count: 0, protocol_version: 28 },
    ]);
    await expectVerified(scene);
  });
});

describeShared('S22: fee-bump, failed, Soroban and empty ledgers in V0, V1 and V2', () => {
  it('every protocol of core, 0 to 29, in one lake: one definition of the counts', async () => {
    const core = (readJson(SHARED, 'ledgers', 'INDEX.json').ledgers as { file: string; protocolVersion: number }[])
      .filter(({ file }) => file.startsWith('core/'))
      .sort((a, b) => a.protocolVersion - b.protocolVersion || (a.file < b.file ? -1 : 1))
      .map(({ file }) => file);
    const others = [
      'pubnet/pubnet-6154623-v0.xdr',
      'pubnet/pubnet-36154623-v0.xdr',
      'load/standalone-84-v2.xdr',
      ...SMALL,
    ];
    const templates = [...core, ...others];
    const lake = makeLake({ start: 500, count: templates.length * 2, templates, perFile: 8 });
    const scene = new Scene(lake.path, era(500, 499 + templates.length * 2, { partition_size: 20 }));
    const outcome = await scene.run();
    expect(outcome.code, outcome.stderr).toBe(0);
    const rows = await rowsIn(scene.bronze);
    expectRows(rows, lake.expected);
    expect(new Set(rows.map((row) => row.protocol_version)).size).toBe(30);
    await expectVerified(scene);
  });
});
