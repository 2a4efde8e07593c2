/**
 * Copies of events in the backup folder, for the users of the old program and as evidence: one file per partition and the
 * heads of all chains. They must never be read for what Bronze holds, and never be replaced by other content: what stands
 * there and is not the event ends the era (EVIDENCE_CONTRADICTS). That they cannot be written is an error (STATE_IO),
 * because somebody reads them. An event of the old program gives way only after it is kept elsewhere.
 */
import { join } from 'node:path';
import { BronzeError } from '../../machines/errors.ts';
import { rangeLabel, sameRange } from '../../machines/partitions.ts';
import type { AttestedEvent, LedgerRange, Memory } from '../../machines/protocol.ts';
import { mapBounded } from '../bounded.ts';
import { attestedEvent, type ChainEvent, parseEvent } from '../bronze/event.ts';
import { sha256Hex } from '../bronze/manifest.ts';
import { backupFile, type ChainName, chainKey, eventKey } from '../bronze/names.ts';
import { createFile, ensureFolder, readSmall, removeFill, replaceFile } from '../durable.ts';
import { type FileOps, fileError, realFiles } from '../files.ts';
import { killPoint } from '../kill-points.ts';
import type { BronzeStore } from '../ports/store.ts';
import { type HeadOrder, headIn, readHeads, refuseToReplace, writeHead } from '../state/heads.ts';
import {
  type BackupFolder,
  eventNames,
  isOldEvent,
  keepOldEvent,
  keepOldEvents,
  OLD_EVENTS,
} from '../version-1/old-chain.ts';

/** Events read at a time. */
const PARALLEL = 16;
/** Of a copy, bytes. */
const LIMIT = 16 * 1024 * 1024;

/** What stands under the name of a copy. */
export interface CopyRead {
  readonly name: string;
  readonly range: LedgerRange;
  readonly memory: Memory;
  readonly event: AttestedEvent | null;
  readonly bytes: Uint8Array;
}

/** What stands under the name of a copy. `table`: null = of any table. */
function readCopy(of: {
  readonly dir: string;
  readonly name: string;
  readonly chain: ChainName;
  readonly table: string | null;
  readonly range: LedgerRange;
  readonly bytes: Uint8Array;
}): CopyRead {
  const { dir, name, chain, table, range, bytes } = of;
  const object = join(dir, name);
  const about = { object, range, sequence: null, eventHash: null, checksum: null, sha256: sha256Hex(bytes) };
  const wrong = (problem: string, kind: 'copy' | 'old_event' = 'copy'): CopyRead => {
    return { name, range, bytes, event: null, memory: { kind, ...about, problem } };
  };
  let parsed: ChainEvent;
  try {
    parsed = parseEvent(bytes, object);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return wrong(`is no event: ${reason}`, isOldEvent(bytes) ? 'old_event' : 'copy');
  }
  const kind = parsed.version === '1.1' ? 'old_event' : 'copy';
  if (chainKey(parsed.chain) !== chainKey(chain)) return wrong(`is an event of ${chainKey(parsed.chain)}`, kind);
  if (table !== null && parsed.table !== table) return wrong(`is an event of the table ${parsed.table}`, kind);
  if (!sameRange(parsed.range, range)) return wrong(`is the event of ledgers ${rangeLabel(parsed.range)}`, kind);
  const event = kind === 'copy' ? attestedEvent(parsed) : null;
  const says = { sequence: parsed.sequence, eventHash: parsed.eventHash, checksum: parsed.data.checksum };
  return { name, range, bytes, event, memory: { kind, ...about, ...says, problem: null } };
}

/** The range in the name of a copy of this chain's; null for any other name. */
function copyRange(name: string, chain: ChainName): LedgerRange | null {
  const match = /_(\d{1,10})-(\d{1,10})\.json$/.exec(name);
  if (!match) return null;
  const range = { start: Number(match[1]), end: Number(match[2]) };
  return backupFile(chain, range) === name ? range : null;
}

/** All that stands under the name of a copy of a chain, in a folder. Throws plain errno errors, CANCELLED. */
export async function readCopies(
  files: FileOps,
  dir: string,
  { chain, table }: { readonly chain: ChainName; readonly table: string | null },
  signal?: AbortSignal,
  onProgress?: () => void,
): Promise<CopyRead[]> {
  const read = async (name: string): Promise<CopyRead[]> => {
    const range = copyRange(name, chain);
    const bytes = range && (await readSmall(files, join(dir, name), LIMIT));
    onProgress?.();
    return range === null || bytes === null ? [] : [readCopy({ dir, name, chain, table, range, bytes })];
  };
  return (await mapBounded(await eventNames(files, dir, chain), PARALLEL, read, signal)).flat();
}

/** What stands under the name of the copy of one event; null where nothing does. Throws STATE_IO. */
export async function readCopyOf(
  { dir, chain, files = realFiles }: BackupFolder,
  range: LedgerRange,
): Promise<CopyRead | null> {
  const name = backupFile(chain, range);
  try {
    const bytes = await readSmall(files, join(dir, name), LIMIT);
    return bytes && readCopy({ dir, name, chain, table: null, range, bytes });
  } catch (error) {
    throw fileError('state', 'read the copy of an event', join(dir, name), error);
  }
}

