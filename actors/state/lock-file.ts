/**
 * The lock file and the journal of staging owners as they stand on disk: names, contents, atomic writing. Who may hold
 * the lock is decided in lock.ts.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import * as z from 'zod';
import { type ChainName, chainFileLabel, lockFile } from '../bronze/names.ts';
import { readFully, readSmall, replaceFile, unlinkIfThere, writeSynced } from '../durable.ts';
import { errnoOf, type FileOps, OPEN } from '../files.ts';
import { parseJson, prettyJson } from '../json.ts';
import { killPoint } from '../kill-points.ts';
import type { ProcessId } from './host.ts';

const LIMIT = 1024 * 1024;
/** Owners that were never swept are forgotten beyond this number: what they left is swept when it is a day old. */
const JOURNAL_LIMIT = 1000;

const holderSchema = z.looseObject({
  host: z.string().min(1),
  boot_id: z.string().nullable(),
  /** Absent in locks of release 2.0. */
  pid_namespace: z.string().nullable().default(null),
  pid: z.int().positive(),
  process_start: z.string().nullable(),
  nonce: z.string().regex(/^[A-Za-z0-9_-]{8,64}$/),
  acquired_at: z.string(),
  copier_id: z.string(),
  /** How often the holder renews its mark, ms: the time at which the file was last written. Null: it does not. */
  renews_ms: z.int().positive().max(3_600_000).nullable().default(null),
});

/** The content of a lock file, as JSON on disk. */
export type LockHolder = Readonly<z.infer<typeof holderSchema>>;

export const processOf = (holder: LockHolder): ProcessId => ({
  host: holder.host,
  bootId: holder.boot_id,
  pidNamespace: holder.pid_namespace,
  pid: holder.pid,
  processStart: holder.process_start,
});

export const lockPath = (dir: string, chain: ChainName): string => join(dir, lockFile(chain));

/** Who may replace the lock of a dead holder: named after that holder's nonce, so that it is valid for it alone. */
export function claimPath(dir: string, chain: ChainName, deadNonce: string): string {
  const label = createHash('sha256').update(deadNonce).digest('hex').slice(0, 32);
  return join(dir, `${lockFile(chain)}.${label}.claim`);
}

function parseHolder(bytes: Uint8Array): LockHolder | 'corrupt' {
  try {
    return holderSchema.parse(parseJson(bytes));
  } catch {
    return 'corrupt';
  }
}

/** What stands at a lock's or claim's path: null = nothing, `corrupt` = something that is no holder. */
export async function readHolder(files: FileOps, path: string): Promise<LockHolder | 'corrupt' | null> {
  const bytes = await readSmall(files, path, LIMIT);
  return bytes === null ? null : parseHolder(bytes);
}

/**
 * When the holder with this nonce last renewed its mark, ms by the clock of the file system; null where another one or
 * none stands there. The file is opened for it: a network file system may answer from memory otherwise.
 */
export async function markOf(files: FileOps, path: string, nonce: string): Promise<number | null> {
  return withHolder(files, path, OPEN.read, async (fd, holder) =>
    holder?.nonce === nonce ? (await files.fstat(fd)).mtimeMs : null,
  );
}

/**
 * Renews the mark of the holder with this nonce: its first byte is written again, as it is. Answers who stands there; it
 * is renewed only where that is the one asked for. What was meant for it can meet another one that came in between, and
 * then changes nothing but its mark, once.
 */
export function renewMark(files: FileOps, path: string, nonce: string): Promise<LockHolder | null> {
  return withHolder(files, path, OPEN.update, async (fd, holder) => {
    if (holder?.nonce === nonce) await files.write(fd, FIRST_BYTE, 0, 1);
    return holder;
  });
}

/** Of everything that `prettyJson` makes of an object. */
const FIRST_BYTE = Buffer.from('{');

/** Null for `holder` where nothing stands there, or what is no holder. */
async function withHolder<T>(
  files: FileOps,
  path: string,
  flags: number,
  use: (fd: number, holder: LockHolder | null) => Promise<T | null>,
): Promise<T | null> {
  let fd: number;
  try {
    fd = await files.open(path, flags);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null;
    throw error;
  }
  try {
    const bytes = Buffer.alloc(Math.min((await files.fstat(fd)).size, LIMIT));
    const holder = parseHolder(bytes.subarray(0, await readFully(files, fd, bytes, 0)));
    return await use(fd, holder === 'corrupt' ? null : holder);
  } finally {
    await files.close(fd);
  }
}

/** The time at the file system that holds `dir`, ms, from a file that is written there and removed. */
export async function timeAt(files: FileOps, probe: string): Promise<number> {
  try {
    await writeSynced(files, probe, OPEN.overwrite, FIRST_BYTE);
    return (await files.lstat(probe)).mtimeMs;
  } finally {
    await unlinkIfThere(files, probe).catch(() => false);
  }
}

/** Writes the holder to a temporary file and makes it appear under `path` whole, if nothing stands there. */
export async function createHolder(files: FileOps, path: string, temp: string, holder: LockHolder): Promise<boolean> {
  await writeSynced(files, temp, OPEN.overwrite, prettyJson(holder));
  killPoint('lock:before-link');
  try {
    await files.link(temp, path);
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  }
  killPoint('lock:after-link');
  return true;
}

/** Who stands there instead of `nonce`; null where nobody else does. */
export async function otherHolder(files: FileOps, path: string, nonce: string): Promise<LockHolder | null> {
  const now = await readHolder(files, path);
  return now === null || now === 'corrupt' || now.nonce === nonce ? null : now;
}

/** Takes the lock of `nonce` away; never that of who took it over while its holder stood still. */
export async function removeOwn(files: FileOps, path: string, nonce: string): Promise<void> {
  const now = await readHolder(files, path);
  if (now !== null && now !== 'corrupt' && now.nonce === nonce) await unlinkIfThere(files, path);
}

/** Temporary files and claims of copiers that died while they took the lock; only its holder may call this. */
export async function removeLeftovers(files: FileOps, dir: string, chain: ChainName): Promise<void> {
  const leftover = new Set<string>();
  const prefix = `${lockFile(chain)}.`;
  for (const { name } of await files.readdir(dir)) {
    if (name.startsWith(prefix) && /^[0-9a-f]{32}\.(tmp|claim)$/.test(name.slice(prefix.length))) leftover.add(name);
  }
  for (const name of leftover) await unlinkIfThere(files, join(dir, name));
}

// ── the journal ──────────────────────────────────────────────────────────────────────────────────────────────────

const journalSchema = z.looseObject({ owners: z.array(z.string().regex(/^[A-Za-z0-9_-]{8,64}$/)) });

const journalFile = (chain: ChainName): string => `staging_${chainFileLabel(chain)}.json`;

/** Nonces whose staged files may still lie somewhere; empty where the journal is missing or unreadable (a hint only). */
export async function readJournal(files: FileOps, dir: string, chain: ChainName): Promise<string[]> {
  const bytes = await readSmall(files, join(dir, journalFile(chain)), LIMIT);
  if (bytes === null) return [];
  try {
    return journalSchema.parse(parseJson(bytes)).owners;
  } catch {
    return [];
  }
}

export async function writeJournal(
  files: FileOps,
  dir: string,
  chain: ChainName,
  owners: readonly string[],
): Promise<void> {
  const bytes = prettyJson({ owners: owners.slice(-JOURNAL_LIMIT) });
  await replaceFile(files, dir, journalFile(chain), bytes, (at) => killPoint(`journal:${at}`));
}
