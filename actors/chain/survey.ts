/**
 * The survey: what is durable about a chain, gathered from listings, events and the manifests that a decision needs.
 * It reads and judges only what no decision could mend (damage, forks, holes that cannot be filled). It must never
 * write, and never take part of a listing for the whole.
 */
import { BronzeError } from '../../machines/errors.ts';
import { rangeLabel } from '../../machines/partitions.ts';
import type { AttestedEvent, EraFacts, FoundPartition, SealedPartition } from '../../machines/protocol.ts';
import { mapBounded } from '../bounded.ts';
import { parseAnyManifest } from '../bronze/manifest.ts';
import { dataKey, eventKey, manifestKey } from '../bronze/names.ts';
import type { CheckpointStore } from '../ports/state.ts';
import { readChain } from './audit-chain.ts';
import { recordedPrefix } from './bronze-file.ts';
import { readBronze } from './bronze-json.ts';
import type { ChainPlace } from './chain-place.ts';
import { type Listed, listPartitions } from './list-partitions.ts';
import { gatherMemories, type MemorySources } from './memories.ts';
import { Derivations, prefixesOf } from './rederive.ts';
import { storedPartition } from './stored-partition.ts';

/** Manifests read at a time. */
const PARALLEL = 16;

export interface SurveyPlace extends ChainPlace {
  /** Null where checkpoints are switched off. */
  readonly checkpoint: CheckpointStore | null;
  /** Null: nothing outside of Bronze is asked, and so nothing contradicts. */
  readonly memories: MemorySources | null;
  /** Told of each event as it is stored, in any order. */
  readonly onEvent?: (sequence: number, bytes: Uint8Array) => void;
  /** Told why a checkpoint is not used; it is only a hint. `isOld`: because the old program wrote it, as it should have. */
  readonly onProblem?: (problem: string, isOld: boolean) => void;
  /** Told after each manifest: of an estate of the old program a little of every file is read, which takes a while. */
  readonly onProgress?: () => void;
}

/** What an event says about a partition's data must be true of what is there; a listing tells at least its size. */
function assertSizes(
  place: ChainPlace,
  partitions: readonly Listed[],
  events: ReadonlyMap<string, AttestedEvent>,
): void {
  for (const { range, dataBytes } of partitions) {
    const event = events.get(rangeLabel(range));
    if (event === undefined || dataBytes === null || dataBytes === event.data.byteSize) continue;
    const object = dataKey(place.chain, place.table, range);
    throw new BronzeError(
      'PARTITION_DAMAGED',
      `${object} has ${dataBytes} bytes; event ${event.sequence} attests ${event.data.byteSize}`,
      {
        details: {
          ...range,
          object,
          check: 'byte_size',
          expected: String(event.data.byteSize),
          found: String(dataBytes),
          hint: 'bring it back from a copy (docs/runbook.md, "A partition is damaged"); nothing was changed',
        },
      },
    );
  }
}

async function readManifest(
  place: ChainPlace,
  { range, dataBytes }: Listed,
  event: AttestedEvent | undefined,
  signal?: AbortSignal,
): Promise<SealedPartition | null> {
  const { store, chain, table } = place;
  const object = manifestKey(chain, table, range);
  const bytes = await store.get(object, signal);
  if (bytes === null) return null;
  // A manifest of the old program whose file is lost tells nothing about ledgers.
  const told = event !== undefined || dataBytes !== null;
  if (!told && parseAnyManifest(bytes, { chain, table, range, object }).columns === 1) return null;
  return (await storedPartition(place, range, bytes, event?.ledgers ?? null, signal)).sealed;
}

/** A manifest that was read must be the one that its event names. */
function assertAttested(place: ChainPlace, manifest: SealedPartition, event: AttestedEvent | undefined): void {
  if (event === undefined || event.manifestSha256 === manifest.manifestSha256) return;
  const object = manifestKey(place.chain, place.table, manifest.range);
  throw new BronzeError('PARTITION_DAMAGED', `${object} is not the manifest that event ${event.sequence} attests`, {
    details: {
      ...manifest.range,
      object,
      check: 'manifest_sha256',
      expected: event.manifestSha256,
      found: manifest.manifestSha256,
      hint: 'bring it back from a copy (docs/runbook.md, "A partition is damaged"); nothing was changed',
    },
  });
}

/** Holes in the sequence that lie side by side, with the events around them. */
interface Gap {
  readonly sequences: readonly number[];
  readonly before: AttestedEvent | null;
  readonly after: AttestedEvent;
}

function gapsOf(events: readonly AttestedEvent[], holes: readonly number[]): Gap[] {
  const gaps: Gap[] = [];
  let before: AttestedEvent | null = null;
  let next = 0;
  let hole = 0;
  for (const after of events) {
    const sequences: number[] = [];
    for (; hole < holes.length && (holes[hole] as number) < after.sequence; hole++)
      sequences.push(holes[hole] as number);
    if (after.sequence > next) gaps.push({ sequences, before, after });
    before = after;
    next = after.sequence + 1;
  }
  return gaps;
}

