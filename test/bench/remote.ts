/**
 * `npm run bench:remote`: a lake in a bucket that is far away. Small and large objects, S3 without and with signatures,
 * Google Cloud Storage, each answer so many milliseconds late: a bare loop of undici, this program's reader alone, and the
 * whole program with two threads; beside them the whole program from local disk. The store (slow-store.ts) is a process
 * of its own that answers from memory; it shares the cores with what is measured, and its share is told.
 *
 *   npm run bench:remote -- [--ms 0,30,100] [--places s3,s3-signed,gcs] [--sizes small,large]
 *                           [--small 12000] [--large 600] [--runs 1] [--lakes DIR] [--old MAIN.js] [--save]
 *
 * `--runs`: medians of so many, all cases in turn. `--old`: the program of another checkout, measured beside this one.
 * As it stands it takes about four minutes. Without ../shared small objects are made up, and there are no large ones.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Pool } from 'undici';
import type { SourceSpec } from '../../actors/ports/source.ts';
import { openSource } from '../../actors/source/index.ts';
import { fileCount, fileOf } from '../../actors/source/keys.ts';
import type { RunReport } from '../../runtime/summary.ts';
import { type Lake, MAIN, madeLake, realLake, SHARED } from './lake.ts';
import { configFor, type Plan } from './product.ts';
import { median, record } from './record.ts';

const PLACES = ['s3', 's3-signed', 'gcs'] as const;
type Place = (typeof PLACES)[number];
/** Of the whole program. */
const THREADS = 2;
/** Requests in flight of the bare loop, as many as one thread of the program has. */
const IN_FLIGHT = 128;
const BUCKET = 'lake';

/** One client at one store. Processor time without the start of the process, but for `program`, which it is a part of. */
export interface RemoteFigures {
  readonly size: 'small' | 'large';
  readonly place: Place | 'disk';
  /** How late the store answers. */
  readonly ms: number;
  readonly who: 'bare loop' | 'reader' | 'program' | 'program before';
  readonly perSecond: number;
  readonly cpuMs: number;
  readonly rssMB: number;
  /** What `plan` allows the program. */
  readonly boundMB: number | null;
  /** Cores that the store took meanwhile: 2 would be all of them. */
  readonly storeCores: number;
  readonly mostInFlight: number;
}

export interface Remote {
  readonly runs: number;
  readonly lakes: readonly {
    readonly size: string;
    readonly objects: number /** Of one, on average. */;
    readonly bytes: number;
  }[];
  readonly figures: readonly RemoteFigures[];
}

const { values } = parseArgs({
  options: {
    ms: { type: 'string', default: '0,30,100' },
    places: { type: 'string', default: PLACES.join(',') },
    sizes: { type: 'string', default: 'small,large' },
    small: { type: 'string', default: '12000' },
    large: { type: 'string', default: '600' },
    runs: { type: 'string', default: '1' },
    lakes: { type: 'string' },
    old: { type: 'string' },
    save: { type: 'boolean', default: false },
    client: { type: 'string' },
    place: { type: 'string', default: 's3' },
    endpoint: { type: 'string', default: '' },
    start: { type: 'string', default: '' },
    end: { type: 'string', default: '' },
  },
});

// ── a client, as a process of its own ────────────────────────────────────────────────────────────────────────────

const specOf = (place: Place, endpoint: string): SourceSpec => ({
  mode: 'bucket',
  address:
    place === 'gcs'
      ? { protocol: 'gcs', bucket: BUCKET, anonymous: false, requesterPays: false }
      : {
          protocol: 's3',
          bucket: BUCKET,
          endpoint,
          region: 'us-east-1',
          pathStyle: true,
          anonymous: place === 's3',
          requesterPays: false,
        },
  prefix: '',
  configured: null,
});

