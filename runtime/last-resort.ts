/**
 * The end of a process whose disk hangs. Node waits, while it exits, for every thread that is inside a system call, and a
 * call on a dead mount may never return. A child process waits for the end and, where it does not come, kills. It must
 * never shorten an end that comes by itself.
 */
import { spawn } from 'node:child_process';

/** How long an end may take once everything is over, ms: threads end in milliseconds where no call holds them. */
export const END_PATIENCE_MS = 5_000;

const KILLED = 'a call to the operating system does not return (a disk or a mount hangs?): the process was killed';

let isWatched = false;

/**
 * Lets this process live for `END_PATIENCE_MS` more, at the most. Killed from outside it has no exit code of its own: a
 * shell says 137. The child sees an end that comes earlier by the end of its standard input, so that it never kills
 * another process that got the same number. Where there is no process to be had, nothing changes.
 */
export function endForSure(): void {
  if (isWatched) return;
  isWatched = true;
  const watch = `
    process.stdin.on('end', () => process.exit()).resume();
    setTimeout(() => {
      process.kill(${process.pid}, 'SIGKILL');
      require('node:fs').writeSync(2, ${JSON.stringify(`\n${KILLED}\n`)});
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
