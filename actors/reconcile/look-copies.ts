/**
 * The backup folder as it is: the copies of one chain's events, and the hash that the heads file has for it. Copies of the
 * old program's events, which lie in a folder of their own, are not looked at. It must never believe a copy.
 */
import { join } from 'node:path';
import { sameRange } from '../../machines/partitions.ts';
import type { AttestedEvent, LedgerRange } from '../../machines/protocol.ts';
import { LIMIT } from '../audit/copies.ts';
import { attestedEvent, parseEvent } from '../audit/event.ts';
import { HEADS_FILE, readHeads } from '../audit/heads.ts';
import { type BackupFolder, eventNames } from '../audit/old-chain.ts';
import { mapBounded } from '../bounded.ts';
import { sha256Hex } from '../commit/manifest.ts';
import { readSmall } from '../durable.ts';
import { fileError, realFiles } from '../files.ts';
import { backupFile, type ChainName, chainKey } from '../paths.ts';
import type { CopiesFound, CopyFound } from './facts.ts';

const PARALLEL = 16;

/** The range in the name of a copy of this chain's; null for any other name. */
function rangeOf(name: string, chain: ChainName): LedgerRange | null {
  const match = /_(\d{1,10})-(\d{1,10})\.json$/.exec(name);
  if (!match) return null;
  const range = { start: Number(match[1]), end: Number(match[2]) };
  return backupFile(chain, range) === name ? range : null;
}

/** What a copy says; null where it cannot be used or is of another partition. */
function eventIn(bytes: Uint8Array, path: string, of: { chain: ChainName; table: string; range: LedgerRange }) {
  let event: AttestedEvent;
  try {
    const parsed = parseEvent(bytes, path);
    if (chainKey(parsed.chain) !== chainKey(of.chain) || parsed.table !== of.table) return null;
    event = attestedEvent(parsed);
  } catch {
    return null;
  }
  return sameRange(event.range, of.range) ? event : null;
}

/** Throws STATE_IO where the folder or a file in it cannot be read. */
export async function lookAtCopies(at: BackupFolder, table: string, signal?: AbortSignal): Promise<CopiesFound> {
  const files = at.files ?? realFiles;
  const { dir, chain } = at;
  try {
    const ours = (await eventNames(files, dir, chain)).flatMap((name) => {
      const range = rangeOf(name, chain);
      return range === null ? [] : [{ name, range }];
    });
    const look = async ({ name, range }: (typeof ours)[number]): Promise<CopyFound[]> => {
      const file = join(dir, name);
      const bytes = await readSmall(files, file, LIMIT);
      if (bytes === null) return [];
      return [{ file, range, event: eventIn(bytes, file, { chain, table, range }), sha256: sha256Hex(bytes) }];
    };
    const copies = (await mapBounded(ours, PARALLEL, look, signal)).flat();
    const heads = await readHeads(files, dir);
    const head = heads[chainKey(chain)] ?? null;
    return {
      dir,
      files: copies,
      head,
      headProblem: head === null ? `${HEADS_FILE} is not there, cannot be read, or has no hash for this chain` : null,
    };
  } catch (error) {
    throw fileError('state', 'read the copies of events in', dir, error);
  }
}
