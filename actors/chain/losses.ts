/**
 * Giving up what Bronze lost and something outside of it remembers: first a record beside the chain, created if absent,
 * of what was given up, when, by whom and why; then what remembers gets another name in its own folder. Each step can be
 * done again, so that a process may die between any two. It must never remove a file, and never touch what does not
 * contradict Bronze, nor begin before the record stands.
 */
import { createHash } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import * as z from 'zod';
import { BronzeError } from '../../machines/errors.ts';
import type { Contradiction } from '../../machines/evidence.ts';
import { rangeLabel } from '../../machines/partitions.ts';
import type { LedgerRange, Memory } from '../../machines/protocol.ts';
import { chainKey, givenUpName, lossesPrefix, lossKey } from '../bronze/names.ts';
import { createFile, fsyncFolder } from '../durable.ts';
import { errnoOf, type FileOps, fileError, realFiles } from '../files.ts';
import { parseJson, prettyJson } from '../json.ts';
import { killPoint } from '../kill-points.ts';
import type { Catalog, DatasetName } from '../ports/catalog.ts';
import { HEADS_FILE, headIn, readHeads, rewriteHeads } from '../state/heads.ts';
import type { BackupFolder } from '../version-1/old-chain.ts';
import type { ChainPlace } from './chain-place.ts';

const FORMAT = 1;

const lossSchema = z.looseObject({
  what: z.string(),
  /** Path, or URI of the catalog, as it was then. */
  object: z.string(),
  ledger_start: z.int().nullable(),
  ledger_end: z.int().nullable(),
  sequence: z.int().nullable(),
  event_hash: z.string().nullable(),
  checksum: z.string().nullable(),
  sha256: z.string().nullable(),
  problem: z.string().nullable(),
  why: z.string(),
  /** Where it is kept; null for rows, which this record keeps. */
  kept_as: z.string().nullable(),
});

const recordSchema = z.looseObject({
  format: z.int(),
  chain: z.string(),
  code: z.string(),
  given_up_at: z.string(),
  by: z.looseObject({ copier_id: z.string(), user: z.string(), host: z.string() }),
  reason: z.string(),
  ledger_start: z.int().nullable(),
  ledger_end: z.int().nullable(),
  bronze: z.looseObject({
    uri: z.string(),
    partitions: z.int(),
    events: z.int(),
    last_event_hash: z.string().nullable(),
  }),
  given_up: z.array(lossSchema),
});

/** One thing that was given up. */
export type Loss = Readonly<z.infer<typeof lossSchema>>;
/** What stands in a record, snake case as in the file. */
export type LossRecord = Readonly<z.infer<typeof recordSchema>>;

/** A record by its number. */
export interface LossFound {
  readonly number: number;
  readonly key: string;
  /** Null: it cannot be read. */
  readonly record: LossRecord | null;
}

/** All records of a chain, in order. Throws STORE_*. */
export async function readLosses(
  { store, chain }: Omit<ChainPlace, 'table'>,
  signal?: AbortSignal,
): Promise<LossFound[]> {
  const prefix = lossesPrefix(chain);
  const found: LossFound[] = [];
  for (const { key } of await store.list(prefix, signal)) {
    const match = /^(\d{10})\.json$/.exec(key.slice(prefix.length));
    const bytes = match && (await store.get(key, signal));
    if (match === null || bytes === null) continue;
    found.push({ number: Number(match[1]), key, record: parseRecord(bytes) });
  }
  return found;
}

function parseRecord(bytes: Uint8Array): LossRecord | null {
  try {
    return recordSchema.parse(parseJson(bytes));
  } catch {
    return null;
  }
}

/** For people: what was given up, in one line. */
export function lossText({ key, record }: LossFound): string {
  if (record === null) return `something was given up, and ${key} cannot be read`;
  const { ledger_start, ledger_end, given_up_at, by, reason } = record;
  const what =
    ledger_start === null ? 'what was remembered' : `what was remembered of ledgers ${ledger_start} to ${ledger_end}`;
  return `given up on ${given_up_at} by ${by.user} on ${by.host}: ${what} (${reason}); ${key}`;
}

/** What a contradiction is, to the byte: two of the same words are the same. */
const wordOf = ({ kind, object, range, sequence, eventHash, checksum, sha256, problem }: Memory): string =>
  JSON.stringify([kind, object, range && rangeLabel(range), sequence, eventHash, checksum, sha256, problem]);

const wordOfLoss = (loss: Loss): string =>
  JSON.stringify([
    loss.what,
    loss.object,
    loss.ledger_start === null ? null : `${loss.ledger_start}-${loss.ledger_end}`,
    ...[loss.sequence, loss.event_hash, loss.checksum, loss.sha256, loss.problem],
  ]);

/** Names exactly these contradictions: twelve hex digits over all that was found. */
export function codeOf(contradictions: readonly Contradiction[]): string {
  const words = contradictions.map(({ memory }) => wordOf(memory)).sort();
  return createHash('sha256').update(words.join('\n')).digest('hex').slice(0, 12);
}

export interface GivingUp {
  readonly contradictions: readonly Contradiction[];
  readonly ledgers: LedgerRange | null;
  readonly reason: string;
  readonly by: LossRecord['by'];
  /** RFC 3339. */
  readonly at: string;
  readonly bronze: LossRecord['bronze'];
}

