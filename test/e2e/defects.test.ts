/**
 * Defects of lakes (S3, S4, S16): what is wrong is never published, what lies before it is, the message names ledger,
 * object and check; other eras of the same run finish (S27). Mended, the same command completes.
 */
import { rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { attestedIn, grid, parquetHashes, partitionsOf, sealedIn } from '../support/estate.ts';
import {
  copyOf,
  DEFECTS,
  type Defect,
  makeLake,
  objectOf,
  rewrite,
  SMALL,
  sampleEra,
  sampleLake,
  sampleScene,
  takeAway,
  takeOver,
} from '../support/lakes.ts';
import { type Outcome, Scene } from '../support/program.ts';
import { expectVerified } from '../support/settled.ts';
import { describeShared } from '../support/shared.ts';

/** What the message says of each defect. A flipped bit in an empty transaction set is no transaction set any more. */
const CODES: Readonly<Record<Defect, string>> = {
  missing: 'LEDGER_MISSING',
  flip: 'TX_SET_HASH',
  fork: 'LINK_BROKEN',
  trailing: 'BATCH_INVALID',
  truncate: 'OBJECT_CORRUPT',
  empty: 'OBJECT_EMPTY',
  'wrong-seq': 'LEDGER_SEQUENCE',
};

const codeOf = ({ defect, at, start }: Case): string =>
  defect === 'flip' && SMALL[(at - start) % SMALL.length]?.includes('36233') ? 'XDR_INVALID' : CODES[defect];

interface Case {
  readonly name: string;
  readonly eraId: string;
  readonly defect: Defect;
  /** Ledger with the defect. */
  readonly at: number;
  readonly start: number;
  readonly end: number;
  /** First ledger of the partition with the defect. */
  readonly broken: number;
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** Every case is an era of its own, far enough from the others not to adjoin them. */
const PLACES = [
  { where: 'at the head of a partition', offset: 20 },
  { where: 'inside a partition', offset: 25 },
  { where: 'at the tail of a partition', offset: 29 },
  { where: 'at the first ledger of the era', offset: 3 },
  { where: 'at the last ledger of the era', offset: 36 },
];

const CASES: Case[] = DEFECTS.flatMap((defect, d) =>
  PLACES.flatMap(({ where, offset }, p) => {
    // The edges of an era are edges of partitions as well: two kinds of defects are enough there.
    if ((offset === 3 || offset === 36) && defect !== 'missing' && defect !== 'truncate') return [];
    const base = 1000 * (1 + d * PLACES.length + p);
    return {
      name: `${defect} ${where}`,
      eraId: `${defect}-${offset}`,
      defect,
      at: base + offset,
      start: base + 3,
      end: base + 36,
      broken: Math.max(base + Math.floor(offset / 10) * 10, base + 3),
    };
  }),
);

const eraOf = ({ eraId, start, end }: Pick<Case, 'eraId' | 'start' | 'end'>) => ({
  era_id: eraId,
  version_label: 'v1',
  network: 'pubnet',
  ledger_start: start,
  ledger_end: end,
  partition_size: 10,
});

const SOUND: Case = { ...(CASES[0] as Case), name: 'nothing', eraId: 'sound', start: 503, end: 536 };

describeShared('S3, S4, S16, S27: defective lakes', () => {
  let scene: Scene;
  let first: Outcome;
  let mended: Outcome;
  /** What was there after the first run. */
  const seen = new Map<string, { partitions: ReturnType<typeof partitionsOf>; attested: string[] }>();
  const chainOf = ({ eraId }: Pick<Case, 'eraId'>): string => scene.chain('pubnet', eraId);

  beforeAll(async () => {
    const lake = copyOf(makeLake({ templates: SMALL, start: SOUND.start, count: 34 }).path);
    const options = ({ start, end }: Case) => ({ templates: SMALL, start, count: end - start + 1 });
    for (const one of CASES) {
      const broken = makeLake({ ...options(one), defects: { [one.defect]: [one.at] } });
      const there = range(one.start, one.end).filter((ledger) => one.defect !== 'missing' || ledger !== one.at);
      takeOver(broken.path, lake, there);
    }
    scene = new Scene(lake, [SOUND, ...CASES].map(eraOf), { perf: { workers: 2 } });
    first = await scene.run();
    for (const one of CASES) {
      seen.set(one.eraId, { partitions: partitionsOf(chainOf(one)), attested: attestedIn(chainOf(one)) });
    }
    for (const one of CASES) takeOver(makeLake(options(one)).path, lake, range(one.start, one.end));
    // A fork is mended by the ledgers of the other branch from there on; those before it are the same in both.
    mended = await scene.run();
  });

  it('exits 1, names every era that failed, and the sound era finishes', () => {
    expect(first.code).toBe(1);
    expect(first.summary?.status).toBe('failed');
    const status = Object.fromEntries(first.summary?.eras.map((era) => [era.era_id, era.status]) ?? []);
    expect(status).toEqual(
      Object.fromEntries([SOUND, ...CASES].map((one) => [one.eraId, one === SOUND ? 'done' : 'failed'])),
    );
    expect(sealedIn(chainOf(SOUND))).toEqual(grid(SOUND.start, SOUND.end, 10));
  });

  it.each(CASES)('$name: nothing of that partition is published, all before it is', (one) => {
    const before = one.broken === one.start ? [] : grid(one.start, one.broken - 1, 10);
    const { partitions, attested } = seen.get(one.eraId) as NonNullable<ReturnType<typeof seen.get>>;
    expect(partitions).toEqual(before.map((label) => ({ label, state: 'sealed' })));
    expect(attested).toEqual(before);
    expect(first.summary?.eras.find((era) => era.era_id === one.eraId)?.next_ledger).toBe(one.broken);
  });

  it.each(CASES)('$name: the message names ledger, object and check', (one) => {
    const era = first.summary?.eras.find(({ era_id }) => era_id === one.eraId);
    expect(era?.error).toMatchObject({ code: codeOf(one), ledger: one.at });
    const object = String(era?.error?.object);
    expect(object).toContain(`--${one.at}.xdr`);
    expect(String(era?.error?.message)).toContain(String(one.at));
    if (['flip', 'fork', 'wrong-seq'].includes(one.defect)) expect(String(era?.error?.check)).toMatch(/\w/);
    const logged = first.logs.find((line) => line.level === 'error' && line.era_id === one.eraId);
    expect(logged).toMatchObject({ code: codeOf(one), ledger: one.at });
    expect(first.stderr).toContain(one.eraId);
  });

  it('mended, the same command completes', () => {
    expect(mended.code, mended.stderr).toBe(0);
    for (const one of [SOUND, ...CASES]) {
      expect(partitionsOf(chainOf(one))).toEqual(
        grid(one.start, one.end, 10).map((label) => ({ label, state: 'sealed' })),
      );
      expect(attestedIn(chainOf(one))).toEqual(grid(one.start, one.end, 10));
    }
  });

  it('mended, verify exits 0 for all of them', async () => {
    const { code, stdout } = await scene.verify('--json');
    expect(JSON.parse(stdout).findings).toEqual([]);
    expect(code).toBe(0);
  });
});

describeShared('S3, S16: defective lakes of eight ledgers a file', () => {
  it.each(DEFECTS.filter((defect) => defect !== 'fork'))('%s inside a file', async (defect) => {
    const cut = { templates: SMALL, start: 160, count: 48, perFile: 8, perPartition: 4 };
    const { path } = makeLake({ ...cut, defects: { [defect]: [189] } });
    const scene = new Scene(path, eraOf({ eraId: 'eight', start: 160, end: 207 }));
    const chain = scene.chain('pubnet', 'eight');
    const outcome = await scene.run();
    expect(outcome.code).toBe(1);
    expect(sealedIn(chain)).toEqual(grid(160, 179, 10));
    // A file that cannot be unpacked is named by its first ledger that was asked for.
    const ledger = Number(outcome.summary?.eras[0]?.error?.ledger);
    expect(ledger).toBeGreaterThanOrEqual(184);
    expect(ledger).toBeLessThanOrEqual(190);
    expect(String(outcome.summary?.eras[0]?.error?.object)).toContain('184-191.xdr');
    scene.change({ source: { local_path: makeLake(cut).path } });
    expect((await scene.run()).code).toBe(0);
    await expectVerified(scene);
  });
});

describeShared('S16: lakes that are not what they are said to be', () => {
  const era = eraOf({ eraId: 'e', start: 3, end: 62 });

  it("another network's lake is refused before anything is written", async () => {
    const { path } = makeLake({ start: 3, count: 60, network: 'testnet' });
    const scene = new Scene(path, era);
    const outcome = await scene.run();
    expect(outcome.code).toBe(1);
    expect(outcome.summary?.eras[0]?.error).toMatchObject({
      code: 'LAKE_WRONG_NETWORK',
      expected: 'Public Global Stellar Network ; September 2015',
      found: 'Test SDF Network ; September 2015',
    });
    expect(partitionsOf(scene.chain('pubnet', 'e'))).toEqual([]);
  });

  it('a lake that forks from what was copied is refused at the last ledger that both have', async () => {
    const good = makeLake({ start: 3, count: 60 });
    const forked = makeLake({ start: 3, count: 60, defects: { fork: [25] } });
    const scene = new Scene(good.path, era);
    const chain = scene.chain('pubnet', 'e');
    expect((await scene.run({ args: ['--to', '39'] })).code).toBe(0);
    const before = parquetHashes(chain);
    const outcome = await scene.run({ settings: { source: { local_path: forked.path } } });
    expect(outcome.code).toBe(1);
    expect(outcome.summary?.eras[0]?.error).toMatchObject({
      code: 'LAKE_CONTRADICTS',
      ledger: 39,
      check: 'ledger_hash',
    });
    expect(parquetHashes(chain)).toEqual(before);
    expect(attestedIn(chain)).toEqual(grid(3, 39, 10));
    expect((await scene.run()).code).toBe(0);
    await expectVerified(scene);
  });

  it('a lake without network in a configuration without passphrase is copied, and the log says what was not compared', async () => {
    const { path } = makeLake({ start: 3, count: 60, config: false });
    const scene = new Scene(path, era);
    const outcome = await scene.run();
    expect(outcome.code).toBe(0);
    expect(outcome.logs.filter((line) => line.level === 'warn').map((line) => line.msg)).toEqual([
      'the lake has no .config.json: its network was not compared',
    ]);
  });
});

describe('S3, S4, S16 on the sample lake', () => {
  const damage: Record<string, { code: string; make: (lake: string) => void }> = {
    missing: { code: 'LEDGER_MISSING', make: (lake) => takeAway(lake, 25) },
    empty: { code: 'OBJECT_EMPTY', make: (lake) => truncateSync(join(lake, objectOf(lake, 25)), 0) },
    cut: { code: 'OBJECT_CORRUPT', make: (lake) => truncateSync(join(lake, objectOf(lake, 25)), 120) },
    'followed by 16 bytes': {
      code: 'BATCH_INVALID',
      make: (lake) => rewrite(lake, 25, (bytes) => Buffer.concat([bytes, Buffer.alloc(16, 7)])),
    },
    'flipped in its header': {
      code: 'LEDGER_HASH',
      make: (lake) =>
        rewrite(lake, 25, (bytes) => {
          // Batch head 12, union 4, ext 4, hash 32, ledgerVersion 4: the first bit of previousLedgerHash.
          bytes[12 + 4 + 4 + 32 + 4] = (bytes[12 + 4 + 4 + 32 + 4] as number) ^ 0x80;
          return bytes;
        }),
    },
    'flipped in its hash': {
      code: 'LEDGER_HASH',
      make: (lake) =>
        rewrite(lake, 25, (bytes) => {
          bytes[12 + 4 + 4] = (bytes[12 + 4 + 4] as number) ^ 1;
          return bytes;
        }),
    },
  };

  it.each(Object.keys(damage))('a ledger that is %s', async (kind) => {
    const { path } = await sampleLake();
    const lake = copyOf(path);
    const { code, make } = damage[kind] as (typeof damage)[string];
    make(lake);
    const scene = await sampleScene(sampleEra({ ledger_end: 49 }), { source: { local_path: lake } });
    const chain = scene.chain('sample', 'whole');
    const outcome = await scene.run();
    expect(outcome.code).toBe(1);
    expect(outcome.summary?.eras[0]?.error).toMatchObject({ code, ledger: 25 });
    expect(outcome.summary?.eras[0]?.next_ledger).toBe(20);
    expect(partitionsOf(chain)).toEqual(grid(2, 19, 10).map((label) => ({ label, state: 'sealed' })));
    // Nothing that is not published is left behind either.
    expect(partitionsOf(chain)).toHaveLength(2);
    takeOver(path, lake, [25]);
    expect((await scene.run()).code).toBe(0);
    expect(sealedIn(chain)).toEqual(grid(2, 49, 10));
    await expectVerified(scene);
  });

  it('a bounded era beyond the head commits every whole partition before it and then names the gap', async () => {
    const scene = await sampleScene(sampleEra({ ledger_end: 139 }));
    const outcome = await scene.run();
    expect(outcome.code).toBe(1);
    expect(outcome.summary?.eras[0]).toMatchObject({
      next_ledger: 120,
      error: { code: 'LEDGER_MISSING', ledger: 128 },
    });
    expect(sealedIn(scene.chain('sample', 'whole'))).toEqual(grid(2, 119, 10));
  });

  it('a lake that is not there', async () => {
    const { path } = await sampleLake();
    const lake = copyOf(path);
    rmSync(lake, { recursive: true });
    const scene = await sampleScene(sampleEra(), { source: { local_path: lake } });
    const outcome = await scene.run();
    expect(outcome.code).toBe(1);
    expect(outcome.summary?.eras[0]?.error).toMatchObject({ code: 'LAKE_NOT_FOUND' });
  });
});
