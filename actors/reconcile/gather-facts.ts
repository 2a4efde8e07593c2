/**
 * Looks at every part of one chain and goes on after whatever is damaged. It writes nothing. It must never take "could
 * not look" for "is not there": what the store, the state folder or the backup folder cannot read is thrown.
 */
import { BronzeError, toFailure } from '../../machines/errors.ts';
import { rangeLabel } from '../../machines/partitions.ts';
import type { AttestedEvent, LedgerRange } from '../../machines/protocol.ts';
import { mapBounded } from '../bounded.ts';
import { buildEvent } from '../bronze/event.ts';
import { manifestData, parseAnyManifest, sha256Hex, toEnds } from '../bronze/manifest.ts';
import { auditPrefix, dataFileName, isHeadKey, manifestKey, parsePartitionKey, tablePrefix } from '../bronze/names.ts';
import { readEvent } from '../chain/audit-chain.ts';
import { type BronzeFacts, compareBronze, readBronze } from '../chain/bronze-json.ts';
import type { ChainPlace } from '../chain/chain-place.ts';
import { checkpointRemembers, deliveryRemembers, type MemorySources } from '../chain/memories.ts';
import { prefixesOf } from '../chain/rederive.ts';
import type { ReadBackAnswer } from '../parquet/spec.ts';
import type { Catalog, DatasetName } from '../ports/catalog.ts';
import type { AuditEndpoint, DeliveryPointer } from '../ports/delivery.ts';
import type { CheckpointStore } from '../ports/state.ts';
import { condemnsContent } from '../sequencer/read-partition.ts';
import type { VerifierKey } from '../tlog/keys.ts';
import type { BackupFolder } from '../version-1/old-chain.ts';
import type {
  BronzeJsonFound,
  CatalogFound,
  ChainFacts,
  CheckpointFound,
  DataRead,
  DeliveryFound,
  EventFound,
  ManifestFound,
  PartitionFound,
} from './facts.ts';
import { fillsOf, tailOf } from './fills.ts';
import { gatherCopies } from './gather-copies.ts';
import { gatherSigned } from './signed.ts';
import { slotsOf } from './slots.ts';
import { isForeign } from './view.ts';

/** Small objects read at a time. */
const PARALLEL = 16;

export interface ReconcilePlace extends ChainPlace {
  readonly terms: BronzeFacts;
  readonly attests: boolean;
  /** Where something may be remembered, whatever is in use. */
  readonly memories: Omit<MemorySources, 'catalog'>;
  /** Null: no copies, no checkpoint, no catalog, no endpoint. */
  readonly backup: BackupFolder | null;
  readonly checkpoint: { readonly store: CheckpointStore; readonly file: string } | null;
  readonly catalog: { readonly catalog: Catalog; readonly dataset: DatasetName } | null;
  readonly delivery: {
    readonly endpoint: Pick<AuditEndpoint, 'uri'>;
    readonly pointer: Pick<DeliveryPointer, 'read'>;
  } | null;
  /** That signed heads are checked with; null: nothing is signed. */
  readonly keys: readonly VerifierKey[] | null;
}

/** How data objects are read. */
export interface DataReading {
  /** Reads the bytes of one data object; null: none is read. */
  readonly readBytes: ((range: LedgerRange, columns: 1 | 2) => Promise<ReadBackAnswer>) | null;
  readonly parallel: number;
  /** By range label: what was read already, and what is read now. */
  readonly known: Map<string, DataRead>;
  readonly onPartition: (done: number, of: number) => void;
}

interface Listed {
  readonly range: LedgerRange;
  dataBytes: number | null;
  hasManifest: boolean;
}

/** What is listed of the table, by range, in order; beside it the keys that no copier gives. */
async function listTable(place: ChainPlace, signal?: AbortSignal): Promise<{ listed: Listed[]; strays: string[] }> {
  const prefix = tablePrefix(place.chain, place.table);
  const byLabel = new Map<string, Listed>();
  const strays: string[] = [];
  for (const { key, size } of await place.store.list(prefix, signal)) {
    const found = parsePartitionKey(key.slice(prefix.length));
    const isData = found !== null && found.name === dataFileName(found.range);
    if (found === null || (!isData && found.name !== '_manifest.json')) {
      strays.push(key);
      continue;
    }
    const label = rangeLabel(found.range);
    const partition = byLabel.get(label) ?? { range: found.range, dataBytes: null, hasManifest: false };
    if (isData) partition.dataBytes = size;
    else partition.hasManifest = true;
    byLabel.set(label, partition);
  }
  const inOrder = (a: Listed, b: Listed): number => a.range.start - b.range.start || a.range.end - b.range.end;
  return { listed: [...byLabel.values()].sort(inOrder), strays };
}

