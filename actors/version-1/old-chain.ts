/**
 * The old program's audit chain: events of version 1.1 in the backup folder, under the names that copies of this
 * program's events have as well. They are read and verified when an estate is adopted, and kept in `v1.1/` before
 * anything of this program takes their place. It must never let one of them be lost, nor change one.
 */
import { join } from 'node:path';
import { BronzeError } from '../../machines/errors.ts';
import { throwIfCancelled } from '../bounded.ts';
import { type ChainEvent, parseEvent } from '../bronze/event.ts';
import { type ChainName, chainFileLabel, chainKey } from '../bronze/names.ts';
import { ensureFolder, readSmall, replaceFile } from '../durable.ts';
import { errnoOf, type FileOps, fileError, realFiles } from '../files.ts';
import { parseJson } from '../json.ts';
import { headIn, readHeads, writeHead } from '../state/heads.ts';

/** Below the backup folder: where the old program's events are kept. */
export const OLD_EVENTS = 'v1.1';
const LIMIT = 16 * 1024 * 1024;

/** Where copies of events are. Several copiers and eras may share the folder: chains have files of their own, but for the heads. */
export interface BackupFolder {
  readonly dir: string;
  readonly chain: ChainName;
  readonly files?: FileOps;
}

/** Whether bytes are an event of the old program, whole or not. */
export function isOldEvent(bytes: Uint8Array): boolean {
  try {
    const json = parseJson(bytes);
    return typeof json === 'object' && json !== null && 'version' in json && json.version === '1.1';
  } catch {
    return false;
  }
}

/** Names of one chain's events in a folder, in order of ledgers; none where there is no folder. */
export async function eventNames(files: FileOps, dir: string, chain: ChainName): Promise<string[]> {
  const prefix = `${chainFileLabel(chain)}_`;
  const startOf = (name: string): number => Number.parseInt(name.slice(prefix.length), 10);
  try {
    return (await files.readdir(dir))
      .map((entry) => entry.name)
      .filter((name) => name.startsWith(prefix) && /^\d+-\d+\.json$/.test(name.slice(prefix.length)))
      .sort((a, b) => startOf(a) - startOf(b));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

const twoEvents = (object: string, kept: string): BronzeError =>
  new BronzeError('AUDIT_INVALID', `${object} and ${kept} are different events of version 1.1`, {
    details: {
      object,
      hint: 'find out which of the two is right and move the other one away (docs/runbook.md, "Taking over an estate of version 1")',
    },
  });

/**
 * Keeps one old event, durably, before another takes its place. Throws AUDIT_INVALID where another event is kept under
 * its name, and plain errno errors.
 */
export async function keepOldEvent(files: FileOps, dir: string, name: string, bytes: Uint8Array): Promise<void> {
  const folder = join(dir, OLD_EVENTS);
  const kept = await readSmall(files, join(folder, name), LIMIT);
  if (kept !== null) {
    if (Buffer.compare(kept, bytes) === 0) return;
    throw twoEvents(join(dir, name), join(folder, name));
  }
  await ensureFolder(files, folder);
  await replaceFile(files, folder, name, bytes);
}

/**
 * Keeps all old events of a chain, and the head that the old program had written. Not needed, and not done, where the
 * head in the folder is one of `ours`: then it was done before the first of ours was written. Answers the names of the
 * old events that still stand in the folder itself. Throws AUDIT_INVALID, STATE_IO, CANCELLED.
 */
export async function keepOldEvents(
  at: BackupFolder,
  ours: ReadonlySet<string>,
  signal?: AbortSignal,
  onProgress?: () => void,
): Promise<ReadonlySet<string>> {
  const files = at.files ?? realFiles;
  const { dir, chain } = at;
  const found = new Set<string>();
  try {
    const head = headIn(await readHeads(files, dir), chain)?.hash ?? null;
    if (head !== null && ours.has(head)) return found;
    for (const name of await eventNames(files, dir, chain)) {
      throwIfCancelled(signal);
      onProgress?.();
      const bytes = await readSmall(files, join(dir, name), LIMIT);
      if (bytes === null || !isOldEvent(bytes)) continue;
      await keepOldEvent(files, dir, name, bytes);
      found.add(name);
    }
    const folder = join(dir, OLD_EVENTS);
    if (found.size > 0 && head !== null && headIn(await readHeads(files, folder), chain) === null) {
      await writeHead(files, folder, chain, head);
    }
    return found;
  } catch (error) {
    throw fileError('state', 'keep the events of the old program in', join(dir, OLD_EVENTS), error);
  }
}

/** The old chain as its files say, in order of ledgers; not verified but for each event's own hash. */
export interface OldChain {
  readonly events: readonly ChainEvent[];
  /**
   * As the heads file says, that of the kept events before the other, which may name an event of ours by now; null
   * where neither says anything.
   */
  readonly head: string | null;
}

/**
 * Reads the old program's events of a chain, where it wrote them and where they are kept. Throws AUDIT_INVALID, STATE_IO,
 * CANCELLED.
 */
export async function readOldChain(at: BackupFolder, signal?: AbortSignal, onProgress?: () => void): Promise<OldChain> {
  const files = at.files ?? realFiles;
  const { dir, chain } = at;
  const events = new Map<string, ChainEvent>();
  let head: string | null = null;
  try {
    for (const folder of [dir, join(dir, OLD_EVENTS)]) {
      for (const name of await eventNames(files, folder, chain)) {
        throwIfCancelled(signal);
        onProgress?.();
        const path = join(folder, name);
        const bytes = await readSmall(files, path, LIMIT);
        if (bytes === null) continue;
        const event = parseEvent(bytes, path);
        // Two chains may share a prefix of names: `a_b/c` and `a/b_c`.
        if (event.version !== '1.1' || chainKey(event.chain) !== chainKey(chain)) continue;
        const twin = events.get(name);
        if (twin && twin.eventHash !== event.eventHash) throw twoEvents(twin.object, path);
        events.set(name, event);
      }
      // Also where there are no events: a head says that there were some.
      head = headIn(await readHeads(files, folder), chain)?.hash ?? head;
    }
  } catch (error) {
    throw fileError('state', 'read the events of the old program in', dir, error);
  }
  return { events: [...events.values()].sort((a, b) => a.range.start - b.range.start), head };
}
