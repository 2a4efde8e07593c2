/**
 * The journal of one holder's uploads, beside the lock: an upload carries no name of its own, so that a successor knows
 * only from here which of them a dead process left behind. One JSON object a line, appended and made durable *before*
 * the upload is begun. It must never be rewritten; only who swept what it names removes it.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import * as z from 'zod';
import { readSmall, unlinkIfThere } from '../durable.ts';
import { errnoOf, type FileOps, fileError } from '../files.ts';
import { parseJson } from '../json.ts';

/** Bytes: a few hundred thousand partitions of one run. A longer one counts as lost; then the age of uploads decides. */
const LIMIT = 128 * 1024 * 1024;

const lineSchema = z.union([
  /** An upload to `key` is about to begin. */
  z.strictObject({ label: z.string(), key: z.string() }),
  /** It has begun and has this id. */
  z.strictObject({ label: z.string(), upload: z.string() }),
  /** Its completion is about to be asked for. */
  z.strictObject({ completing: z.string() }),
  /** It was completed or aborted. */
  z.strictObject({ ended: z.string() }),
]);

export type JournalLine = z.infer<typeof lineSchema>;

/** What a journal says was left. */
export interface LeftUploads {
  /**
   * Begun and not known to have ended. Keys are full keys. `completing`: its completion may be under way, or done with
   * nobody having heard of it.
   */
  readonly open: readonly { readonly key: string; readonly id: string; readonly completing: boolean }[];
  /** Keys to which an upload may have begun whose id was not written down any more. */
  readonly intended: readonly string[];
  /** Ids that the holder knew, ended ones included. */
  readonly known: ReadonlySet<string>;
}

/** Of a chain's journals in one bucket: `uploads_pubnet_pre_p23_v1_{bucket}_`, for a chain's prefix `pubnet/pre_p23/v1/`. */
const journalPrefix = (chainPrefix: string, bucket: string): string => {
  const place = createHash('sha256').update(bucket).digest('hex').slice(0, 8);
  return `uploads_${chainPrefix.replace(/\/$/, '').replaceAll('/', '_')}_${place}_`;
};

/** Path of an owner's journal. `bucket` names the bucket with its endpoint: another one's uploads are not known there. */
export const journalPath = (stateDir: string, chainPrefix: string, bucket: string, owner: string): string =>
  join(stateDir, `${journalPrefix(chainPrefix, bucket)}${owner}.jsonl`);

/** Owners of all journals of a chain in one bucket; none where there is no folder. Throws STATE_IO. */
export async function journalOwners(
  files: FileOps,
  stateDir: string,
  chainPrefix: string,
  bucket: string,
): Promise<string[]> {
  const prefix = journalPrefix(chainPrefix, bucket);
  try {
    const entries = await files.readdir(stateDir);
    return entries.flatMap(({ name }) =>
      name.startsWith(prefix) && name.endsWith('.jsonl') ? [name.slice(prefix.length, -'.jsonl'.length)] : [],
    );
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw fileError('state', 'look for journals of uploads in', stateDir, error);
  }
}

/** What a journal says; empty where there is none. Lines that were cut by a death are passed over. Throws STATE_IO. */
export async function readJournalOf(files: FileOps, path: string): Promise<LeftUploads> {
  let bytes: Uint8Array | null;
  try {
    const tooLong = (await sizeOf(files, path)) > LIMIT;
    bytes = tooLong ? null : await readSmall(files, path, LIMIT);
  } catch (error) {
    throw fileError('state', 'read the journal of uploads', path, error);
  }
  const keys = new Map<string, string>();
  const ids = new Map<string, string>();
  const ended = new Set<string>();
  const completing = new Set<string>();
  for (const text of Buffer.from(bytes ?? [])
    .toString()
    .split('\n')) {
    const line = parseLine(text);
    if (line === null) continue;
    if ('ended' in line) ended.add(line.ended);
    else if ('completing' in line) completing.add(line.completing);
    else if ('key' in line) keys.set(line.label, line.key);
    else ids.set(line.label, line.upload);
  }
  const open: { key: string; id: string; completing: boolean }[] = [];
  const intended: string[] = [];
  for (const [label, key] of keys) {
    const id = ids.get(label);
    if (id === undefined) intended.push(key);
    else if (!ended.has(id)) open.push({ key, id, completing: completing.has(id) });
  }
  return { open, intended, known: new Set(ids.values()) };
}

async function sizeOf(files: FileOps, path: string): Promise<number> {
  try {
    return (await files.lstat(path)).size;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 0;
    throw error;
  }
}

function parseLine(text: string): JournalLine | null {
  if (text === '') return null;
  try {
    return lineSchema.parse(parseJson(Buffer.from(text)));
  } catch {
    return null;
  }
}

/** Removes a journal; that it is gone already is fine. Throws STATE_IO. */
export async function removeJournal(files: FileOps, path: string): Promise<void> {
  try {
    await unlinkIfThere(files, path);
  } catch (error) {
    throw fileError('state', 'remove the journal of uploads', path, error);
  }
}