/** The events of one gap from stored manifests; only if the last one has the hash that its successor names. */
async function rederive(
  place: ChainPlace,
  gap: Gap,
  partitions: readonly FoundPartition[],
  prefixes: readonly string[],
  signal?: AbortSignal,
): Promise<AttestedEvent[]> {
  const start = gap.before === null ? 0 : gap.before.range.end + 1;
  const between = partitions.filter(({ range }) => range.start >= start && range.end < gap.after.range.start);
  const object = eventKey(place.chain, gap.sequences[0] as number);
  const lost = (why: string): BronzeError =>
    new BronzeError(
      'AUDIT_HOLE',
      `${gap.sequences.length} event(s) from ${object} on are missing and cannot be re-derived: ${why}`,
      { details: { object, hint: 'bring them back from the backup folder, where the copies have the same content' } },
    );
  const sealed = between.filter((partition) => partition.manifest !== null);
  if (sealed.length !== gap.sequences.length) {
    throw lost(`${sealed.length} sealed partition(s) lie between ledgers ${start} and ${gap.after.range.start}`);
  }
  const from = {
    sequence: gap.sequences[0] as number,
    prevEventHash: gap.before?.eventHash ?? null,
    prefixes: prefixesOf(gap.before?.storagePrefix, gap.after.storagePrefix, ...prefixes),
  };
  const ranges = sealed.map(({ range }) => range);
  const derived = await Derivations.of(place, ranges, from, signal);
  const wanted = gap.after.prevEventHash;
  const events = derived.count === ranges.length && wanted !== null ? derived.upTo(derived.count - 1, wanted) : null;
  if (events === null) {
    throw lost(`event ${gap.after.sequence} names ${wanted}, the manifests give ${derived.likeliest}`);
  }
  return events;
}

/** Which manifests a decision may need: of all that no event attests, of the last one attested, of those around holes. */
function wantsManifest(events: readonly AttestedEvent[], gaps: readonly Gap[]): (label: string) => boolean {
  const attested = new Set(events.map((event) => rangeLabel(event.range)));
  const around = [events.at(-1), ...gaps.flatMap(({ before, after }) => [before, after])];
  const needed = new Set(around.flatMap((event) => (event ? [rangeLabel(event.range)] : [])));
  return (label) => !attested.has(label) || needed.has(label);
}

/** An estate of the old program that no run has taken over: whoever adopts it judges what is there of its chain. */
const isToBeAdopted = (partitions: readonly FoundPartition[], events: readonly AttestedEvent[], begun: boolean) =>
  !begun && events.length === 0 && partitions.some(({ manifest }) => manifest?.isOld === true);

/**
 * Everything durable about a chain, and what is remembered of it. Costs one listing of the table, one of `_audit/`, one
 * small read per event and one per copy; of partitions of the old program that are not attested, also the small columns of
 * their files. Throws PARTITION_DAMAGED, MANIFEST_INVALID, AUDIT_INVALID, AUDIT_FORK, AUDIT_HOLE, STORE_*, STATE_IO.
 */
export async function surveyChain(place: SurveyPlace, signal?: AbortSignal): Promise<EraFacts> {
  // What is remembered is written last, so that of a copier at work nothing looks ahead of the chain.
  const remembered = await gatherMemories(place.memories, place.table, signal, place.onProgress);
  const { facts, problem, isOld = false } = (await place.checkpoint?.read()) ?? { facts: null, problem: null };
  if (problem !== null) place.onProblem?.(problem, isOld);
  // Events before partitions: a partition is published before it is attested, so what they speak of has to be in the listing.
  const { events, holes } = await readChain(place, signal);
  const listed = await listPartitions(place, signal);
  const byLabel = new Map(events.map((event) => [rangeLabel(event.range), event]));
  assertSizes(place, listed, byLabel);
  const gaps = gapsOf(events, holes);
  const wants = wantsManifest(events, gaps);
  const partitions = await mapBounded(
    listed,
    PARALLEL,
    async (partition): Promise<FoundPartition> => {
      const label = rangeLabel(partition.range);
      const event = byLabel.get(label);
      const manifest =
        partition.hasManifest && wants(label) ? await readManifest(place, partition, event, signal) : null;
      if (manifest !== null) {
        place.onProgress?.();
        assertAttested(place, manifest, event);
      }
      return { ...partition, manifest };
    },
    signal,
  );
  const rederived: AttestedEvent[] = [];
  if (gaps.length > 0) {
    const known = events.map(({ storagePrefix }) => storagePrefix);
    const prefixes = prefixesOf(...known, await recordedPrefix(place, signal), place.store.prefix);
    for (const gap of gaps) rederived.push(...(await rederive(place, gap, partitions, prefixes, signal)));
  }
  const bronze = remembered.length === 0 ? null : await readBronze(place.store, place.chain, signal);
  const memories = isToBeAdopted(partitions, events, bronze !== null)
    ? remembered.filter(({ kind }) => kind !== 'old_event' && kind !== 'head')
    : remembered;
  const adopted = bronze?.adopted ?? null;
  const oldChain = adopted?.chain_head == null ? null : { head: adopted.chain_head, events: adopted.events };
  return { partitions, events, checkpoint: facts, rederived, memories, oldChain };
}
