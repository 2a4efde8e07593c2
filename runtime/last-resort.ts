/**
 * The end of a process whose disk hangs. Node waits, while it exits, for every thread that is inside a system call, and
 * a call on a dead mount may never return. A child process waits for the end and, where it does not come, kills.
 * Process 1 of a container takes no signal from inside: it looks for such a call first, and aborts. An end that comes
 * by itself is not shortened.
 */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { say } from './streams.ts';

/** How long an end may take once everything is over, ms: threads end in milliseconds where no call holds them. */
export const END_PATIENCE_MS = 5_000;

/** Process 1 looks so often, so far apart (ms), whether its threads come to rest before it aborts. */
const LOOKS = 20;
const LOOK_MS = 100;

const HANGS = 'a call to the operating system does not return (a disk or a mount hangs?)';

let isWatched = false;

/**
 * Lets this process live for `END_PATIENCE_MS` more, at the most. Killed from outside it has no exit code of its own: a
 * shell says 137. The child sees an end that comes earlier by the end of its standard input, so that it never kills
 * another process that got the same number. Where there is no process to be had, nothing changes.
 */
export function endForSure(): void {
  if (isWatched || process.pid === 1) return;
  isWatched = true;
  const watch = `
    process.stdin.on('end', () => process.exit()).resume();
    setTimeout(() => {
      process.kill(${process.pid}, 'SIGKILL');
      require('node:fs').writeSync(2, ${JSON.stringify(`\n${HANGS}: the process was killed\n`)});
    }, ${END_PATIENCE_MS});`;
  const child = spawn(process.execPath, ['-e', watch], {
    // The folder that this process was called from may be what hangs.
    cwd: '/',
    detached: true,
    // Another debugger, or another module that is loaded first, is not meant.
    env: { ...process.env, NODE_OPTIONS: '' },
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  child.on('error', () => undefined);
  child.unref();
}

/**
 * Ends this process now, with the code that is set where none is given: to Node a code that is undefined is 0, whatever
 * was set. Process 1 aborts where a call hangs: 139.
 */
export function exitForSure(code = process.exitCode): never {
  endForSure();
  if (process.pid === 1 && callHangs()) {
    say(`\n${HANGS}: process 1 aborts\n`);
    process.abort();
  }
  process.exit(code);
}

/** Calls in which threads rest that have nothing to do: futex, epoll_wait, epoll_pwait, futex_waitv, of both tables. */
const RESTING: Readonly<Record<string, readonly string[]>> = {
  x64: ['202', '232', '281', '449'],
  arm64: ['98', '22', '449'],
};

/** Whether a thread of this process is never seen at rest. Nothing else is done meanwhile. */
function callHangs(): boolean {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  let busy = busyThreads();
  for (let look = 1; look < LOOKS && busy.size > 0; look++) {
    Atomics.wait(pause, 0, 0, LOOK_MS);
    const now = busyThreads();
    busy = new Set([...busy].filter((thread) => now.has(thread)));
  }
  return busy.size > 0;
}

/** Threads that do not wait for something to do; without this one. */
function busyThreads(): Set<string> {
  const found = new Set<string>();
  const resting = RESTING[process.arch] ?? [];
  for (const thread of listed('/proc/self/task')) {
    try {
      const [call = ''] = readFileSync(`/proc/self/task/${thread}/syscall`, 'utf8').trim().split(' ');
      if (!resting.includes(call)) found.add(thread);
    } catch {
      // It has ended.
    }
  }
  found.delete(ownThread());
  return found;
}

/** As /proc counts, which may be otherwise than this process does. */
function ownThread(): string {
  try {
    return basename(readlinkSync('/proc/thread-self'));
  } catch {
    return '';
  }
}

/** Empty where the system has no such folder: the usual end is tried then. */
function listed(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