type Event = Pick<AttestedEvent, 'range' | 'eventHash'>;

/** Throws EVIDENCE_CONTRADICTS where what stands under the name of a copy is not this event. */
function assertCopyOf({ memory }: CopyRead, { eventHash }: Event): void {
  if (memory.problem !== null) refuseToReplace(memory, `${memory.object} ${memory.problem}`);
  if (memory.eventHash === eventHash) return;
  refuseToReplace(
    memory,
    `${memory.object} is a copy of an event with the hash ${memory.eventHash}, and the event is ${eventHash}`,
  );
}

/** Puts a copy where none is. Answers whether it did; the same event in other formatting stays. */
async function putCopy(
  { dir, chain, files = realFiles }: BackupFolder,
  event: Event,
  bytes: Uint8Array,
  hook: Parameters<typeof createFile>[4] = (at) => killPoint(`copies:${at}`),
): Promise<boolean> {
  const name = backupFile(chain, event.range);
  const there = await readSmall(files, join(dir, name), LIMIT);
  if (there !== null && isOldEvent(there)) {
    await keepOldEvent(files, dir, name, there);
    await replaceFile(files, dir, name, bytes, hook);
    return true;
  }
  if (there === null && (await createFile(files, dir, name, bytes, hook))) return true;
  const found = there ?? (await readSmall(files, join(dir, name), LIMIT));
  if (found === null) throw new Error(`${join(dir, name)} comes and goes`);
  if (Buffer.compare(found, bytes) !== 0) {
    assertCopyOf(readCopy({ dir, name, chain, table: null, range: event.range, bytes: found }), event);
  }
  await removeFill(files, dir, name, bytes);
  return false;
}

/** Whether a hash is that of an event of the old program that is in the folder, or kept below it. */
async function isOldHead({ dir, chain, files = realFiles }: BackupFolder, head: string): Promise<boolean> {
  for (const folder of [dir, join(dir, OLD_EVENTS)]) {
    if (headIn(await readHeads(files, folder), chain)?.hash === head && folder !== dir) return true;
    const copies = await readCopies(files, folder, { chain, table: null });
    if (copies.some(({ memory }) => memory.kind === 'old_event' && memory.eventHash === head)) return true;
  }
  return false;
}

const putHead = (to: BackupFolder, eventHash: string, placeOf?: HeadOrder): Promise<void> =>
  writeHead(to.files ?? realFiles, to.dir, to.chain, eventHash, async (head) => {
    const place = (await placeOf?.(head)) ?? 'foreign';
    return place === 'foreign' && (await isOldHead(to, head)) ? 'behind' : place;
  });

/**
 * Writes the copy of one event, as stored, and makes it the chain's head. `placeOf` tells where a head that stands there
 * lies, seen from this event. Throws STATE_IO, EVIDENCE_CONTRADICTS.
 */
export async function writeCopies(
  to: BackupFolder,
  event: Event,
  bytes: Uint8Array,
  isHead: boolean,
  placeOf?: HeadOrder,
): Promise<void> {
  const files = to.files ?? realFiles;
  try {
    await ensureFolder(files, to.dir);
    await putCopy(to, event, bytes);
    if (isHead) await putHead(to, event.eventHash, placeOf);
  } catch (error) {
    throw fileError('state', 'write the copy of an event in', join(to.dir, backupFile(to.chain, event.range)), error);
  }
}

/**
 * Writes what is missing in the backup folder, from the chain: for a folder that was lost, or a copier that died between
 * an event and its copy. What is there was read and judged before, by the survey. The old program's events are kept, all of
 * them, before the first of ours is written. Answers how many files were written, and how many old events stood in their
 * place or will have to give way. `placeOf` as for `writeCopies`, seen from the last event. Throws STATE_IO,
 * EVIDENCE_CONTRADICTS, AUDIT_INVALID (two different old events), and STORE_* or AUDIT_HOLE where an event cannot be read again.
 */
export async function restoreCopies(
  to: BackupFolder,
  store: BronzeStore,
  events: readonly AttestedEvent[],
  signal?: AbortSignal,
  onProgress?: () => void,
  placeOf?: HeadOrder,
): Promise<{ written: number; old: number }> {
  const files = to.files ?? realFiles;
  const bySequence = new Map(events.map((event) => [event.eventHash, event.sequence]));
  const old = await keepOldEvents(to, new Set(bySequence.keys()), signal, onProgress);
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
      if (await putCopy(to, event, bytes, () => undefined)) written += 1;
    };
    await mapBounded(events, PARALLEL, restore, signal);
    const head = headIn(await readHeads(files, to.dir), to.chain);
    if (head?.hash !== last.eventHash) {
      await putHead(to, last.eventHash, async (hash) =>
        bySequence.has(hash) ? 'behind' : ((await placeOf?.(hash)) ?? 'foreign'),
      );
      written += 1;
    }
    return { written, old: old.size };
  } catch (error) {
    throw fileError('state', 'restore the copies of events in', to.dir, error);
  }
}
