/**
 * A real Prometheus and its promtool (Debian's package `prometheus`), from PATH. Tests that need them are skipped by
 * name where they are absent; with CI=true their absence is a failure, as in servers.ts. It listens on loopback only.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { describe, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { tempFolder } from './bronze.ts';
import { freePort } from './postgres.ts';

const run = promisify(execFile);

export const OBSERVABILITY = resolve(import.meta.dirname, '../../runtime/observability');

/** What a rule file holds, as far as tests need it. */
export interface Rule {
  readonly record?: string;
  readonly alert?: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}
export interface RuleFile {
  readonly groups: readonly { readonly name: string; readonly interval?: string; readonly rules: readonly Rule[] }[];
}

/** The rule files that users get, by name. */
export function ruleFiles(): Map<string, RuleFile> {
  const folder = join(OBSERVABILITY, 'prometheus/rules');
  return new Map(
    readdirSync(folder).map((name) => [name, parse(readFileSync(join(folder, name), 'utf8')) as RuleFile] as const),
  );
}

export const rulesIn = (files: Iterable<RuleFile>): Rule[] =>
  [...files].flatMap(({ groups }) => groups.flatMap(({ rules }) => rules));

function isInstalled(): boolean {
  try {
    execFileSync('prometheus', ['--version'], { stdio: 'ignore' });
    execFileSync('promtool', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** `describe` for suites that need both programs; where they are absent `body` is not even run. */
export function describePrometheus(name: string, body: () => void): void {
  const title = `prometheus: ${name}`;
  const absent = (): never => {
    throw new Error("prometheus and promtool are not in PATH; they are in Debian's package prometheus");
  };
  if (isInstalled()) describe(title, body);
  else if (process.env.CI === 'true') describe(title, () => it('has prometheus and promtool', absent));
  else describe.skip(title, () => it('needs prometheus and promtool', absent));
}

/** What it says; throws with all of it where it is not content. */
export async function promtool(...args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await run('promtool', args).catch((error: Error & { stdout: string; stderr: string }) => {
    throw new Error(`promtool ${args.join(' ')}\n${error.stdout}\n${error.stderr}`);
  });
  return stdout + stderr;
}

export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface ActiveAlert {
  readonly name: string;
  readonly state: 'pending' | 'firing';
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface PrometheusOptions {
  readonly rules: ReadonlyMap<string, RuleFile>;
  /** By the name that becomes the label `instance`: host and port. */
  readonly targets: Readonly<Record<string, string>>;
  readonly scrapeIntervalMs: number;
}

/** A started one. */
export class Prometheus {
  readonly #child: ChildProcess;
  readonly #url: string;
  #said = '';

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.#url = url;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#said += text;
      });
    }
  }

  /** Answers once it is ready, about a second later. */
  static async start({ rules, targets, scrapeIntervalMs }: PrometheusOptions): Promise<Prometheus> {
    const folder = tempFolder();
    mkdirSync(join(folder, 'rules'));
    for (const [name, file] of rules) writeFileSync(join(folder, 'rules', name), stringify(file));
    const every = `${scrapeIntervalMs}ms`;
    const config = {
      global: { scrape_interval: every, scrape_timeout: every, evaluation_interval: every },
      rule_files: ['rules/*.yaml'],
      scrape_configs: [
        {
          job_name: 'bronze-copier',
          static_configs: Object.entries(targets).map(([instance, target]) => ({
            targets: [target],
            labels: { instance },
          })),
        },
      ],
    };
    const file = join(folder, 'prometheus.yaml');
    writeFileSync(file, stringify(config));
    await promtool('check', 'config', file);
    const port = await freePort();
    const child = spawn(
      'prometheus',
      [
        `--config.file=${file}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--log.level=warn',
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const started = new Prometheus(child, `http://127.0.0.1:${port}`);
    await started.#untilReady();
    return started;
  }

  async #untilReady(): Promise<void> {
    for (let tries = 0; tries < 300; tries++) {
      if (this.#child.exitCode !== null) throw new Error(`prometheus ended: ${this.#said}`);
      const answer = await fetch(`${this.#url}/-/ready`).catch(() => null);
      if (answer?.ok) return;
      await sleep(100);
    }
    await this.stop();
    throw new Error(`prometheus is not ready after 30 s: ${this.#said}`);
  }

  async #get<T>(path: string, query: Readonly<Record<string, string>> = {}): Promise<T> {
    const answer = await fetch(`${this.#url}/api/v1/${path}?${new URLSearchParams(query)}`);
    const body = (await answer.json()) as { status: string; error?: string; data: T };
    if (body.status !== 'success') throw new Error(`${path} ${JSON.stringify(query)}: ${body.error}`);
    return body.data;
  }

  /** Series of an instant query, now. */
  async query(expr: string): Promise<Sample[]> {
    const { result } = await this.#get<{
      result: { metric: Record<string, string>; value: [number, string] }[];
    }>('query', { query: expr });
    return result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
  }

  async alerts(): Promise<ActiveAlert[]> {
    const { alerts } = await this.#get<{
      alerts: { labels: Record<string, string>; annotations: Record<string, string>; state: ActiveAlert['state'] }[];
    }>('alerts');
    return alerts.map(({ labels, annotations, state }) => ({
      name: labels.alertname as string,
      state,
      labels,
      annotations,
    }));
  }

  /** Rules whose last evaluation went wrong, with the error. */
  async ruleErrors(): Promise<string[]> {
    const { groups } = await this.#get<{ groups: { rules: { name: string; lastError?: string }[] }[] }>('rules');
    return groups.flatMap(({ rules }) =>
      rules.flatMap(({ name, lastError }) => (lastError ? [`${name}: ${lastError}`] : [])),
    );
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const over = new Promise((done) => this.#child.once('exit', done));
    this.#child.kill('SIGTERM');
    await over;
  }
}
