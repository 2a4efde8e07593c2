/**
 * The backup folder as it is: the copies of one chain's events, and the hash that the heads file has for it. Copies of the
 * old program's events, which lie in a folder of their own, are not looked at. It must never believe a copy.
 */
import { join } from 'node:path';
import { sameRange } from '../../machines/partitions.ts';
import type { AttestedEvent, LedgerRange } from '../../machines/protocol.ts';
import { type BackupFolder, HEADS_FILE, LIMIT, readHeads } from '../audit/copies.ts';
import { attestedEvent, parseEvent } from '../audit/event.ts';
import { mapBounded } from '../bounded.ts';
import { sha256Hex } from '../commit/manifest.ts';
import { readSmall } from '../durable.ts';
import { errnoOf, type FileOps, fileError, realFiles } from '../files.ts';
import { backupFile, type ChainName, chainFileLabel, chainKey } from '../paths.ts';
import type { CopiesFound, CopyFound } from './facts.ts';

const PARALLEL = 16;

/** The range in the name of a copy of this chain's; null for any other name. */
function rangeOf(name: string, chain: ChainName): LedgerRange | null {
  const label = `${chainFileLabel(chain)}_`;
  const match = name.startsWith(label) ? /^(\d{1,10})-(\d{1,10})\.json$/.exec(name.slice(label.length)) : null;
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

async function namesIn(files: FileOps, dir: string): Promise<string[]> {
  try {
    return (await files.readdir(dir)).map(({ name }) => name);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Throws STATE_IO where the folder or a file in it cannot be read. */
export async function lookAtCopies(at: BackupFolder, table: string, signal?: AbortSignal): Promise<CopiesFound> {
  const files = at.files ?? realFiles;
  const { dir, chain } = at;
  try {
    const names = await namesIn(files, dir);
    const ours = names.flatMap((name) => {
      const range = rangeOf(name, chain);
      return range === null ? [] : [{ name, range }];
    });
    ours.sort((a, b) => a.range.start - b.range.start || a.range.end - b.range.end);
    const look = async ({ name, range }: (typeof ours)[number]): Promise<CopyFound[]> => {
      const file = join(dir, name);
      const bytes = await readSmall(files, file, LIMIT);
      if (bytes === null) return [];
      return [{ file, range, event: eventIn(bytes, file, { chain, table, range }), sha256: sha256Hex(bytes) }];
    };
    const copies = (await mapBounded(ours, PARALLEL, look, signal)).flat();
    const heads = await readHeads(files, join(dir, HEADS_FILE));
    const head = heads[chainKey(chain)] ?? null;
    const why = names.includes(HEADS_FILE) ? 'it has no hash for this chain, or cannot be read' : 'it is not there';
    return { dir, files: copies, head, headProblem: head === null ? why : null };
  } catch (error) {
    throw fileError('state', 'read the copies of events in', dir, error);
  }
}
