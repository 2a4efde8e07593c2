/**
 * Who this process is, and whether another one is still alive, as Linux tells it under /proc. It does not guess: what
 * cannot be proved is `unknown`.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** What identifies a process beyond its number, which is used again. */
export interface ProcessId {
  readonly host: string;
  /** Changes with every boot of the machine, and no two machines have the same; null where the system does not tell. */
  readonly bootId: string | null;
  /** The namespace that `pid` is counted in, e.g. `pid:[4026531836]`; null where it is not known. */
  readonly pidNamespace: string | null;
  readonly pid: number;
  /** Clock ticks after boot (field 22 of /proc/pid/stat); null where the system does not tell. */
  readonly processStart: string | null;
}

/** The machine as this process sees it; replaced in tests. */
export interface HostView {
  readonly self: ProcessId;
  /**
   * Start time of a process of this machine, by its number in the namespace of `self`; null = there is none, or it has
   * ended and only waits for its parent to ask how; 'unknown' where that cannot be told.
   */
  startOf(pid: number): string | null | 'unknown';
}

/** Fields of a stat line from the third on. The command in field 2 may hold blanks and brackets: its last one counts. */
const fieldsOf = (stat: string): string[] => stat.slice(stat.lastIndexOf(')') + 2).split(' ');

/** Field 22 of a stat line. */
export function startTimeOf(stat: string): string | null {
  const start = fieldsOf(stat)[19] ?? '';
  return /^\d+$/.test(start) ? start : null;
}

/** Zombies and what is just being taken away: nothing of the program runs any more. */
const hasEnded = (stat: string): boolean => /^[ZXx]$/.test(fieldsOf(stat)[0] ?? '');

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

/** In a container whose /proc is that of those outside, the numbers there are not those of this process. */
function countsAsProc(): boolean {
  try {
    return readlinkSync('/proc/self') === String(process.pid);
  } catch {
    return true;
  }
}

function pidNamespace(): string | null {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return null;
  }
}

function startOf(pid: number): string | null | 'unknown' {
  if (!countsAsProc()) return 'unknown';
  const stat = readOrNull(`/proc/${pid}/stat`);
  if (stat !== null) return hasEnded(stat) ? null : (startTimeOf(stat) ?? 'unknown');
  try {
    process.kill(pid, 0);
    return 'unknown';
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ESRCH' ? null : 'unknown';
  }
}

/** The real machine and process. */
export function hostView(): HostView {
  const stat = readOrNull('/proc/self/stat');
  const self: ProcessId = {
    host: hostname(),
    bootId: readOrNull('/proc/sys/kernel/random/boot_id')?.trim() ?? null,
    pidNamespace: pidNamespace(),
    pid: process.pid,
    processStart: stat === null ? null : startTimeOf(stat),
  };
  return { self, startOf };
}

export type Liveness = 'alive' | 'dead' | 'unknown';

/** Same kernel: whatever the host is called now, or called itself then. Without boot ids the name has to do. */
export const isSameKernel = (view: HostView, of: ProcessId): boolean =>
  of.bootId !== null && view.self.bootId !== null ? of.bootId === view.self.bootId : of.host === view.self.host;

/**
 * Whether a process still runs, as far as numbers tell. They do where the kernel and the namespace are the same: dead is
 * what is not there, has another start time, or has ended. All others are `unknown`. That a number is used for another
 * namespace later is no matter: a process of one that is gone is gone.
 */
export function liveness(view: HostView, of: ProcessId): Liveness {
  if (!isSameKernel(view, of)) return 'unknown';
  if (of.pidNamespace === null ? of.host !== view.self.host : of.pidNamespace !== view.self.pidNamespace) {
    return 'unknown';
  }
  const start = view.startOf(of.pid);
  if (start === null) return 'dead';
  if (start === 'unknown' || of.processStart === null) return 'unknown';
  return start === of.processStart ? 'alive' : 'dead';
}

/** A host of this name that was booted since: for locks without a mark, of release 2.0, that has to do. */
export const wasRebooted = (view: HostView, of: ProcessId): boolean =>
  of.host === view.self.host && of.bootId !== null && view.self.bootId !== null && of.bootId !== view.self.bootId;
