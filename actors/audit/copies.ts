/**
 * Copies of events in the backup folder, for the users of the old program: one file per partition and the heads of all
 * chains. They must never be read for a decision; that they cannot be written is an error all the same (STATE_IO),
 * because somebody reads them. An event of the old program is never replaced before it is kept elsewhere.
 */
import { join } from 'node:path';
import { BronzeError } from '../../machines/errors.ts';
import type { AttestedEvent } from '../../machines/protocol.ts';
import { mapBounded } from '../bounded.ts';
import { ensureFolder, readSmall, replaceFile } from '../durable.ts';
import { type FileOps, fileError, realFiles } from '../files.ts';
import { killPoint } from '../kill-points.ts';
import { backupFile, chainKey, eventKey } from '../paths.ts';
import type { BronzeStore } from '../ports.ts';
import { readHeads, writeHead } from './heads.ts';
import { type BackupFolder, isOldEvent, keepOldEvent, keepOldEvents } from './old-chain.ts';

/** Events read at a time. */
const PARALLEL = 16;
/** Of a copy, bytes. */
export const LIMIT = 16 * 1024 * 1024;

/** Replaces a copy; an event of the old program that stands under its name is kept first. */
async function replaceCopy(
  files: FileOps,
  dir: string,
  name: string,
  bytes: Uint8Array,
  hook?: Parameters<typeof replaceFile>[4],
): Promise<void> {
  const there = await readSmall(files, join(dir, name), LIMIT);
  if (there !== null && isOldEvent(there)) await keepOldEvent(files, dir, name, there);
  await replaceFile(files, dir, name, bytes, hook);
}

/** Writes the copy of one event, as stored, and makes it the chain's head. Throws STATE_IO. */
export async function writeCopies(
  to: BackupFolder,
  event: { readonly range: AttestedEvent['range']; readonly eventHash: string },
  bytes: Uint8Array,
  isHead: boolean,
): Promise<void> {
  const files = to.files ?? realFiles;
  const name = backupFile(to.chain, event.range);
  try {
    await ensureFolder(files, to.dir);
    await replaceCopy(files, to.dir, name, bytes, (at) => killPoint(`copies:${at}`));
    if (isHead) await writeHead(files, to.dir, to.chain, event.eventHash);
  } catch (error) {
    throw fileError('state', 'write the copy of an event in', join(to.dir, name), error);
  }
}

/**
 * Writes what is missing or behind in the backup folder, from the chain: for a folder that was lost, or a copier that
 * died between an event and its copy. Of copies that are there only the last one's content is compared, and that of all
 * where the folder is not known to be ours: the old program's events are kept, all of them, before the first of ours is
 * written. Answers how many files were written, and how many old events stood in their place or will have to give way.
 * Throws STATE_IO, AUDIT_INVALID (two different old events), and STORE_* or AUDIT_HOLE where an event cannot be read again.
 */
export async function restoreCopies(
  to: BackupFolder,
  store: BronzeStore,
  events: readonly AttestedEvent[],
  signal?: AbortSignal,
  onProgress?: () => void,
): Promise<{ written: number; old: number }> {
  const files = to.files ?? realFiles;
  const old = await keepOldEvents(to, new Set(events.map((event) => event.eventHash)), signal, onProgress);
  const last = events.at(-1);
  if (last === undefined) return { written: 0, old: old.size };
  let written = 0;
  try {
    await ensureFolder(files, to.dir);
    const present = new Set((await files.readdir(to.dir)).map((entry) => entry.name));
    const restore = async (event: AttestedEvent): Promise<void> => {
      const name = backupFile(to.chain, event.range);
      if (present.has(name) && !old.has(name) && event !== last) return;
      onProgress?.();
      const key = eventKey(to.chain, event.sequence);
      const bytes = await store.get(key, signal);
      if (bytes === null)
        throw new BronzeError('AUDIT_HOLE', `the event ${key} vanished`, { details: { object: key } });
      const copy = present.has(name) ? await readSmall(files, join(to.dir, name), LIMIT) : null;
      if (copy !== null && Buffer.compare(copy, bytes) === 0) return;
      await replaceCopy(files, to.dir, name, bytes);
      written += 1;
    };
    await mapBounded(events, PARALLEL, restore, signal);
    const heads = await readHeads(files, to.dir);
    if (heads[chainKey(to.chain)] !== last.eventHash) {
      await writeHead(files, to.dir, to.chain, last.eventHash);
      written += 1;
    }
    return { written, old: old.size };
  } catch (error) {
    throw fileError('state', 'restore the copies of events in', to.dir, error);
  }
}