async function gatherEvents(
  place: ChainPlace,
  signal?: AbortSignal,
): Promise<{ events: EventFound[]; strays: string[] }> {
  const prefix = auditPrefix(place.chain);
  const sequences: number[] = [];
  const strays: string[] = [];
  for (const { key } of await place.store.list(prefix, signal)) {
    const match = /^(\d{10})\.json$/.exec(key.slice(prefix.length));
    if (match) sequences.push(Number(match[1]));
    else if (!isHeadKey(place.chain, key)) strays.push(key);
  }
  const look = async (sequence: number): Promise<EventFound[]> => {
    try {
      const found = await readEvent(place, sequence, signal);
      if (found === null) return [];
      return [{ sequence, event: found.attested, problem: null, sha256: sha256Hex(found.bytes) }];
    } catch (error) {
      const { code, message } = toFailure(error);
      if (code !== 'AUDIT_INVALID') throw error;
      return [{ sequence, event: null, problem: message, sha256: '' }];
    }
  };
  return { events: (await mapBounded(sequences, PARALLEL, look, signal)).flat(), strays };
}

/** A manifest, and the hashes of the events that follow from it at the place of `event`. */
async function gatherManifest(
  place: ChainPlace,
  range: LedgerRange,
  event: AttestedEvent | undefined,
  prefixes: readonly string[],
  signal?: AbortSignal,
): Promise<{ manifest: ManifestFound | null; problem: string | null }> {
  const { store, chain, table } = place;
  const object = manifestKey(chain, table, range);
  const bytes = await store.get(object, signal);
  if (bytes === null) return { manifest: null, problem: null };
  try {
    const { columns, manifest } = parseAnyManifest(bytes, { chain, table, range, object });
    const data = manifestData(manifest, table);
    const sha256 = sha256Hex(bytes);
    const ledgers = columns === 1 ? (event?.ledgers ?? null) : toEnds(manifest.ledgers);
    let derivesTo: string[] = [];
    if (event !== undefined && ledgers !== null) {
      const sealed = { range, data, ledgers, manifestSha256: sha256, createdAt: manifest.created_at };
      const { sequence, prevEventHash } = event;
      const about = { chain, table, sealed, producer: manifest.producer, sequence, prevEventHash };
      derivesTo = prefixesOf(event.storagePrefix, ...prefixes).map(
        (storagePrefix) => buildEvent({ ...about, storagePrefix }).chain.event_hash,
      );
    }
    const source = columns === 1 ? null : manifest.source;
    return { manifest: { columns, data, ledgers, sha256, source, derivesTo }, problem: null };
  } catch (error) {
    if (!(error instanceof BronzeError) || error.code !== 'MANIFEST_INVALID') throw error;
    return { manifest: null, problem: error.message };
  }
}

/** Reads the data objects that are there and were not read yet. */
async function readData(
  listed: readonly PartitionFound[],
  reading: DataReading,
  signal?: AbortSignal,
): Promise<PartitionFound[]> {
  const { readBytes, known } = reading;
  const wanted = listed.filter(({ range, dataBytes }) => dataBytes !== null && !known.has(rangeLabel(range)));
  if (readBytes !== null) {
    let done = 0;
    const read = async ({ range, manifest }: PartitionFound): Promise<void> => {
      known.set(rangeLabel(range), await readOne(() => readBytes(range, manifest?.columns ?? 2)));
      reading.onPartition(++done, wanted.length);
    };
    await mapBounded(wanted, reading.parallel, read, signal);
  }
  return listed.map((partition) => ({ ...partition, read: known.get(rangeLabel(partition.range)) ?? null }));
}

async function readOne(read: () => Promise<ReadBackAnswer>): Promise<DataRead> {
  try {
    const { data } = await read();
    return { checksum: data.checksum, byteSize: data.byteSize };
  } catch (error) {
    const failure = toFailure(error);
    if (failure.code === 'CANCELLED' || failure.code === 'INTERNAL') throw error;
    // It ended earlier than it said, or vanished: it was read, and is not whole.
    return condemnsContent(error) ? { checksum: `none: ${failure.message}`, byteSize: 0 } : { failure };
  }
}

