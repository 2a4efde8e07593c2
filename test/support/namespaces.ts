/**
 * Namespaces of process numbers, as containers have them; they take a right. Absent, tests are skipped by name, and fail
 * with CI=true.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Running } from './program.ts';
import { itWhere } from './starving.ts';

/** What a program is started under, to be process 1 of a namespace of its own. */
export const PROCESS_1 = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'] as const;

/** The same, with a /proc that counts as those outside do. */
export const PROCESS_1_FOREIGN_PROC = ['unshare', '--pid', '--fork', '--kill-child'] as const;

const canUnshare = spawnSync(PROCESS_1[0], [...PROCESS_1.slice(1), 'true']).status === 0;

export const itInNamespace = itWhere(canUnshare, 'the right to make namespaces of process numbers');

/** Number, as it is out here, of the program that runs in there. */
export async function pidInside(running: Running): Promise<number> {
  for (;;) {
    const [child = ''] = readFileSync(`/proc/${running.pid}/task/${running.pid}/children`, 'utf8').trim().split(' ');
    if (child !== '') return Number(child);
    await sleep(5);
  }
}
