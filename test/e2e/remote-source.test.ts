/** The program on lakes in buckets of real S3 servers: every cut (S1), what is missing (S3), and a head that moves (S20). */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { mapBounded } from '../../actors/bounded.ts';
import type { SampleOptions } from '../../actors/sample/index.ts';
import { grid, parquetHashes, sealedIn } from '../support/estate.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import { objectOf, SAMPLE_SOURCE, sampleEra, sampleLake, sampleScene } from '../support/lakes.ts';
import { type RunChoices, type Running, Scene, type Settings } from '../support/program.ts';
import { describeServers, makeBucket, type TestBucket } from '../support/servers.ts';

const keysOf = (lake: string): string[] =>
  (readdirSync(lake, { recursive: true }) as string[]).filter((name) => statSync(join(lake, name)).isFile());

/** Long enough for several polls of the head. */
const A_WHILE_MS = 500;

describeServers('a lake in a bucket', (server) => {
  let bucket: TestBucket;
  /** What a run over the same lake in a folder writes. */
  let expected: Record<string, string>;
  const env = { AWS_ACCESS_KEY_ID: server.accessKeyId, AWS_SECRET_ACCESS_KEY: server.secretAccessKey };

  beforeAll(async () => {
    bucket = await makeBucket(server);
    const scene = await sampleScene();
    expect((await scene.run()).code).toBe(0);
    expected = parquetHashes(scene.chain('sample', 'whole'));
    expect(Object.keys(expected)).toHaveLength(13);
  });

  async function upload(lake: string, prefix: string, wanted: (key: string) => boolean = () => true): Promise<void> {
    const keys = keysOf(lake).filter(wanted);
    await mapBounded(keys, 8, (key) => bucket.put(`${prefix}${key}`, readFileSync(join(lake, key))));
  }

  function sceneOn(prefix: string, source: Settings = {}, era: Settings = {}) {
    const scene = new Scene('', sampleEra(era), {
      source: {
        ...SAMPLE_SOURCE,
        mode: 's3',
        s3_bucket: bucket.name,
        s3_prefix: prefix,
        s3_endpoint: server.endpoint,
        s3_region: server.region,
        ...source,
      },
    });
    return {
      chain: scene.chain('sample', 'whole'),
      run: (choices: RunChoices = {}) => scene.run({ ...choices, env }),
      start: (choices: RunChoices = {}): Running => scene.start('run', { ...choices, env }),
    };
  }

  const CUTS: readonly [string, SampleOptions][] = [
    ['one ledger a file', {}],
    ['8 a file, suffix .zstd', { ledgersPerFile: 8, filesPerPartition: 10, suffix: 'zstd' }],
    ['64 a file, no folders', { ledgersPerFile: 64, filesPerPartition: 1 }],
    ['no .config.json, suffix .zstd', { filesPerPartition: 64, suffix: 'zstd', config: false }],
  ];

  it.each(CUTS)('S1: %s: the same bytes as from a folder, with computed keys alone', async (name, cut) => {
    const { path } = await sampleLake(cut);
    const prefix = `s1/${name.replaceAll(' ', '-')}`;
    await upload(path, `${prefix}/`);
    const proxy = await startFaultProxy(server.endpoint);
    // With a slash and without, at either end.
    const scene = sceneOn(cut.config === false ? `/${prefix}/` : prefix, { s3_endpoint: proxy.url });
    const { code, stderr } = await scene.run();
    await proxy.close();
    expect(code, stderr).toBe(0);
    expect(parquetHashes(scene.chain)).toEqual(expected);
    expect(proxy.count('ListObjectsV2')).toBe(cut.config === false ? (cut.filesPerPartition === 1 ? 1 : 2) : 0);
    expect(proxy.count('HeadObject')).toBe(0);
  });

  it.each([12, 127])('S3: ledger %i is missing: no partition of it, and it is named', async (ledger) => {
    const { path } = await sampleLake();
    const key = objectOf(path, ledger);
    await upload(path, `s3/${ledger}/`, (name) => name !== key);
    const { run, chain } = sceneOn(`s3/${ledger}`);
    const { code, summary } = await run();
    expect(code).toBe(1);
    expect(summary?.eras[0]?.error).toMatchObject({ code: 'LEDGER_MISSING', ledger });
    const label = grid(2, 127, 10).find((range) => {
      const [start = 0, end = 0] = range.split('-').map(Number);
      return start <= ledger && ledger <= end;
    });
    expect(sealedIn(chain)).not.toContain(label);
  });

  it('S20: a hole at the head that fills later, and a pause', async () => {
    const { path } = await sampleLake();
    const keys = new Map(Array.from({ length: 126 }, (_, i) => [objectOf(path, i + 2), i + 2]));
    const put = (from: number, to: number, but: number | null = null): Promise<void> =>
      upload(path, 's20/', (key) => {
        const ledger = keys.get(key);
        return ledger === undefined ? from === 2 : ledger >= from && ledger <= to && ledger !== but;
      });
    await put(2, 35);
    const { start, chain } = sceneOn('s20/', { poll_interval_ms: 50 }, { ledger_end: 0 });
    const running = start();
    const committed = (first: number): Promise<void> =>
      running.untilLogged(
        (line) => line.msg === 'partition committed' && line.ledger_start === first,
        `partition ${first}`,
      );
    await committed(20);
    await put(36, 45, 38);
    await sleep(A_WHILE_MS);
    expect(sealedIn(chain)).toEqual(grid(2, 29, 10));
    await put(38, 38);
    await committed(30);
    await sleep(A_WHILE_MS);
    expect(sealedIn(chain)).toEqual(grid(2, 39, 10));
    await put(46, 50);
    await committed(40);
    running.kill('SIGTERM');
    const { code, summary } = await running.done;
    expect([code, summary?.status, summary?.eras[0]?.next_ledger]).toEqual([0, 'drained', 50]);
    for (const [name, hash] of Object.entries(parquetHashes(chain))) expect(hash).toBe(expected[name]);
  });

  describe('what cannot be opened', () => {
    const cases: [string, Settings, string][] = [
      ['an empty prefix', { s3_prefix: 'nothing/here' }, 'LAKE_NOT_FOUND'],
      ['a bucket that is not there', { s3_bucket: 'no-such-bucket-of-ours' }, 'BUCKET_MISSING'],
    ];
    it.each(cases)('%s', async (_name, source, code) => {
      const outcome = await sceneOn('s1', source).run();
      expect(outcome.code).toBe(1);
      expect(outcome.summary?.eras[0]?.error).toMatchObject({ code });
    });
  });
});
