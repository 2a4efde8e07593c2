/**
 * Copies of events in the backup folder, for the users of the old program: one file per partition and the heads of all
 * chains. They must never be read for a decision; that they cannot be written is an error all the same (STATE_IO),
 * because somebody reads them.
 */
import { join } from 'node:path';
import { BronzeError } from '../../machines/errors.ts';
import type { AttestedEvent } from '../../machines/protocol.ts';
import { ensureFolder, fsyncFolder, readSmall, replaceFile, unlinkIfThere, writeSynced } from '../durable.ts';
import { errnoOf, type FileOps, fileError, OPEN, realFiles } from '../files.ts';
import { parseJson, prettyJson } from '../json.ts';
import { killPoint } from '../kill-points.ts';
import { backupFile, type ChainName, chainKey, eventKey } from '../paths.ts';
import type { BronzeStore } from '../ports.ts';

export const HEADS_FILE = 'pas-chain-heads.json';
const LIMIT = 16 * 1024 * 1024;
/** Between two looks at a heads file that another copier is writing, ms. */
const HEADS_POLL_MS = 50;
/** A temporary file that does not change for this long was left behind by a dead process, ms. */
const HEADS_PATIENCE_MS = 1_000;

/** Where copies go. Several copiers and eras may share the folder: chains have files of their own, but for the heads. */
export interface BackupFolder {
  readonly dir: string;
  readonly chain: ChainName;
  readonly files?: FileOps;
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Creates the temporary file of the heads, which is also the lock on them: whoever created it reads, changes and
 * renames. Two eras that finish together would lose one of two heads otherwise.
 */
async function holdHeads(files: FileOps, temp: string): Promise<void> {
  let waited = 0;
  let stamp = 0;
  for (;;) {
    try {
      await writeSynced(files, temp, OPEN.create, new Uint8Array(0));
      return;
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
    }
    await sleep(HEADS_POLL_MS);
    waited += HEADS_POLL_MS;
    try {
      const { mtimeMs } = await files.lstat(temp);
      if (mtimeMs !== stamp) waited = 0;
      stamp = mtimeMs;
      if (waited >= HEADS_PATIENCE_MS) await unlinkIfThere(files, temp);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
    }
  }
}

/** The heads as they stand; what cannot be read is treated as not there. */
async function readHeads(files: FileOps, path: string): Promise<Record<string, string>> {
  const bytes = await readSmall(files, path, LIMIT);
  if (bytes === null) return {};
  try {
    const json = parseJson(bytes);
    if (typeof json !== 'object' || json === null || Array.isArray(json)) return {};
    return Object.fromEntries(Object.entries(json).filter(([, hash]) => typeof hash === 'string'));
  } catch {
    return {};
  }
}

async function writeHead(files: FileOps, dir: string, chain: ChainName, eventHash: string): Promise<void> {
  const path = join(dir, HEADS_FILE);
  if ((await readHeads(files, path))[chainKey(chain)] === eventHash) return;
  const temp = `${path}.tmp`;
  await holdHeads(files, temp);
  try {
    const heads = { ...(await readHeads(files, path)), [chainKey(chain)]: eventHash };
    const inOrder = Object.fromEntries(Object.entries(heads).sort(([a], [b]) => (a < b ? -1 : 1)));
    await writeSynced(files, temp, OPEN.overwrite, prettyJson(inOrder));
    killPoint('copies:before-rename');
    await files.rename(temp, path);
  } catch (error) {
    await unlinkIfThere(files, temp).catch(() => false);
    throw error;
  }
  await fsyncFolder(files, dir);
  killPoint('copies:after-rename');
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
    await replaceFile(files, to.dir, name, bytes, (at) => killPoint(`copies:${at}`));
    if (isHead) await writeHead(files, to.dir, to.chain, event.eventHash);
  } catch (error) {
    throw fileError('state', 'write the copy of an event in', join(to.dir, name), error);
  }
}

/**
 * Writes what is missing or behind in the backup folder, from the chain: for a folder that was lost, or a copier that
 * died between an event and its copy. Of copies that are there only the last one's content is compared. Returns the
 * number of files written. Throws STATE_IO, and STORE_* or AUDIT_HOLE where an event cannot be read again.
 */
export async function restoreCopies(
  to: BackupFolder,
  store: BronzeStore,
  events: readonly AttestedEvent[],
  signal?: AbortSignal,
): Promise<number> {
  const files = to.files ?? realFiles;
  const last = events.at(-1);
  if (last === undefined) return 0;
  let written = 0;
  try {
    await ensureFolder(files, to.dir);
    const present = new Set((await files.readdir(to.dir)).map((entry) => entry.name));
    for (const event of events) {
      const name = backupFile(to.chain, event.range);
      if (present.has(name) && event !== last) continue;
      const key = eventKey(to.chain, event.sequence);
      const bytes = await store.get(key, signal);
      if (bytes === null)
        throw new BronzeError('AUDIT_HOLE', `the event ${key} vanished`, { details: { object: key } });
      const copy = present.has(name) ? await readSmall(files, join(to.dir, name), LIMIT) : null;
      if (copy !== null && Buffer.compare(copy, bytes) === 0) continue;
      await replaceFile(files, to.dir, name, bytes);
      written += 1;
    }
    const heads = await readHeads(files, join(to.dir, HEADS_FILE));
    if (heads[chainKey(to.chain)] !== last.eventHash) {
      await writeHead(files, to.dir, to.chain, last.eventHash);
      written += 1;
    }
    return written;
  } catch (error) {
    throw fileError('state', 'restore the copies of events in', to.dir, error);
  }
}
