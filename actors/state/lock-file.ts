/**
 * The lock file and the journal of staging owners as they stand on disk: names, contents, atomic writing.
 * It must never decide who may hold the lock.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import * as z from 'zod';
import { readSmall, replaceFile, unlinkIfThere, writeSynced } from '../durable.ts';
import { errnoOf, type FileOps, OPEN } from '../files.ts';
import { parseJson, prettyJson } from '../json.ts';
import { killPoint } from '../kill-points.ts';
import { type ChainName, chainFileLabel, lockFile } from '../paths.ts';
import type { ProcessId } from './host.ts';

const LIMIT = 1024 * 1024;
/** Owners that were never swept are forgotten beyond this number: what they left is swept when it is a day old. */
const JOURNAL_LIMIT = 1000;

const holderSchema = z.looseObject({
  host: z.string().min(1),
  boot_id: z.string().nullable(),
  pid: z.int().positive(),
  process_start: z.string().nullable(),
  nonce: z.string().regex(/^[A-Za-z0-9_-]{8,64}$/),
  acquired_at: z.string(),
  copier_id: z.string(),
});

/** The content of a lock file, as JSON on disk. */
export type LockHolder = Readonly<z.infer<typeof holderSchema>>;

export const processOf = (holder: LockHolder): ProcessId => ({
  host: holder.host,
  bootId: holder.boot_id,
  pid: holder.pid,
  processStart: holder.process_start,
});

export const lockPath = (dir: string, chain: ChainName): string => join(dir, lockFile(chain));

/** Who may replace the lock of a dead holder: named after that holder's nonce, so that it is valid for it alone. */
export function claimPath(dir: string, chain: ChainName, deadNonce: string): string {
  const label = createHash('sha256').update(deadNonce).digest('hex').slice(0, 32);
  return join(dir, `${lockFile(chain)}.${label}.claim`);
}

/** What stands at a lock's or claim's path: null = nothing, `corrupt` = something that is no holder. */
export async function readHolder(files: FileOps, path: string): Promise<LockHolder | 'corrupt' | null> {
  const bytes = await readSmall(files, path, LIMIT);
  if (bytes === null) return null;
  try {
    return holderSchema.parse(parseJson(bytes));
  } catch {
    return 'corrupt';
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
