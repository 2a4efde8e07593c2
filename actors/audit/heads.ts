/**
 * `pas-chain-heads.json`: the heads of all chains that have copies of events in a folder. Several copiers and eras may
 * write it at once. It must never lose another chain's head, and nothing may be decided by it.
 */
import { join } from 'node:path';
import { fsyncFolder, readSmall, unlinkIfThere, writeSynced } from '../durable.ts';
import { errnoOf, type FileOps, OPEN } from '../files.ts';
import { parseJson, prettyJson } from '../json.ts';
import { killPoint } from '../kill-points.ts';
import { type ChainName, chainKey } from '../paths.ts';

export const HEADS_FILE = 'pas-chain-heads.json';
const LIMIT = 16 * 1024 * 1024;
/** Between two looks at a heads file that another copier is writing, ms. */
const HEADS_POLL_MS = 50;
/** A temporary file that does not change for this long was left behind by a dead process, ms. */
const HEADS_PATIENCE_MS = 1_000;

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

/** The heads as they stand; what cannot be read is treated as not there. Throws plain errno errors. */
export async function readHeads(files: FileOps, dir: string): Promise<Record<string, string>> {
  const bytes = await readSmall(files, join(dir, HEADS_FILE), LIMIT);
  if (bytes === null) return {};
  try {
    const json = parseJson(bytes);
    if (typeof json !== 'object' || json === null || Array.isArray(json)) return {};
    return Object.fromEntries(Object.entries(json).filter(([, hash]) => typeof hash === 'string'));
  } catch {
    return {};
  }
}

/**
 * By what a copier calls the system with, and folder: the end of its last write. The eras of one copier take turns here: of
 * two that find what a dead process left, at the same time, one would remove the other's file for it.
 */
const turns = new WeakMap<FileOps, Map<string, Promise<void>>>();

/** Makes an event the head of its chain, durably. Throws plain errno errors. */
export async function writeHead(files: FileOps, dir: string, chain: ChainName, eventHash: string): Promise<void> {
  const ends = turns.get(files) ?? new Map<string, Promise<void>>();
  turns.set(files, ends);
  const own = (ends.get(dir) ?? Promise.resolve()).then(() => writeInTurn(files, dir, chain, eventHash));
  ends.set(
    dir,
    own.catch(() => undefined),
  );
  await own;
}

async function writeInTurn(files: FileOps, dir: string, chain: ChainName, eventHash: string): Promise<void> {
  const path = join(dir, HEADS_FILE);
  if ((await readHeads(files, dir))[chainKey(chain)] === eventHash) return;
  const temp = `${path}.tmp`;
  await holdHeads(files, temp);
  try {
    const heads = { ...(await readHeads(files, dir)), [chainKey(chain)]: eventHash };
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
