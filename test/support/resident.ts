/** How large a process is. */
import { readFileSync } from 'node:fs';

/** Resident bytes of a process, now; 0 where it has ended. */
export function residentBytes(pid: number): number {
  try {
    const [, pages] = readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ');
    return Number(pages) * 4_096;
  } catch {
    return 0;
  }
}