async function client(): Promise<void> {
  const place = values.place as Place;
  const range = { start: Number(values.start), end: Number(values.end) };
  const signal = new AbortController().signal;
  const source = openSource(specOf(place, values.endpoint));
  const layout = await source.open(signal);
  const reader = async (to: number): Promise<void> => {
    let seen = 0;
    const part = { start: range.start, end: to };
    for await (const batch of source.read(layout, part, signal)) seen += batch.length;
    if (seen !== fileCount(layout, part)) throw new Error(`${seen} objects came`);
  };
  const pool = new Pool(values.endpoint, { connections: IN_FLIGHT });
  const bare = async (to: number): Promise<void> => {
    const part = { start: range.start, end: to };
    const objects = fileCount(layout, part);
    let next = 0;
    const one = (): Promise<void> =>
      new Promise((done, failed) => {
        const key = `${fileOf(layout, part, next++).stem}${layout.suffix}`;
        const path = place === 'gcs' ? `/storage/v1/b/lake/o/${encodeURIComponent(key)}?alt=media` : `/lake/${key}`;
        let bytes = 0;
        pool.dispatch(
          { method: 'GET', path },
          {
            onRequestStart: () => undefined,
            onResponseStart: (_controller, status) => {
              if (status !== 200) failed(new Error(`${path}: ${status}`));
            },
            onResponseData: (_controller, chunk) => {
              bytes += chunk.length;
            },
            onResponseEnd: () => (bytes > 0 ? done() : failed(new Error('nothing came'))),
            onResponseError: (_controller, error) => failed(error),
          },
        );
      });
    const lane = async (): Promise<void> => {
      while (next < objects) await one();
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
  };
  const step = values.client === 'bare loop' ? bare : reader;
  // Code is compiled and connections stand: what millions of requests cost is the question.
  await step(Math.min(range.end, range.start + 499));
  const before = process.cpuUsage();
  const begun = performance.now();
  await step(range.end);
  const { user, system } = process.cpuUsage(before);
  const objects = fileCount(layout, range);
  console.log(
    JSON.stringify({
      perSecond: (objects / (performance.now() - begun)) * 1_000,
      cpuMs: (user + system) / 1_000 / objects,
      rssMB: process.resourceUsage().maxRSS / 1_000,
    }),
  );
  await pool.close();
}

// ── those that measure ───────────────────────────────────────────────────────────────────────────────────────────

interface Store {
  readonly child: ChildProcess;
  readonly url: string;
}

async function startStore(lake: string): Promise<Store> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'slow-store.js'), lake], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await new Promise<string>((told, failed) => {
    child.stdout?.once('data', (line: Buffer) => told(String(line).trim()));
    child.once('exit', () => failed(new Error('the store ended')));
  });
  return { child, url };
}

interface Counts {
  readonly found: number;
  readonly cpuMs: number;
  readonly mostInFlight: number;
}

/** A connection of its own each time: one that was kept while a client worked may have been closed meanwhile. */
const ask = (url: string): Promise<Counts> =>
  new Promise((told, failed) => {
    const asked = request(url, { agent: false }, (answer) => {
      let text = '';
      answer.on('data', (chunk) => (text += chunk));
      answer.on('end', () => told(JSON.parse(text) as Counts));
    });
    asked.on('error', failed).end();
  });

const environment = (place: Place | 'disk', url: string): NodeJS.ProcessEnv => ({
  ...process.env,
  AWS_ACCESS_KEY_ID: 'key',
  AWS_SECRET_ACCESS_KEY: 'secret',
  ...(place === 'gcs' ? { STORAGE_EMULATOR_HOST: url } : {}),
});

/** What a process prints. It is waited for without blocking. */
function output(args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk) => (said += chunk));
  let text = '';
  child.stdout.on('data', (chunk) => (text += chunk));
  return new Promise((done, failed) => {
    child.on('close', (status) =>
      status === 0
        ? done(text)
        : failed(new Error(`${args.join(' ')} ended with ${status}: ${said}${text.slice(-2_000)}`)),
    );
  });
}

type Measured = Pick<RemoteFigures, 'perSecond' | 'cpuMs' | 'rssMB'> & { readonly boundMB?: number };

