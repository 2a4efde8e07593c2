/**
 * Who this process is, and whether another one is still alive, as Linux tells it under /proc. It must never guess:
 * what cannot be proved is `unknown`.
 */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

/** What identifies a process beyond its number, which is used again. */
export interface ProcessId {
  readonly host: string;
  /** Changes with every boot of the machine; null where the system does not tell. */
  readonly bootId: string | null;
  readonly pid: number;
  /** Clock ticks after boot (field 22 of /proc/pid/stat); null where the system does not tell. */
  readonly processStart: string | null;
}

/** The machine as this process sees it; replaced in tests. */
export interface HostView {
  readonly self: ProcessId;
  /** Start time of a process of this machine; null = there is none; 'unknown' where that cannot be told. */
  startOf(pid: number): string | null | 'unknown';
}

/** Field 22 of a stat line. The command in field 2 may hold blanks and brackets, so it is counted from the last one. */
export function startTimeOf(stat: string): string | null {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return /^\d+$/.test(fields[19] ?? '') ? (fields[19] as string) : null;
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

function startOf(pid: number): string | null | 'unknown' {
  const stat = readOrNull(`/proc/${pid}/stat`);
  if (stat !== null) return startTimeOf(stat) ?? 'unknown';
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
    pid: process.pid,
    processStart: stat === null ? null : startTimeOf(stat),
  };
  return { self, startOf };
}

export type Liveness = 'alive' | 'dead' | 'unknown';

/**
 * Whether a process still runs. Dead: same machine, other boot; or same boot and no process of that number and start
 * time. A process of another machine is always `unknown`.
 */
export function liveness(view: HostView, of: ProcessId): Liveness {
  if (of.host !== view.self.host) return 'unknown';
  if (of.bootId !== null && view.self.bootId !== null && of.bootId !== view.self.bootId) return 'dead';
  const start = view.startOf(of.pid);
  if (start === null) return 'dead';
  if (start === 'unknown' || of.processStart === null) return 'unknown';
  return start === of.processStart ? 'alive' : 'dead';
}
