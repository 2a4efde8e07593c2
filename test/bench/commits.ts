/**
 * `npm run bench:commits`: what a commit to a bucket costs in time. Tiny partitions, from a folder into a bucket of a real
 * Ceph (BRONZE_TEST_CEPH, see test/servers/ceph.sh), each answer so much later at a proxy of this process.
 *
 *   npm run bench:commits -- [--ms 0,30,100] [--partitions 100] [--workers 4] [--save]
 *
 * A commit takes what lies between two events of the chain, as the store dates them: the median of the last nine tenths,
 * so that the start of the program is left out. The store itself takes its time too: it is what 0 ms shows.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CreateBucketCommand, GetObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { startFaultProxy } from '../support/fault-proxy.ts';
import { type Lake, madeLake } from './lake.ts';
import { command, configFor } from './product.ts';
import { record } from './record.ts';

export interface CommitCost {
  readonly partitions: number;
  readonly workers: number;
  readonly rows: readonly {
    /** By which each answer was late, ms. */
    readonly late: number;
    /** Between two events, ms. */
    readonly commit: { readonly median: number; readonly p90: number };
    /** Of the whole program, its start and end included. */
    readonly partitionsPerMinute: number;
    /** Requests of the whole run, for each partition. */
    readonly requests: number;
  }[];
}

const { values } = parseArgs({
  options: {
    ms: { type: 'string', default: '0,30,100' },
    partitions: { type: 'string', default: '100' },
    workers: { type: 'string', default: '4' },
    save: { type: 'boolean', default: false },
  },
});
const PARTITION = 2;
const partitions = Number(values.partitions);
const endpoint = process.env.BRONZE_TEST_CEPH;
if (endpoint === undefined)
  throw new Error('BRONZE_TEST_CEPH: the endpoint that test/servers/ceph.sh start DIR prints');
process.env.AWS_ACCESS_KEY_ID = 'testkey';
process.env.AWS_SECRET_ACCESS_KEY = 'testsecret';

const s3 = new S3Client({
  endpoint,
  region: 'us-east-1',
  forcePathStyle: true,
  requestChecksumCalculation: 'WHEN_REQUIRED',
  responseChecksumValidation: 'WHEN_REQUIRED',
});

/** When each event says that it was made, ms, in the chain's order. */
async function eventTimes(Bucket: string): Promise<number[]> {
  const listed = await s3.send(new ListObjectsV2Command({ Bucket }));
  const keys = (listed.Contents ?? []).flatMap(({ Key }) => (Key?.match(/_audit\/\d+\.json$/) ? [Key] : [])).sort();
  return await Promise.all(
    keys.map(async (Key) => {
      const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
      return Date.parse(JSON.parse(String(await Body?.transformToString())).timestamp);
    }),
  );
}

async function measured(work: string, of: Lake, late: number): Promise<CommitCost['rows'][number]> {
  const dir = mkdtempSync(join(work, 'run-'));
  const proxy = await startFaultProxy(endpoint as string);
  if (late > 0) proxy.rules.push({ fault: { kind: 'delay', ms: late } });
  const bucket = `commits-${process.pid}-${late}`;
  await s3.send(new CreateBucketCommand({ Bucket: bucket }));
  const file = configFor(dir, of, { threads: Number(values.workers), partition: PARTITION, codec: 'zstd-3' });
  const config = JSON.parse(readFileSync(file, 'utf8'));
  config.storage = {
    backend: 's3',
    s3_bucket: bucket,
    s3_region: 'us-east-1',
    s3_endpoint: proxy.url,
    s3_path_style: true,
  };
  config.perf.threads = 2;
  writeFileSync(file, JSON.stringify(config));
  try {
    const { ms } = await command(['run', '--config', file, '--no-progress']);
    const requests = proxy.log.length / partitions;
    const times = await eventTimes(bucket);
    if (times.length !== partitions) throw new Error(`${times.length} events for ${partitions} partitions`);
    const steady = times.slice(Math.ceil(partitions / 10));
    const apart = steady.slice(1).map((time, n) => time - (steady[n] as number));
    const sorted = apart.toSorted((a, b) => a - b);
    const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
    return {
      late,
      commit: { median: at(0.5), p90: at(0.9) },
      partitionsPerMinute: Math.round(partitions / (ms / 60_000)),
      requests: Number(requests.toFixed(1)),
    };
  } finally {
    await proxy.close();
    rmSync(dir, { recursive: true });
  }
}

const work = mkdtempSync(join(tmpdir(), 'bronze-commits-'));
try {
  mkdirSync(work, { recursive: true });
  const of = await madeLake(join(work, 'lake'), 1 + partitions * PARTITION);
  const rows: CommitCost['rows'][number][] = [];
  for (const late of values.ms.split(',').map(Number)) {
    rows.push(await measured(work, of, late));
    console.log(rows.at(-1));
  }
  record('commits', { partitions, workers: Number(values.workers), rows } satisfies CommitCost, values.save);
} finally {
  rmSync(work, { recursive: true, force: true });
}