async function program(main: string, work: string, of: Lake, place: Place | 'disk', url: string): Promise<Measured> {
  const dir = mkdtempSync(join(work, 'run-'));
  const ledgers = of.end - of.start + 1;
  const setup = { threads: THREADS, partition: Math.ceil(ledgers / 12), codec: 'zstd-3' };
  const config = JSON.parse(readFileSync(configFor(dir, of, setup), 'utf8'));
  if (place !== 'disk') {
    const common = { network_passphrase: of.passphrase, anonymous: place === 's3' };
    config.source =
      place === 'gcs'
        ? { ...common, mode: 'gcs', gcs_bucket: BUCKET }
        : { ...common, mode: 's3', s3_bucket: BUCKET, s3_endpoint: url, s3_region: 'us-east-1' };
  }
  const file = join(dir, 'config.yaml');
  const summary = join(dir, 'summary.json');
  writeFileSync(file, JSON.stringify(config));
  const env = environment(place, url);
  try {
    const plan = JSON.parse(await output([main, 'plan', '--config', file, '--json'], env)) as Plan;
    await output([main, 'run', '--config', file, '--no-progress', '--summary', summary], env);
    const report = JSON.parse(readFileSync(summary, 'utf8')) as RunReport;
    return {
      perSecond: (ledgers / report.duration_ms) * 1_000,
      cpuMs: report.cpu_ms / ledgers,
      rssMB: report.peak_rss_bytes / 1e6,
      boundMB: plan.memory_bytes_at_most / 1e6,
    };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

async function alone(who: RemoteFigures['who'], of: Lake, place: Place, url: string): Promise<Measured> {
  const args = ['--client', who, '--place', place, '--endpoint', url, '--start', `${of.start}`, '--end', `${of.end}`];
  return JSON.parse(await output([import.meta.filename, ...args], environment(place, url)));
}

const rounded = (value: number): number => Number(value.toPrecision(3));

function medians(all: readonly RemoteFigures[]): RemoteFigures {
  const [first] = all as [RemoteFigures];
  const of = (key: 'perSecond' | 'cpuMs' | 'rssMB' | 'storeCores' | 'mostInFlight'): number =>
    rounded(median(all.map((one) => one[key])));
  return {
    ...first,
    perSecond: of('perSecond'),
    cpuMs: of('cpuMs'),
    rssMB: of('rssMB'),
    storeCores: of('storeCores'),
    mostInFlight: of('mostInFlight'),
  };
}

async function main(): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), 'bronze-remote-'));
  const lakes = resolve(values.lakes ?? join(work, 'lakes'));
  mkdirSync(lakes, { recursive: true });
  const stores: Store[] = [];
  const seen = new Map<string, RemoteFigures[]>();
  const about: { size: string; objects: number; bytes: number }[] = [];
  const see = (one: RemoteFigures): void => {
    const key = [one.size, one.place, one.ms, one.who].join(' ');
    seen.set(key, [...(seen.get(key) ?? []), one]);
    const { perSecond, cpuMs, rssMB, boundMB, storeCores, mostInFlight } = one;
    const bound = boundMB === null ? '' : ` of ${Math.round(boundMB)}`;
    console.log(
      `${one.size} ${one.place} ${one.ms} ms, ${one.who}: ${Math.round(perSecond)}/s, ${cpuMs.toFixed(3)} CPU-ms, ${Math.round(rssMB)}${bound} MB; the store took ${storeCores.toFixed(2)} cores, ${mostInFlight} in flight`,
    );
  };
  try {
    for (const size of values.sizes.split(',') as RemoteFigures['size'][]) {
      const hasReal = existsSync(join(SHARED, 'ledgers/pubnet'));
      if (size === 'large' && !hasReal) continue;
      const count = Number(size === 'small' ? values.small : values.large);
      const of = hasReal
        ? realLake(lakes, size === 'small' ? '2016' : '2026', count)
        : await madeLake(join(lakes, `made-${count}`), count + 1);
      const files = (readdirSync(of.path, { recursive: true }) as string[]).map((name) =>
        statSync(join(of.path, name)),
      );
      const bytes = files.reduce((sum, file) => sum + (file.isFile() ? file.size : 0), 0);
      about.push({ size, objects: count, bytes: Math.round(bytes / count) });
      const store = await startStore(of.path);
      stores.push(store);
      const { url } = store;
      const measure = async (
        who: RemoteFigures['who'],
        place: Place | 'disk',
        ms: number,
        step: () => Promise<Measured>,
      ): Promise<void> => {
        await ask(`${url}/-/late/${ms}`);
        const begun = performance.now();
        const measured = await step();
        const { cpuMs, mostInFlight } = await ask(`${url}/-/counts`);
        const storeCores = cpuMs / (performance.now() - begun);
        see({ size, place, ms, who, boundMB: null, ...measured, storeCores, mostInFlight });
      };
      for (let run = 0; run < Number(values.runs); run++) {
        await measure('program', 'disk', 0, () => program(MAIN, work, of, 'disk', url));
        for (const place of values.places.split(',') as Place[]) {
          for (const ms of values.ms.split(',').map(Number)) {
            for (const who of ['bare loop', 'reader'] as const) {
              await measure(who, place, ms, () => alone(who, of, place, url));
            }
            await measure('program', place, ms, () => program(MAIN, work, of, place, url));
            const { old } = values;
            if (old !== undefined) {
              await measure('program before', place, ms, () => program(resolve(old), work, of, place, url));
            }
          }
        }
      }
      store.child.kill();
    }
    const figures = [...seen.values()].map(medians);
    record('remote', { runs: Number(values.runs), lakes: about, figures } satisfies Remote, values.save);
  } finally {
    for (const { child } of stores) child.kill();
    rmSync(work, { recursive: true, force: true });
  }
}

await (values.client === undefined ? main() : client());
