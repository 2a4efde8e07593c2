/**
 * Where events are read from to be verified: a folder of files, `_audit/` of a store, an export of an endpoint. Each
 * event is checked against its own hash as it is read. What it cannot use is a failure of the source. Whether the
 * events are a chain is decided elsewhere.
 */
import { readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { BronzeError, type Failure, toFailure } from '../../machines/errors.ts';
import { rangeLabel } from '../../machines/partitions.ts';
import { mapBounded } from '../bounded.ts';
import { type ChainEvent, parseEvent } from '../bronze/event.ts';
import {
  auditPrefix,
  backupFile,
  type ChainName,
  chainKey,
  HEADS_FOLDER,
  headsPrefix,
  parseHeadName,
} from '../bronze/names.ts';
import { errnoOf, fileError } from '../files.ts';
import { decodeUtf8, parseJson } from '../json.ts';
import type { BronzeStore } from '../ports/store.ts';
import { HEADS_FILE } from '../state/heads.ts';
import { eventLeaf } from '../tlog/event-tree.ts';
import { entriesOf } from './chains.ts';
import { cutEvents } from './cut-events.ts';

/** Files read at a time. */
const PARALLEL = 16;
/** Folders between what is given and an `_audit/`, at the most: root, prefix, network, era, version. */
const DEPTH = 6;
/** Of an export, bytes; a string holds no more than half a gigabyte. */
const EXPORT_LIMIT = 400 * 1024 * 1024;
const AUDIT_FOLDER = '_audit';
/** Below a folder of events: those that the old program had written for the same chain. */
const OLD_FOLDER = 'v1.1';

/** An event, and the hash of the leaf that it is in the log of its chain; null for one of the old program. */
export type GatheredEvent = ChainEvent & { readonly leaf: Buffer | null };

/** What lies where signed heads do; nothing of it is believed yet. */
export interface FoundHead {
  /** Path or URI, for messages. */
  readonly object: string;
  /** Of how many events its name says that it is; null where the name says nothing. */
  readonly size: number | null;
  readonly bytes: Uint8Array;
}

export interface GatheredEvents {
  /** Folder, file or URI that the events are from. */
  readonly place: string;
  readonly events: readonly GatheredEvent[];
  /** What is there and cannot be used. */
  readonly failures: readonly Failure[];
  /** What `pas-chain-heads.json` says there: chain key → hash; null where there is none. */
  readonly heads: ReadonlyMap<string, string> | null;
  /** What the one in `v1.1/` says, which is of the old program's chains. */
  readonly oldHeads: ReadonlyMap<string, string> | null;
  /** Signed heads beside the events, where they were asked for. */
  readonly signedHeads: readonly FoundHead[];
}

interface Named {
  readonly name: string;
  /** Path or URI, for messages. */
  readonly object: string;
  readonly read: () => Promise<Uint8Array>;
}

/** An event, if it belongs where it was found. */
function eventOf(bytes: Uint8Array, { name, object }: Pick<Named, 'name' | 'object'>): ChainEvent {
  const event = parseEvent(bytes, object);
  // A copy has the name of its partition.
  const copied = /_(\d+)-(\d+)\.json$/.exec(name);
  if (copied !== null && name !== backupFile(event.chain, event.range)) {
    throw new BronzeError(
      'AUDIT_INVALID',
      `the copy ${object} does not belong there: it is of ${chainKey(event.chain)}, ledgers ${rangeLabel(event.range)}`,
      {
        details: { object, ...event.range },
      },
    );
  }
  const place = /^(\d{10})\.json$/.exec(name)?.[1];
  if (place !== undefined && event.sequence !== null && event.sequence !== Number(place)) {
    throw new BronzeError(
      'AUDIT_INVALID',
      `the event ${object} does not belong there: it is number ${event.sequence}`,
      {
        details: { object, ...event.range },
      },
    );
  }
  return event;
}

async function readAll(files: readonly Named[]): Promise<Pick<GatheredEvents, 'events' | 'failures'>> {
  const events: GatheredEvent[] = [];
  const failures: Failure[] = [];
  const read = await mapBounded(files, PARALLEL, async (file) => {
    const bytes = await file.read();
    try {
      const event = eventOf(bytes, file);
      return { ...event, leaf: event.sequence === null ? null : eventLeaf(bytes) };
    } catch (error) {
      return toFailure(error);
    }
  });
  for (const one of read) {
    if ('code' in one) failures.push(one);
    else events.push(one);
  }
  return { events, failures };
}

const fileAt = (folder: string, name: string): Named => {
  const path = join(folder, name);
  const read = () =>
    readFile(path).catch((error: unknown) => {
      throw fileError('store', 'read', path, error);
    });
  return { name, object: path, read };
};

/** What a path leads to; null where there is nothing. Throws STORE_*. */
export async function kindOf(path: string): Promise<'file' | 'folder' | null> {
  try {
    return (await stat(path)).isDirectory() ? 'folder' : 'file';
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return null;
    throw fileError('store', 'look at', path, error);
  }
}

/** Other JSON beside events: the heads, and what is named as no event ever is (`_bronze.json`). */
const isEventFile = (name: string): boolean => name.endsWith('.json') && name !== HEADS_FILE && !name.startsWith('_');

function headsIn(bytes: Uint8Array, object: string): ReadonlyMap<string, string> {
  const refuse = (why: string) =>
    new BronzeError('AUDIT_INVALID', `${object} cannot be used: ${why}`, {
      details: { object, hint: 'the next run writes it again' },
    });
  let json: unknown;
  try {
    json = parseJson(bytes);
  } catch (error) {
    throw refuse(error instanceof Error ? error.message : String(error));
  }
  const entries = typeof json === 'object' && json !== null && !Array.isArray(json) ? Object.entries(json) : [['', 0]];
  if (entries.some(([, hash]) => typeof hash !== 'string')) throw refuse('it is no list of chains and hashes');
  return new Map(entries as [string, string][]);
}

/** What the heads file of a folder says; what cannot be used of it is a failure. Throws STORE_*. */
async function headsOf(folder: string, failures: Failure[]): Promise<GatheredEvents['heads']> {
  const file = fileAt(folder, HEADS_FILE);
  const bytes = await file.read();
  try {
    return headsIn(bytes, file.object);
  } catch (error) {
    failures.push(toFailure(error));
    return null;
  }
}

/** Everything in a folder of signed heads or of copies of them. Throws STORE_*. */
export async function gatherHeads(folder: string): Promise<FoundHead[]> {
  const files = (await entriesOf(folder))
    .filter(({ isFolder }) => !isFolder)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  return mapBounded(files, PARALLEL, async ({ name }) => {
    const { object, read } = fileAt(folder, name);
    return { object, size: parseHeadName(name), bytes: await read() };
  });
}

/**
 * Events of one folder, and of a folder `v1.1` in it; where `withHeads`, also the heads in `heads`. Throws USAGE where there
 * is none, STORE_*.
 */
export async function gatherFolder(folder: string, withHeads = false): Promise<GatheredEvents> {
  if ((await kindOf(folder)) !== 'folder') throw new BronzeError('USAGE', `there is no folder ${folder} with events`);
  const below = join(folder, HEADS_FOLDER);
  // Before the events as well: a head is written after the last event that it is of.
  const signedHeads = withHeads && (await kindOf(below)) === 'folder' ? await gatherHeads(below) : [];
  // Before the events: a copier at work writes an event first and then makes it the head.
  const names = await entriesOf(folder);
  const hasHeads = names.some(({ name }) => name === HEADS_FILE);
  const failures: Failure[] = [];
  const heads = hasHeads ? await headsOf(folder, failures) : null;
  const old = names.some(({ name, isFolder }) => name === OLD_FOLDER && isFolder) ? join(folder, OLD_FOLDER) : null;
  const inside = hasHeads ? await entriesOf(folder) : names;
  const filesIn = (of: string, entries: typeof names) =>
    entries.filter(({ name, isFolder }) => isEventFile(name) && !isFolder).map(({ name }) => fileAt(of, name));
  const kept = old === null ? [] : await entriesOf(old);
  const hasOldHeads = old !== null && kept.some(({ name }) => name === HEADS_FILE);
  const oldHeads = hasOldHeads ? await headsOf(old, failures) : null;
  const files = [...filesIn(folder, inside), ...(old === null ? [] : filesIn(old, kept))];
  const read = await readAll(files.sort((a, b) => (a.object < b.object ? -1 : 1)));
  return {
    place: folder,
    events: read.events,
    failures: [...failures, ...read.failures],
    heads,
    oldHeads,
    signedHeads,
  };
}

/** Folders `_audit` below a folder, in order. Partitions and staging are not searched. */
async function auditFoldersBelow(folder: string, depth = DEPTH): Promise<string[]> {
  const found: string[] = [];
  const entries = (await entriesOf(folder)).filter(({ isFolder }) => isFolder);
  for (const { name } of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (name === AUDIT_FOLDER) found.push(join(folder, name));
    else if (depth > 0 && name !== '_staging' && !name.startsWith('range=')) {
      found.push(...(await auditFoldersBelow(join(folder, name), depth - 1)));
    }
  }
  return found;
}

/** Every `_audit/` below a folder; where there is none, the folder itself as one of copies. Throws STORE_*. */
export async function gatherBelow(folder: string, withHeads = false): Promise<GatheredEvents[]> {
  const found = basename(folder) === AUDIT_FOLDER ? [] : await auditFoldersBelow(folder);
  const sources: GatheredEvents[] = [];
  for (const each of found.length > 0 ? found : [folder]) sources.push(await gatherFolder(each, withHeads));
  return sources;
}

async function headsOfChain(store: BronzeStore, chain: ChainName): Promise<FoundHead[]> {
  const prefix = headsPrefix(chain);
  return mapBounded(await store.list(prefix), PARALLEL, async ({ key }) => ({
    object: `${store.uri}${key}`,
    size: parseHeadName(key.slice(prefix.length)),
    bytes: (await store.get(key)) ?? new Uint8Array(0),
  }));
}

/** Events of `_audit/` of one chain in a store, and of `v1.1/` in it. Throws STORE_*. */
export async function gatherChain(store: BronzeStore, chain: ChainName, withHeads = false): Promise<GatheredEvents> {
  const signedHeads = withHeads ? await headsOfChain(store, chain) : [];
  const prefix = auditPrefix(chain);
  const files = (await store.list(prefix)).flatMap(({ key }): Named[] => {
    const [name = '', folder = ''] = key.slice(prefix.length).split('/').reverse();
    if (!isEventFile(name) || ![prefix + name, `${prefix}${OLD_FOLDER}/${name}`].includes(key)) return [];
    const object = `${store.uri}${key}`;
    const read = async (): Promise<Uint8Array> => (await store.get(key)) ?? new Uint8Array(0);
    return [{ name: folder === OLD_FOLDER ? '' : name, object, read }];
  });
  const { events, failures } = await readAll(files);
  const foreign = events.filter((event) => chainKey(event.chain) !== chainKey(chain));
  const misplaced = foreign.map((event) =>
    toFailure(
      new BronzeError(
        'AUDIT_INVALID',
        `the event ${event.object} does not belong there: it is of ${chainKey(event.chain)}`,
        {
          details: { object: event.object, ...event.range },
        },
      ),
    ),
  );
  const own = events.filter((event) => !foreign.includes(event));
  return {
    place: `${store.uri}${prefix}`,
    events: own,
    failures: [...failures, ...misplaced],
    heads: null,
    oldHeads: null,
    signedHeads,
  };
}

/** Events of an export of an endpoint, in any order. Throws USAGE for what is none, STORE_*. */
export async function gatherExport(path: string): Promise<GatheredEvents> {
  const { size } = await stat(path);
  if (size > EXPORT_LIMIT) {
    throw new BronzeError('USAGE', `${path} has ${size} bytes: export it in parts of up to ${EXPORT_LIMIT} bytes`);
  }
  const none = (why: string) =>
    new BronzeError('USAGE', `${path} is no export of events: ${why}`, {
      details: { expected: 'a JSON array of events, {"events": [...]}, or JSON Lines' },
    });
  const bytes = await fileAt(path, '').read();
  let text: string;
  try {
    text = decodeUtf8(bytes).replace(/^\ufeff/, '');
  } catch {
    throw none('it is not UTF-8');
  }
  const cut = cutEvents(text);
  if (cut === null) throw none('it is neither JSON nor JSON Lines');
  const failures = cut.broken.map(({ at, reason }) =>
    toFailure(
      new BronzeError('AUDIT_INVALID', `${path}, ${at} is not JSON (${reason})`, {
        details: { object: `${path}, ${at}` },
      }),
    ),
  );
  const named = cut.cuts.map(({ at, text: its }) => ({
    name: '',
    object: `${path}, ${at}`,
    read: async () => Buffer.from(its),
  }));
  const read = await readAll(named);
  return {
    place: path,
    events: read.events,
    failures: [...failures, ...read.failures],
    heads: null,
    oldHeads: null,
    signedHeads: [],
  };
}
