/**
 * `pas-chain-heads.json`: the heads of all chains that have copies of events in a folder. Several copiers and eras may
 * write it at once. It must never lose another chain's head, never be written over where it cannot be read, and a chain's
 * head may only move forward along its chain.
 */
import { join } from 'node:path';
import { fromFailure } from '../../machines/errors.ts';
import { contradictionFailure } from '../../machines/evidence.ts';
import type { Memory } from '../../machines/protocol.ts';
import { sha256Hex } from '../bronze/manifest.ts';
import { type ChainName, chainKey } from '../bronze/names.ts';
import { fsyncFolder, readSmall, unlinkIfThere, writeSynced } from '../durable.ts';
import { errnoOf, type FileOps, OPEN } from '../files.ts';
import { parseJson, prettyJson } from '../json.ts';
import { killPoint } from '../kill-points.ts';

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

/** A heads file as it stands; chains of other copiers as they were written, whatever that is. */
export interface HeadsFile {
  readonly entries: Readonly<Record<string, unknown>>;
  /** Why it cannot be used; null where it can, or where there is none. */
  readonly problem: string | null;
  /** As it stands; null where there is none. */
  readonly bytes: Uint8Array | null;
}

function entriesOf(bytes: Uint8Array): Record<string, unknown> {
  const json = parseJson(bytes);
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new Error('it is no list of chains and hashes');
  }
  return { ...json };
}

/** Throws plain errno errors. */
export async function readHeads(files: FileOps, dir: string): Promise<HeadsFile> {
  const bytes = await readSmall(files, join(dir, HEADS_FILE), LIMIT);
  if (bytes === null) return { entries: {}, problem: null, bytes };
  try {
    return { entries: entriesOf(bytes), problem: null, bytes };
  } catch (error) {
    return { entries: {}, problem: `cannot be read: ${error instanceof Error ? error.message : String(error)}`, bytes };
  }
}

/** What a heads file says of one chain; null where it says nothing of it. */
export function headIn(
  { entries, problem }: HeadsFile,
  chain: ChainName,
): { hash: string | null; problem: string | null } | null {
  if (problem !== null) return { hash: null, problem };
  const key = chainKey(chain);
  const hash = Object.hasOwn(entries, key) ? entries[key] : undefined;
  if (hash === undefined) return null;
  if (typeof hash === 'string' && /^sha256:[0-9a-f]{64}$/.test(hash)) return { hash, problem: null };
  return { hash: null, problem: `has no hash for ${key}` };
}

/** What the heads file of a folder remembers of a chain; none where it says nothing of it. Throws plain errno errors. */
export async function headMemory(files: FileOps, dir: string, chain: ChainName): Promise<Memory[]> {
  const heads = await readHeads(files, dir);
  const found = headIn(heads, chain);
  if (found === null) return [];
  const { hash, problem } = found;
  const sha256 = problem === null || heads.bytes === null ? null : sha256Hex(heads.bytes);
  const nothing = { range: null, sequence: null, checksum: null, sha256 };
  return [{ kind: 'head', object: join(dir, HEADS_FILE), ...nothing, eventHash: hash, problem }];
}

/** Throws EVIDENCE_CONTRADICTS: what stands in the folder may not be written over. */
export function refuseToReplace(memory: Memory, why: string): never {
  throw fromFailure(contradictionFailure([{ memory, why }]));
}

/**
 * Where a head lies that is about to be replaced by another one: `behind` that one in its chain, `ahead` of it, or in no
 * place of the chain at all.
 */
export type HeadOrder = (head: string) => Promise<'behind' | 'ahead' | 'foreign'>;

/**
 * By what a copier calls the system with, and folder: the end of its last write. The eras of one copier take turns here: of
 * two that find what a dead process left, at the same time, one would remove the other's file for it.
 */
const turns = new WeakMap<FileOps, Map<string, Promise<void>>>();

/**
 * Makes an event the head of its chain, durably. One that is ahead of it stays. Throws EVIDENCE_CONTRADICTS where the file
 * cannot be read or names no event of the chain, and plain errno errors.
 */
export async function writeHead(
  files: FileOps,
  dir: string,
  chain: ChainName,
  eventHash: string,
  placeOf: HeadOrder = async () => 'foreign',
): Promise<void> {
  const ends = turns.get(files) ?? new Map<string, Promise<void>>();
  turns.set(files, ends);
  const own = (ends.get(dir) ?? Promise.resolve()).then(() => writeInTurn(files, dir, chain, eventHash, placeOf));
  ends.set(
    dir,
    own.catch(() => undefined),
  );
  await own;
}

/** The entries that the file is to have; null where it stays as it is. */
async function changed(
  files: FileOps,
  dir: string,
  chain: ChainName,
  eventHash: string,
  placeOf: HeadOrder,
): Promise<Record<string, unknown> | null> {
  const heads = await readHeads(files, dir);
  const [memory] = await headMemory(files, dir, chain);
  if (memory !== undefined) {
    const { eventHash: hash, object, problem } = memory;
    if (hash === null) refuseToReplace(memory, `${object} ${problem}`);
    if (hash === eventHash) return null;
    const place = await placeOf(hash);
    if (place === 'ahead') return null;
    if (place === 'foreign') {
      refuseToReplace(memory, `${object} names ${hash} as the last event, and the audit chain has no such event`);
    }
  }
  return { ...heads.entries, [chainKey(chain)]: eventHash };
}

async function writeInTurn(...of: Parameters<typeof changed>): Promise<void> {
  const [files, dir] = of;
  if ((await changed(...of)) === null) return;
  await rewriteHeads(files, dir, () => changed(...of));
}

/**
 * Gives the heads file other entries while nobody else changes it; `change` answers null where it is to stay as it is.
 * Throws plain errno errors, and what `change` throws.
 */
export async function rewriteHeads(
  files: FileOps,
  dir: string,
  change: () => Promise<Record<string, unknown> | null>,
): Promise<void> {
  const path = join(dir, HEADS_FILE);
  const temp = `${path}.tmp`;
  await holdHeads(files, temp);
  try {
    const entries = await change();
    if (entries === null) {
      await unlinkIfThere(files, temp);
      return;
    }
    const inOrder = Object.fromEntries(Object.entries(entries).sort(([a], [b]) => (a < b ? -1 : 1)));
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
