/**
 * The journal of one holder's uploads, beside the lock: an upload carries no name of its own, so that a successor knows
 * only from here which of them a dead process left behind. One JSON object a line, appended and made durable *before*
 * the upload is begun. It must never be rewritten; only who swept what it names removes it.
 */
import { constants } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { readSmall, unlinkIfThere } from '../durable.ts';
import { type FileOps, fileError } from '../files.ts';
import { parseJson } from '../json.ts';

/** Bytes; a year of partitions is a tenth of it. */
const LIMIT = 64 * 1024 * 1024;
const APPEND = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND;

const lineSchema = z.union([
  /** An upload to `key` is about to begin. */
  z.strictObject({ label: z.string(), key: z.string() }),
  /** It has begun and has this id. */
  z.strictObject({ label: z.string(), upload: z.string() }),
  /** It was completed or aborted. */
  z.strictObject({ ended: z.string() }),
]);

type JournalLine = z.infer<typeof lineSchema>;

/** What a journal says was left. */
export interface LeftUploads {
  /** Begun and not known to have ended. Keys are full keys. */
  readonly open: readonly { readonly key: string; readonly id: string }[];
  /** Keys to which an upload may have begun whose id was not written down any more. */
  readonly intended: readonly string[];
  /** Ids that the holder knew, ended ones included. */
  readonly known: ReadonlySet<string>;
}

/** `uploads_pubnet_pre_p23_v1_{owner}.jsonl`, for a chain's prefix `pubnet/pre_p23/v1/`. */
export const journalPath = (stateDir: string, chainPrefix: string, owner: string): string =>
  join(stateDir, `uploads_${chainPrefix.replace(/\/$/, '').replaceAll('/', '_')}_${owner}.jsonl`);

/** Appends a line. `durable`: fsync before it returns; that an upload has ended need not be. Throws STATE_IO. */
export async function appendLine(files: FileOps, path: string, line: JournalLine, durable: boolean): Promise<void> {
  try {
    const fd = await files.open(path, APPEND);
    try {
      const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
      let done = 0;
      while (done < bytes.length) done += await files.write(fd, bytes, done, bytes.length - done);
      if (durable) await files.fsync(fd);
    } finally {
      await files.close(fd);
    }
  } catch (error) {
    throw fileError('state', 'write the journal of uploads', path, error);
  }
}

/** What a journal says; empty where there is none. Lines that were cut by a death are passed over. Throws STATE_IO. */
export async function readJournalOf(files: FileOps, path: string): Promise<LeftUploads> {
  let bytes: Uint8Array | null;
  try {
    bytes = await readSmall(files, path, LIMIT);
  } catch (error) {
    throw fileError('state', 'read the journal of uploads', path, error);
  }
  const keys = new Map<string, string>();
  const ids = new Map<string, string>();
  const ended = new Set<string>();
  for (const text of Buffer.from(bytes ?? [])
    .toString()
    .split('\n')) {
    const line = parseLine(text);
    if (line === null) continue;
    if ('ended' in line) ended.add(line.ended);
    else if ('key' in line) keys.set(line.label, line.key);
    else ids.set(line.label, line.upload);
  }
  const open: { key: string; id: string }[] = [];
  const intended: string[] = [];
  for (const [label, key] of keys) {
    const id = ids.get(label);
    if (id === undefined) intended.push(key);
    else if (!ended.has(id)) open.push({ key, id });
  }
  return { open, intended, known: new Set(ids.values()) };
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
