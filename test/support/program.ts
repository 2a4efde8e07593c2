/**
 * The real program in a scene of its own: the compiled binary as a child process, with a configuration, a store, a
 * state folder and a backup folder below one temporary folder. `npm run build` first; BRONZE_BINARY names another build.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll } from 'vitest';
import { stringify } from 'yaml';
import type { RunReport } from '../../runtime/summary.ts';
import { tempFolder } from './bronze.ts';

export const BINARY = resolve(process.env.BRONZE_BINARY ?? join(import.meta.dirname, '../../dist/bin/main.js'));

/** Longer than a run of a test may take, ms, where it says nothing else; one that hangs fails its test with its output. */
const PATIENCE_MS = 50_000;

/** A log line; fields that are not named here are there as well. */
export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly component?: string;
  readonly era_id?: string;
  readonly correlation_id?: string;
  readonly ledger_start?: number;
  readonly [field: string]: unknown;
}

export interface Outcome {
  /** Null where a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly logs: readonly LogLine[];
  /** What `--summary` wrote; null where it wrote nothing. */
  readonly summary: RunReport | null;
}

/** Any part of a configuration file. Objects are merged, lists replaced. */
export interface Settings {
  readonly [key: string]: unknown;
}

/** For suites whose subject is work side by side. */
export const SIDE_BY_SIDE: Settings = { perf: { threads: 2 } };

const isObject = (value: unknown): value is Settings =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export function merge(base: Settings, over: Settings): Settings {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const old = merged[key];
    merged[key] = isObject(old) && isObject(value) ? merge(old, value) : value;
  }
  return merged;
}

/** What a stream has said, with the JSON lines in it; each line is parsed once, when it is whole. */
class Said {
  text = '';
  readonly lines: LogLine[] = [];
  #parsed = 0;

  add(chunk: string): void {
    this.text += chunk;
    const end = this.text.lastIndexOf('\n') + 1;
    for (const line of this.text.slice(this.#parsed, end).split('\n')) {
      if (!line.startsWith('{"level"')) continue;
      try {
        this.lines.push(JSON.parse(line) as LogLine);
      } catch {
        // Not a log line after all.
      }
    }
    this.#parsed = Math.max(end, this.#parsed);
  }
}

const children = new Set<ChildProcess>();

afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
});

/** Null where there is none, and where a run that was killed had only made sure that it can be written. */
function readSummary(file: string): RunReport | null {
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  return text === '' ? null : (JSON.parse(text) as RunReport);
}

/** A started program. */
export class Running {
  readonly done: Promise<Outcome>;
  readonly #child: ChildProcess;
  readonly #stdout = new Said();
  readonly #stderr = new Said();

