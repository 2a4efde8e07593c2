/**
 * Gathers what is remembered of a chain outside of `_audit/`: the backup folder with the copies of events and the heads,
 * the old program's events in `v1.1/`, the checkpoint, the delivery pointer, the catalog's rows. All of it is read before
 * the chain is, because each is written after what it speaks of. It must never write, judge, or take "could not be read"
 * for "says nothing" where it is a file in the backup folder.
 */
import { join } from 'node:path';
import type { CheckpointFacts, Memory } from '../../machines/protocol.ts';
import { fileError, realFiles } from '../files.ts';
import type { Catalog, DatasetName, LineageRow } from '../ports/catalog.ts';
import type { Delivered, DeliveryPointer } from '../ports/delivery.ts';
import type { CheckpointStore } from '../ports/state.ts';
import { headMemory } from '../state/heads.ts';
import { type BackupFolder, OLD_EVENTS } from '../version-1/old-chain.ts';
import { readCopies } from './copies.ts';

/** Where something may be remembered of a chain. Whether the parts are switched on plays no part in it. */
export interface MemorySources {
  readonly copies: BackupFolder;
  readonly checkpoint: { readonly store: CheckpointStore; readonly file: string };
  readonly delivery: { readonly pointer: Pick<DeliveryPointer, 'remembered'>; readonly file: string };
  /** Null where none is configured. */
  readonly catalog: { readonly catalog: Catalog; readonly dataset: DatasetName } | null;
}

const NOTHING = { range: null, sequence: null, eventHash: null, checksum: null, problem: null, sha256: null };

/** The backup folder and `v1.1/` in it. Throws STATE_IO, CANCELLED. */
async function copiesRemember(
  { dir, chain, files = realFiles }: BackupFolder,
  table: string,
  signal?: AbortSignal,
  onProgress?: () => void,
): Promise<Memory[]> {
  try {
    // The heads before the copies, as they are written after them.
    const heads = await headMemory(files, dir, chain);
    const copies = await readCopies(files, dir, { chain, table }, signal, onProgress);
    const old = await readCopies(files, join(dir, OLD_EVENTS), { chain, table }, signal, onProgress);
    return [...copies, ...old].map(({ memory }) => memory).concat(heads);
  } catch (error) {
    throw fileError('state', 'read the copies of events in', dir, error);
  }
}

/** What a checkpoint says, and of one of the old program, what that said. */
export function checkpointRemembers(
  file: string,
  said: { readonly facts: CheckpointFacts | null; readonly old?: CheckpointFacts | null },
): Memory[] {
  const of = (kind: 'checkpoint' | 'old_checkpoint', { range, checksum }: CheckpointFacts): Memory[] => [
    { ...NOTHING, kind, object: file, range, checksum },
  ];
  if (said.facts !== null) return of('checkpoint', said.facts);
  return said.old == null ? [] : of('old_checkpoint', said.old);
}

export const deliveredMemory = (file: string, delivered: Delivered | null): Memory[] =>
  delivered === null ? [] : [{ ...NOTHING, kind: 'delivery', object: file, ...delivered }];

export const deliveryRemembers = async ({ pointer, file }: MemorySources['delivery']): Promise<Memory[]> =>
  deliveredMemory(file, await pointer.remembered());

export const rowMemories = (uri: string, rows: readonly LineageRow[]): Memory[] =>
  rows.map(({ range, checksum }) => ({ ...NOTHING, kind: 'row', object: uri, range, checksum }));

/** None where the catalog cannot be asked now: whoever writes to it says why. */
async function rowsRemember(of: MemorySources['catalog'], signal?: AbortSignal): Promise<Memory[]> {
  if (of === null) return [];
  const rows = await of.catalog.rows(of.dataset, signal).catch(() => null);
  return rowMemories(of.catalog.uri, rows ?? []);
}

/** All of it; nothing where `place` is null. Throws STATE_IO, CANCELLED. */
export async function gatherMemories(
  place: MemorySources | null,
  table: string,
  signal?: AbortSignal,
  onProgress?: () => void,
): Promise<Memory[]> {
  if (place === null) return [];
  const rows = rowsRemember(place.catalog, signal);
  const checkpoint = checkpointRemembers(place.checkpoint.file, await place.checkpoint.store.read());
  const delivery = await deliveryRemembers(place.delivery);
  const copies = await copiesRemember(place.copies, table, signal, onProgress);
  return [...copies, ...checkpoint, ...delivery, ...(await rows)];
}
