/**
 * Many small objects from a store that is far away: the program's default settings on 10,000 made-up ledgers of about
 * 400 bytes, every answer 30 ms late, and what one GET costs in processor time beside a bare HTTP loop. Prints JSON.
 * The store is slow-s3.ts, a process of its own that answers from memory; it shares the processors with the program.
 *
 *   npm run bench:remote -- [--last 10001] [--ms 30] [--partition 1000]
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { SourceSpec } from '../../actors/ports.ts';
import { SAMPLE_PASSPHRASE, writeSampleLake } from '../../actors/sample/index.ts';
import { openSource } from '../../actors/source/index.ts';
import { objectKey } from '../../actors/source/keys.ts';
import type { RunReport } from '../../runtime/summary.ts';

const HERE = import.meta.dirname;
const MAIN = resolve(HERE, '../../../dist/bin/main.js');
const { values } = parseArgs({
  options: {
    last: { type: 'string', default: '10001' },
    ms: { type: 'string', default: '30' },
    partition: { type: 'string', default: '1000' },
    client: { type: 'string' },
    endpoint: { type: 'string', default: '' },
  },
});
const last = Number(values.last);
const objects = last - 1;

const specOf = (endpoint: string): SourceSpec => ({
  mode: 'bucket',
  place: {
    protocol: 's3',
    bucket: 'lake',
    endpoint,
    region: 'us-east-1',
    pathStyle: true,
    anonymous: false,
    requesterPays: false,
  },
  prefix: '',
  configured: null,
});

async function readLake(endpoint: string): Promise<void> {
  const source = openSource(specOf(endpoint));
  const signal = new AbortController().signal;
  const layout = await source.open(signal);
  let seen = 0;
  for await (const batch of source.read(layout, { start: 2, end: last }, signal)) seen += batch.length;
  if (seen !== objects) throw new Error(`${seen} objects came`);
}

/** The least that a GET can cost in this language. */
async function bareLoop(endpoint: string): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 128 });
  const numbers = { ledgersPerFile: 1, filesPerPartition: 64_000 };
  let next = 2;
  const fetchOne = (ledger: number): Promise<void> =>
    new Promise((done, failed) => {
      get(`${endpoint}/lake/${objectKey(numbers, ledger, 'zst')}`, { agent }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('end', () => (answer.statusCode === 200 ? done() : failed(new Error(String(answer.statusCode)))));
      }).on('error', failed);
    });
  await Promise.all(
    Array.from({ length: 128 }, async () => {
      while (next <= last) await fetchOne(next++);
    }),
  );
  agent.destroy();
}

/** As a process of its own, so that its processor time is its own. */
async function client(kind: string, endpoint: string): Promise<void> {
  const step = kind === 'bare' ? bareLoop : readLake;
  const cpu = process.cpuUsage();
  const begun = performance.now();
  await step(endpoint);
  const used = process.cpuUsage(cpu);
  const ms = performance.now() - begun;
  const figures = {
    perSecond: Math.round((objects / ms) * 1_000),
    cpuMsPerGet: Number(((used.user + used.system) / 1_000 / objects).toFixed(3)),
    rssMB: Math.round(process.resourceUsage().maxRSS / 1_000),
  };
  console.log(JSON.stringify(figures));
}

async function startStore(lake: string): Promise<{ child: ChildProcess; url: string }> {
  const child = spawn(process.execPath, [join(HERE, 'slow-s3.js'), lake, values.ms], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await new Promise<string>((done) =>
    child.stdout?.once('data', (line: Buffer) => done(String(line).trim())),
  );
  return { child, url };
}

const ENVIRONMENT = { ...process.env, AWS_ACCESS_KEY_ID: 'key', AWS_SECRET_ACCESS_KEY: 'secret' };

function run(work: string, endpoint: string): Record<string, unknown> {
  const dir = mkdtempSync(join(work, 'run-'));
  const era = { era_id: 'bench', version_label: 'v1', network: 'sample', ledger_start: 2, ledger_end: last };
  const config = {
    eras: [{ ...era, partition_size: Number(values.partition) }],
    source: {
      mode: 's3',
      s3_bucket: 'lake',
      s3_endpoint: endpoint,
      s3_region: 'us-east-1',
      network_passphrase: SAMPLE_PASSPHRASE,
    },
    storage: { backend: 'local', local_dir: join(dir, 'data') },
    catalog: { backend: 'none' },
    checkpoint: { dir: join(dir, 'state') },
    pas: { backup_dir: join(dir, 'pas') },
    logging: { level: 'warn' },
  };
  const file = join(dir, 'config.yaml');
  const summary = join(dir, 'summary.json');
  writeFileSync(file, JSON.stringify(config));
  execFileSync(process.execPath, [MAIN, 'run', '--config', file, '--no-progress', '--summary', summary], {
    env: ENVIRONMENT,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const report = JSON.parse(readFileSync(summary, 'utf8')) as RunReport;
  return {
    ledgersPerSecond: Math.round((objects / report.duration_ms) * 1_000),
    cpuMsPerLedger: Number((report.cpu_ms / objects).toFixed(3)),
    peakRssMB: Math.round(report.peak_rss_bytes / 1e6),
  };
}

async function main(): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), 'bronze-remote-'));
  const lake = join(work, 'lake');
  const made = await writeSampleLake(lake, { last });
  const { child, url } = await startStore(lake);
  const counts = async (): Promise<unknown> => (await fetch(`${url}/-/counts`)).json();
  const alone = (kind: string): unknown =>
    JSON.parse(
      execFileSync(
        process.execPath,
        [import.meta.filename, '--client', kind, '--endpoint', url, '--last', String(last)],
        { env: ENVIRONMENT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
      ),
    );
  try {
    console.log(
      JSON.stringify({ objects, bytesPerObject: Math.round(made.bytes / made.files), latencyMs: Number(values.ms) }),
    );
    for (const kind of ['bare', 'reader'])
      console.log(JSON.stringify({ kind, ...(alone(kind) as object), asked: await counts() }));
    console.log(JSON.stringify({ kind: 'program', ...run(work, url), asked: await counts() }));
  } finally {
    child.kill();
    rmSync(work, { recursive: true, force: true });
  }
}

await (values.client === undefined ? main() : client(values.client, values.endpoint));