  constructor(
    args: readonly string[],
    options: {
      cwd: string;
      env?: Record<string, string>;
      summary?: string;
      patienceMs?: number;
      under?: readonly string[];
    },
  ) {
    const { patienceMs = PATIENCE_MS, under = [] } = options;
    const { PATH = '', HOME = '', NODE_V8_COVERAGE } = process.env;
    const [file, ...words] = [...under, process.execPath, BINARY, ...args] as [string, ...string[]];
    const child = spawn(file, words, {
      cwd: options.cwd,
      // Nothing of this process's environment may configure the program.
      env: { PATH, HOME, ...(NODE_V8_COVERAGE ? { NODE_V8_COVERAGE } : {}), ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    children.add(child);
    for (const [stream, said] of [
      [child.stdout, this.#stdout],
      [child.stderr, this.#stderr],
    ] as const) {
      stream?.setEncoding('utf8').on('data', (chunk: string) => said.add(chunk));
    }
    const late = setTimeout(() => {
      this.#stderr.add(`\nkilled by the test: still running after ${patienceMs} ms\n`);
      child.kill('SIGKILL');
    }, patienceMs);
    this.done = new Promise((finish, reject) => {
      child.on('error', reject);
      child.on('close', (code, signal) => {
        clearTimeout(late);
        children.delete(child);
        const { summary } = options;
        finish({
          code,
          signal,
          stdout: this.#stdout.text,
          stderr: this.#stderr.text,
          logs: this.logs,
          summary: summary ? readSummary(summary) : null,
        });
      });
    });
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  get isOver(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** What it has logged so far. */
  get logs(): LogLine[] {
    return [...this.#stdout.lines, ...this.#stderr.lines];
  }

  /** What it has said on standard error so far. */
  get stderr(): string {
    return this.#stderr.text;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits until `holds`; fails with the output where the program ends before. */
  async until(holds: (running: Running) => boolean, what: string): Promise<void> {
    while (!holds(this)) {
      if (this.isOver) {
        const { stdout, stderr } = await this.done;
        if (holds(this)) return;
        throw new Error(`the program ended before ${what}\n${stdout}\n${stderr}`);
      }
      await sleep(5);
    }
  }

  untilLogged(matches: (line: LogLine) => boolean, what: string): Promise<void> {
    return this.until(() => this.logs.some(matches), what);
  }
}

export interface RunChoices {
  /** Over the scene's settings. */
  readonly settings?: Settings;
  readonly args?: readonly string[];
  readonly env?: Record<string, string>;
  /** How long it may run, ms. */
  readonly patienceMs?: number;
  /** Words in front of the command line; what they start has to become the program itself, as `nsenter` does. */
  readonly under?: readonly string[];
}

let summaries = 0;

/** A place with everything that a copier needs; removed when the test file is through. */
export class Scene {
  readonly root = tempFolder();
  readonly data: string;
  /** Storage with its prefix. */
  readonly bronze: string;
  readonly state = join(this.root, 'state');
  readonly backup = join(this.root, 'pas-backup');
  settings: Settings;
  /** Of every program that is started here; nothing of this process's reaches them. */
  readonly environment: Record<string, string> = {};

  /** `storage`: that of another scene; its own where none is given. */
  constructor(lake: string, era: Settings | readonly Settings[], more: Settings = {}, storage?: string) {
    this.data = storage ?? join(this.root, 'data');
    this.bronze = join(this.data, 'bronze');
    const eras = Array.isArray(era) ? era : [era];
    this.settings = merge(
      {
        copier_id: 'copier-under-test',
        eras,
        source: { mode: 'local', local_path: lake },
        storage: { backend: 'local', local_dir: this.data, prefix: 'bronze/' },
        catalog: { backend: 'none' },
        pas: { enabled: true, backup_dir: this.backup },
        checkpoint: { dir: this.state },
        // One thread: another one takes longer to start than these lakes give it work. See SIDE_BY_SIDE.
        perf: { workers: 2, threads: 1, retry_attempts: 2, retry_backoff_ms: 10 },
      },
      more,
    );
  }

  /** Another scene with the same storage: a copier elsewhere, with state and backup folders of its own. */
  elsewhere(more: Settings = {}): Scene {
    const scene = new Scene('', [], {}, this.data);
    const own = { pas: { backup_dir: scene.backup }, checkpoint: { dir: scene.state }, copier_id: 'copier-elsewhere' };
    scene.settings = merge(merge(this.settings, own), more);
    return scene;
  }

  /** A scene that begins where this one stands: copies of its storage, state and backup folder. */
  copy(): Scene {
    const scene = new Scene('', []);
    const { pas, checkpoint, storage } = scene.settings as Record<string, Settings>;
    scene.settings = merge(this.settings, {
      pas: { backup_dir: pas?.backup_dir },
      checkpoint: { dir: checkpoint?.dir },
      storage: { local_dir: storage?.local_dir },
    });
    for (const name of ['data', 'state', 'pas-backup']) {
      const from = join(this.root, name);
      if (existsSync(from)) cpSync(from, join(scene.root, name), { recursive: true });
    }
    return scene;
  }

  /** The configuration as a file. */
  config(settings: Settings = {}): string {
    const file = join(this.root, 'config.yaml');
    const text = stringify(merge(this.settings, settings));
    // Left alone where nothing changes: tests compare whole folders before and after.
    if (!existsSync(file) || readFileSync(file, 'utf8') !== text) writeFileSync(file, text);
    return file;
  }

  /** Starts any command with the scene's configuration. */
  start(command: string, { settings = {}, args = [], env: more = {}, ...rest }: RunChoices = {}): Running {
    const env = { ...this.environment, ...more };
    const words = [command, '--config', this.config(settings), ...args];
    if (command !== 'run') return new Running(words, { cwd: this.root, env, ...rest });
    const summary = join(this.root, `summary-${++summaries}.json`);
    return new Running([...words, '--summary', summary], { cwd: this.root, env, summary, ...rest });
  }

  run(choices: RunChoices = {}): Promise<Outcome> {
    return this.start('run', choices).done;
  }

  /** Any words of a command line, in the scene's folder; an object at the end is its environment. */
  command(...words: readonly (string | Record<string, string>)[]): Promise<Outcome> {
    const env = { ...this.environment, ...words.find((word) => typeof word === 'object') };
    const args = words.filter((word) => typeof word === 'string');
    return new Running(args, { cwd: this.root, env }).done;
  }

  /** Starts a run with these settings changed for good. */
  change(settings: Settings): this {
    this.settings = merge(this.settings, settings);
    return this;
  }

  /** Lakes of real ledgers that were re-numbered carry signatures that are false, as the old program's estates do. */
  get looksAtSignatures(): boolean {
    return (this.settings.checks as Settings | undefined)?.signatures !== 'off';
  }

  /** Folder of a chain below storage. */
  chain(network: string, eraId: string, version = 'v1'): string {
    return join(this.bronze, network, eraId, version);
  }

  /** Loses what is below the scene's root under these names. */
  lose(...names: readonly string[]): void {
    for (const name of names) rmSync(join(this.root, name), { recursive: true, force: true });
  }

  /** `verify` of the storage from outside: no configuration, no state. */
  verify(...args: readonly string[]): Promise<Outcome> {
    const off = this.looksAtSignatures ? [] : ['--signatures', 'off'];
    return program('verify', this.data, '--threads', '1', ...off, ...args);
  }
}

/** Runs any command line in an empty folder. */
export const program = (...args: readonly string[]): Promise<Outcome> => new Running(args, { cwd: tempFolder() }).done;
