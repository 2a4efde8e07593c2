/**
 * The backup folder as it is: the copies of one chain's events, and the hash that the heads file has for it; beside
 * them what all of it remembers, the old program's events included. A copy is told, and not believed.
 */

import { join } from 'node:path';
import type { Memory } from '../../machines/protocol.ts';
import { readCopies } from '../chain/copies.ts';
import { fileError, realFiles } from '../files.ts';
import { HEADS_FILE, headMemory } from '../state/heads.ts';
import { type BackupFolder, OLD_EVENTS } from '../version-1/old-chain.ts';
import type { CopiesFound } from './facts.ts';

/** Throws STATE_IO where the folder or a file in it cannot be read. */
export async function gatherCopies(
  at: BackupFolder,
  table: string,
  signal?: AbortSignal,
): Promise<{ readonly found: CopiesFound; readonly memories: readonly Memory[] }> {
  const { dir, chain, files = realFiles } = at;
  try {
    const heads = await headMemory(files, dir, chain);
    const read = await readCopies(files, dir, { chain, table }, signal);
    const old = await readCopies(files, join(dir, OLD_EVENTS), { chain, table }, signal);
    const head = heads[0]?.eventHash ?? null;
    const found = {
      dir,
      files: read.map(({ memory, range, event }) => ({
        file: memory.object,
        range,
        event,
        sha256: memory.sha256 ?? '',
      })),
      head,
      headProblem:
        head === null ? (heads[0]?.problem ?? `${HEADS_FILE} is not there, or has no hash for this chain`) : null,
    };
    return { found, memories: [...[...read, ...old].map(({ memory }) => memory), ...heads] };
  } catch (error) {
    throw fileError('state', 'read the copies of events in', dir, error);
  }
}
