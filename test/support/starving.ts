/**
 * Machines that have too little of something: small disks that fill up, disks that hang, limits of memory. All of it by
 * the kernel's own means or, for a disk that hangs, by a library that holds the system calls; nothing of the program is
 * replaced. What is absent here (a tool, the right to mount) skips its tests by name, and fails them with CI=true.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, it } from 'vitest';
import { tempFolder } from './bronze.ts';
import type { Place } from './outcome.ts';
import type { Running, Scene } from './program.ts';

export const works = (file: string, ...args: readonly string[]): boolean => spawnSync(file, args).status === 0;

/** An `it` for tests that want something of the machine; they run side by side, for they wait more than they work. */
export function itWhere(holds: boolean, what: string) {
  return (name: string, body: () => Promise<void>): void => {
    const absent = (): never => {
      throw new Error(`this machine has not got ${what}`);
    };
    if (holds) it.concurrent(name, body);
    else if (process.env.CI === 'true') it(name, absent);
    else it.skip(`${name} (needs ${what})`, absent);
  };
}

/** util-linux: limits of a process that runs already. */
export const itLimited = itWhere(works('prlimit', '--version'), 'prlimit');

export const canMount = (): boolean =>
  works('nsenter', '--version') &&
  works('unshare', '--mount', '--propagation', 'private', 'mount', '-t', 'tmpfs', 'none', tempFolder());

/** Mounts in a namespace of their own, which take a right. */
export const itMounted = itWhere(canMount(), 'unshare, nsenter and the right to mount');

export const itStalled = itWhere(works('gcc', '--version'), 'gcc');

/** Sets a limit of a running program, bytes; `which` as prlimit(1) calls it. */
export function limit(running: Running, which: 'data' | 'fsize', bytes: number): void {
  execFileSync('prlimit', ['--pid', String(running.pid), `--${which}=${bytes}`]);
}

const keepers = new Set<ChildProcess>();
afterAll(() => {
  for (const keeper of keepers) keeper.kill('SIGKILL');
});

/** A folder of a scene on a disk of its own, which nobody sees but who is in the same namespace of mounts. */
export interface SmallDisk {
  /** What a program has to be started under, to see it. */
  readonly under: readonly string[];
  /** The scene as it is in there. */
  readonly place: Place;
  /** Changes its size, as mount(8) writes sizes. */
  resize(size: string): void;
}

export async function smallDisk(scene: Scene, folder: string, size: string): Promise<SmallDisk> {
  mkdirSync(folder, { recursive: true });
  // The namespace lives as long as this process, which ends by itself when the test's end closes its input.
  const script = 'mount -t tmpfs -o size="$1" none "$2" && echo mounted && exec cat';
  const keeper = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', size, folder]);
  keepers.add(keeper);
  await new Promise((mounted, reject) => {
    keeper.stdout.once('data', mounted);
    keeper.once('exit', () => reject(new Error('the small disk was not mounted')));
  });
  const under = ['nsenter', `--mount=/proc/${keeper.pid}/ns/mnt`];
  const inside = (path: string): string => `/proc/${keeper.pid}/root${path}`;
  const { bronze, state, backup } = scene;
  return {
    under,
    place: { bronze: inside(bronze), state: inside(state), backup: inside(backup) },
    resize: (to) => {
      execFileSync('nsenter', [...under.slice(1), 'mount', '-o', `remount,size=${to}`, folder]);
    },
  };
}

let library: string | null = null;

function stallLibrary(): string {
  if (library !== null) return library;
  library = join(tempFolder(), 'stalled-disk.so');
  const source = join(import.meta.dirname, 'stalled-disk.c');
  execFileSync('gcc', ['-O1', '-shared', '-fPIC', '-o', library, source, '-ldl'], { stdio: 'pipe' });
  return library;
}

/** A disk that hangs for every path that begins with `below`, from the start on until it is lifted. */
export class Stall {
  readonly env: Record<string, string>;
  readonly #folder = tempFolder();
  readonly #flag = join(this.#folder, 'hangs');

  constructor(below: string) {
    writeFileSync(this.#flag, '');
    this.env = {
      LD_PRELOAD: stallLibrary(),
      BRONZE_STALL_BELOW: below,
      BRONZE_STALL_WHILE: this.#flag,
      // Calls through the ring do not pass the C library.
      UV_USE_IO_URING: '0',
    };
  }

  /** Waits until a call of the program hangs. */
  async met(running: Running): Promise<void> {
    await running.until(() => readdirSync(this.#folder).length > 1, 'it met the disk that hangs');
  }

  lift(): void {
    if (existsSync(this.#flag)) rmSync(this.#flag);
  }
}

/** Lets a process have about half of one core until it is over: stopped and let go, 50 ms each, and once for `pauseMs`. */
export async function halfACore(running: Running, pauseMs: number): Promise<void> {
  for (let turn = 0; !running.isOver; turn++) {
    running.kill('SIGSTOP');
    await sleep(turn === 10 ? pauseMs : 50);
    running.kill('SIGCONT');
    await sleep(50);
  }
}