const isRow = ({ kind }: Memory): boolean => kind === 'row';

function lossOf({ memory, why }: Contradiction, number: number): Loss {
  const { kind, object, range, sequence, eventHash, checksum, sha256, problem } = memory;
  return {
    what: kind,
    object,
    ledger_start: range?.start ?? null,
    ledger_end: range?.end ?? null,
    sequence,
    event_hash: eventHash,
    checksum,
    sha256,
    problem,
    why,
    kept_as: isRow(memory) ? null : join(dirname(object), givenUpName(basename(object), number)),
  };
}

/** Whether a record is of all of these, so that whoever wrote it may not have been through. */
export function covers({ given_up }: LossRecord, contradictions: readonly Contradiction[]): boolean {
  const known = new Set(given_up.map(wordOfLoss));
  return contradictions.every(({ memory }) => known.has(wordOf(memory)));
}

/**
 * Writes the record, under the first number that is free. Throws STORE_*, and STORE_IO where another process writes
 * records all the time.
 */
export async function recordLoss(
  { store, chain }: Omit<ChainPlace, 'table'>,
  of: GivingUp,
  first: number,
  signal?: AbortSignal,
): Promise<{ number: number; record: LossRecord }> {
  const { contradictions, ledgers, reason, by, at, bronze } = of;
  const code = codeOf(contradictions);
  for (let number = first; number < first + 100; number++) {
    const record: LossRecord = {
      format: FORMAT,
      chain: chainKey(chain),
      code,
      given_up_at: at,
      by,
      reason,
      ledger_start: ledgers?.start ?? null,
      ledger_end: ledgers?.end ?? null,
      bronze,
      given_up: contradictions.map((contradiction) => lossOf(contradiction, number)),
    };
    const key = lossKey(chain, number);
    killPoint('give-up:before-record');
    await store.create(key, prettyJson(record), signal);
    const bytes = await store.get(key, signal);
    const stored = bytes === null ? null : parseRecord(bytes);
    killPoint('give-up:after-record');
    // Also after `exists`: the request may have been repeated by a store.
    if (stored?.code === code && stored.given_up_at === at) return { number, record: stored };
  }
  const key = lossKey(chain, first);
  throw new BronzeError('STORE_IO', `no record could be created from ${key} on`, { details: { object: key } });
}

/** Where what is given up lies. */
export interface GiveUpTargets {
  readonly copies: BackupFolder;
  readonly catalog: { readonly catalog: Catalog; readonly dataset: DatasetName } | null;
}

async function setAside(files: FileOps, object: string, number: number): Promise<void> {
  const folder = dirname(object);
  const kept = join(folder, givenUpName(basename(object), number));
  try {
    await files.lstat(kept);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    await files.rename(object, kept);
    await fsyncFolder(files, folder);
    killPoint('give-up:after-move');
    return;
  }
  throw new BronzeError('STATE_IO', `${kept} is there already: it would be replaced`, {
    details: { object: kept, hint: 'find out whose it is and move it elsewhere' },
    retryable: false,
  });
}

/** The chain's line leaves the heads file; the file as it was is kept beside it. */
async function setHeadAside({ dir, chain, files = realFiles }: BackupFolder, number: number): Promise<void> {
  const heads = await readHeads(files, dir);
  if (heads.bytes === null) return;
  if (heads.problem !== null) return setAside(files, join(dir, HEADS_FILE), number);
  await createFile(files, dir, givenUpName(HEADS_FILE, number), heads.bytes);
  killPoint('give-up:after-heads-kept');
  await rewriteHeads(files, dir, async () => {
    const now = await readHeads(files, dir);
    if (now.problem !== null || headIn(now, chain) === null) return null;
    const { [chainKey(chain)]: _, ...others } = now.entries;
    return others;
  });
}

/**
 * Gives what contradicts another name; rows of the catalog are forgotten, and the record keeps them. `number`: of the
 * record that says so. Throws STATE_IO, CATALOG_*.
 */
export async function moveAside(
  { copies, catalog }: GiveUpTargets,
  contradictions: readonly Contradiction[],
  number: number,
  signal?: AbortSignal,
): Promise<void> {
  const files = copies.files ?? realFiles;
  const memories = contradictions.map(({ memory }) => memory);
  const ranges = memories.flatMap((memory) => (isRow(memory) && memory.range !== null ? [memory.range] : []));
  const moved = new Set<string>();
  for (const { kind, object } of memories) {
    if (kind === 'row' || moved.has(object)) continue;
    moved.add(object);
    try {
      if (kind === 'head') await setHeadAside(copies, number);
      else await setAside(files, object, number);
    } catch (error) {
      throw fileError('state', 'give another name to', object, error);
    }
  }
  if (ranges.length === 0 || catalog === null) return;
  if ((await catalog.catalog.forget(catalog.dataset, ranges, signal)) === 'held') {
    throw new BronzeError('CATALOG_UNAVAILABLE', `a reader holds the catalog ${catalog.catalog.uri} open`, {
      details: { object: catalog.catalog.uri, hint: 'close the reader, then give up again, with the same code' },
    });
  }
  killPoint('give-up:after-forget');
}