async function gatherBronzeJson(place: ReconcilePlace, signal?: AbortSignal): Promise<BronzeJsonFound> {
  const nothing = { problem: null, adopted: null, storagePrefix: null, oldChain: null };
  try {
    const differences = await compareBronze(place, place.terms, signal);
    if (differences === null) return { state: 'missing', ...nothing };
    if (differences.length > 0) return { state: 'mismatch', ...nothing, problem: differences.join('; ') };
    const { adopted: record, storagePrefix = null } = (await readBronze(place.store, place.chain, signal)) ?? {};
    const adopted = record ? { start: record.ledger_start, end: record.ledger_end } : null;
    const oldChain = record?.chain_head == null ? null : { head: record.chain_head, events: record.events };
    return { state: 'there', problem: null, adopted, storagePrefix, oldChain };
  } catch (error) {
    const { code, message } = toFailure(error);
    if (code !== 'BRONZE_INVALID') throw error;
    return { state: 'invalid', ...nothing, problem: message };
  }
}

async function gatherCheckpoint({ checkpoint }: ReconcilePlace): Promise<CheckpointFound | null> {
  if (checkpoint === null) return null;
  const { facts, problem, belongsTo = null, isOld = false, old = null } = await checkpoint.store.read();
  return { file: checkpoint.file, facts, problem, belongsTo, isOld, old };
}

async function gatherDelivery({ delivery, memories }: ReconcilePlace): Promise<DeliveryFound | null> {
  if (delivery === null) return null;
  const remembered = await memories.delivery.pointer.remembered();
  const { file } = memories.delivery;
  return { uri: delivery.endpoint.uri, file, remembered, ...(await delivery.pointer.read()) };
}

async function gatherCatalog({ catalog: of }: ReconcilePlace, signal?: AbortSignal): Promise<CatalogFound | null> {
  if (of === null) return null;
  const { uri } = of.catalog;
  try {
    return { uri, rows: await of.catalog.rows(of.dataset, signal), failure: null };
  } catch (error) {
    const failure = toFailure(error);
    if (failure.code === 'CANCELLED' || failure.code === 'INTERNAL') throw error;
    return { uri, rows: null, failure };
  }
}

/**
 * Everything about a chain, in one pass: two listings, a small read per event, manifest and copy, the rows, and the data
 * objects as `reading` says. Throws STORE_*, STATE_IO, CANCELLED.
 */
export async function gatherFacts(
  place: ReconcilePlace,
  reading: DataReading,
  signal?: AbortSignal,
): Promise<ChainFacts> {
  const bronzeJson = await gatherBronzeJson(place, signal);
  // What is written later is looked at earlier, so that a copier at work makes nothing look ahead of the chain.
  const catalog = await gatherCatalog(place, signal);
  const delivery = await gatherDelivery(place);
  const checkpoint = await gatherCheckpoint(place);
  const unused = [
    ...(delivery === null ? await deliveryRemembers(place.memories.delivery) : []),
    ...(checkpoint === null
      ? checkpointRemembers(place.memories.checkpoint.file, await place.memories.checkpoint.store.read())
      : []),
  ];
  const folder = await gatherCopies(place.backup ?? place.memories.copies, place.table, signal);
  const signed = place.keys && (await gatherSigned({ ...place, backup: place.memories.copies }, place.keys));
  const { events, strays: amongEvents } = await gatherEvents(place, signal);
  const { listed, strays } = await listTable(place, signal);
  const byLabel = new Map(events.flatMap(({ event }) => (event === null ? [] : [[rangeLabel(event.range), event]])));
  const prefixOf = new Map(events.map(({ sequence, event }) => [sequence, event?.storagePrefix]));
  const look = async (partition: Listed): Promise<PartitionFound> => {
    const { range, hasManifest } = partition;
    const nothing = { manifest: null, problem: null };
    const event = byLabel.get(rangeLabel(range));
    const before = event && prefixOf.get(event.sequence - 1);
    const prefixes = prefixesOf(before, bronzeJson.storagePrefix, place.store.prefix);
    const { manifest, problem } = hasManifest ? await gatherManifest(place, range, event, prefixes, signal) : nothing;
    return { ...partition, manifest, manifestProblem: problem, read: null };
  };
  const partitions = await readData(await mapBounded(listed, PARALLEL, look, signal), reading, signal);
  const looked = {
    ledgerStart: place.terms.grid.ledgerStart,
    attests: place.attests,
    bronzeJson,
    partitions,
    events,
    copies: place.backup === null ? null : folder.found,
  };
  const fills = await fillsOf(place, looked, slotsOf(looked).slots, signal);
  const { slots } = slotsOf(looked, fills);
  return {
    ...looked,
    chain: place.chain,
    table: place.table,
    storeUri: place.store.uri,
    storePrefix: place.store.prefix,
    strays: [...strays, ...amongEvents],
    fills,
    tail: place.attests && !isForeign(looked) ? await tailOf(place, looked, slots, signal) : [],
    memories: [...folder.memories, ...unused],
    checkpoint,
    catalog,
    delivery,
    signed,
  };
}
