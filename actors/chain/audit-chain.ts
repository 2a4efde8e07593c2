/**
 * The audit chain in `_audit/` of a store: read whole, and extended by one event. Backend-independent.
 * It must never write an event that does not follow from the stored manifest, nor replace one that stands there.
 */
import { BronzeError } from '../../machines/errors.ts';
import { rangeLabel, sameRange } from '../../machines/partitions.ts';
import type { AttestedEvent, ChainHead, LedgerRange } from '../../machines/protocol.ts';
import { mapBounded } from '../bounded.ts';
import { attestedEvent, buildEvent, type ChainEvent, eventBytes, parseEvent } from '../bronze/event.ts';
import { auditPrefix, type ChainName, chainKey, eventKey, manifestKey } from '../bronze/names.ts';
import { killPoint } from '../kill-points.ts';
import { type HeadOrder, refuseToReplace } from '../state/heads.ts';
import type { BackupFolder } from '../version-1/old-chain.ts';
import type { ChainPlace } from './chain-place.ts';
import { readCopyOf, writeCopies } from './copies.ts';
import { storedPartition } from './stored-partition.ts';

/** Events read at a time: small objects, so that a store far away is not waited for one by one. */
const PARALLEL = 16;

/** What does not change about the event of a partition, wherever in the chain it comes. */
export type EventFacts = Omit<Parameters<typeof buildEvent>[0], 'storagePrefix' | 'sequence' | 'prevEventHash'>;

/** A chain, and who is told of the events that stand in it, as they are stored and in any order. */
type WatchedChain = ChainPlace & { readonly onEvent?: (sequence: number, bytes: Uint8Array) => void };

/** The chain as it stands; `events` in order of sequence. */
export interface AuditChain {
  readonly events: readonly AttestedEvent[];
  /** Sequences below the last one for which there is no event. */
  readonly holes: readonly number[];
}

const fork = (object: string, message: string, range: LedgerRange): BronzeError =>
  new BronzeError('AUDIT_FORK', message, {
    details: {
      ...range,
      object,
      hint: 'keep both and find out who wrote it (docs/runbook.md, "An audit chain forks")',
    },
  });

/** Reads the event that stands under a sequence and checks that it belongs there. Null where there is none. */
export async function readEvent(
  place: ChainPlace,
  sequence: number,
  signal?: AbortSignal,
): Promise<{ event: ChainEvent; attested: AttestedEvent; bytes: Uint8Array } | null> {
  const key = eventKey(place.chain, sequence);
  const bytes = await place.store.get(key, signal);
  if (bytes === null) return null;
  const event = parseEvent(bytes, key);
  const attested = attestedEvent(event);
  if (
    attested.sequence !== sequence ||
    chainKey(event.chain) !== chainKey(place.chain) ||
    event.table !== place.table
  ) {
    throw new BronzeError(
      'AUDIT_INVALID',
      `the event ${key} does not belong there: it is number ${attested.sequence} of ${chainKey(event.chain)}, table ${event.table}`,
      { details: { object: key, ...event.range } },
    );
  }
  return { event, attested, bytes };
}

/** Throws AUDIT_INVALID where an event does not name the hash of the one before it (null: it is the first). */
export function assertFollows(
  chain: ChainName,
  event: AttestedEvent,
  before: { readonly eventHash: string } | null,
): void {
  if (event.prevEventHash === (before?.eventHash ?? null)) return;
  const object = eventKey(chain, event.sequence);
  throw new BronzeError('AUDIT_INVALID', `the event ${object} does not name the hash of the event before it`, {
    details: {
      object,
      ...event.range,
      check: 'prev_event_hash',
      expected: before?.eventHash ?? 'null',
      found: event.prevEventHash ?? 'null',
      hint: 'find out which of the two was changed; events are never overwritten',
    },
  });
}

/** Every partition once, and every event naming the one before it. */
function assertLinked(chain: ChainName, events: readonly AttestedEvent[]): void {
  const seen = new Map<string, number>();
  let before: AttestedEvent | null = null;
  for (const event of events) {
    const object = eventKey(chain, event.sequence);
    const label = rangeLabel(event.range);
    const twin = seen.get(label);
    if (twin !== undefined) {
      throw fork(object, `the events ${twin} and ${event.sequence} both attest partition ${label}`, event.range);
    }
    seen.set(label, event.sequence);
    if (before?.sequence === event.sequence - 1) assertFollows(chain, event, before);
    before = event;
  }
}

/**
 * Reads all events of a chain, checks their hashes and links, and finds holes. Names in `_audit/` that no copier gives
 * are passed over. `onEvent` is told of each event as it is stored, in any order. Throws AUDIT_INVALID, AUDIT_FORK, STORE_*.
 */
export async function readChain(place: WatchedChain, signal?: AbortSignal): Promise<AuditChain> {
  const prefix = auditPrefix(place.chain);
  const listed = await place.store.list(prefix, signal);
  const sequences = listed.flatMap(({ key }) => {
    const match = /^(\d{10})\.json$/.exec(key.slice(prefix.length));
    return match ? [Number(match[1])] : [];
  });
  const readOne = async (sequence: number): Promise<AttestedEvent[]> => {
    const found = await readEvent(place, sequence, signal);
    if (found !== null) place.onEvent?.(sequence, found.bytes);
    return found === null ? [] : [found.attested];
  };
  const events = (await mapBounded(sequences, PARALLEL, readOne, signal)).flat();
  assertLinked(place.chain, events);
  const holes: number[] = [];
  let next = 0;
  for (const { sequence } of events) {
    // An invented huge sequence must not become billions of holes.
    if (sequence - next > events.length + 1_000_000) {
      throw new BronzeError(
        'AUDIT_HOLE',
        `between the events ${next - 1} and ${sequence} of ${prefix} there is nothing`,
        {
          details: { object: eventKey(place.chain, next) },
        },
      );
    }
    for (; next < sequence; next++) holes.push(next);
    next = sequence + 1;
  }
  return { events, holes };
}

/**
 * What the event of a partition is made of, from its stored manifest; of one of the old program, also from its stored
 * data. `known`: the manifest as it was found to be stored. Throws PARTITION_DAMAGED where there is none,
 * MANIFEST_INVALID, STORE_*.
 */
export async function eventFacts(
  place: ChainPlace,
  range: LedgerRange,
  signal?: AbortSignal,
  known: Uint8Array | null = null,
): Promise<EventFacts> {
  const { store, chain, table } = place;
  const object = manifestKey(chain, table, range);
  const bytes = known ?? (await store.get(object, signal));
  if (bytes === null) {
    throw new BronzeError('PARTITION_DAMAGED', `the manifest of a sealed partition is not there any more: ${object}`, {
      details: { ...range, object },
    });
  }
  const { sealed, manifest } = await storedPartition(place, range, bytes, null, signal);
  return { chain, table, sealed, producer: manifest.producer };
}

/**
 * Where an event with a given hash lies in the chain, seen from a sequence; read event by event, for what is seldom asked.
 * `before`: the hash of the one right before it, where the event there is known to name it; nothing is read for that one.
 */
export const placeInChain =
  (place: ChainPlace, from: number, signal?: AbortSignal, before: string | null = null): HeadOrder =>
  async (hash) => {
    if (hash === before) return 'behind';
    const hashAt = async (sequence: number) => (await readEvent(place, sequence, signal))?.attested.eventHash ?? null;
    for (let sequence = from - 1; sequence >= 0; sequence--) {
      if ((await hashAt(sequence)) === hash) return 'behind';
    }
    for (let sequence = from + 1; ; sequence++) {
      const found = await hashAt(sequence);
      if (found === null) return 'foreign';
      if (found === hash) return 'ahead';
    }
  };

/**
 * Throws EVIDENCE_CONTRADICTS where the copy of an event that is about to be written says something else, or knows the
 * event already, which is not there: Bronze was rolled back since it was surveyed.
 */
async function assertCopyAgrees(
  place: ChainPlace & { readonly backup: BackupFolder },
  range: LedgerRange,
  event: { readonly sequence: number; readonly hash: string },
  signal?: AbortSignal,
): Promise<void> {
  const copy = await readCopyOf(place.backup, range);
  if (copy === null || (copy.memory.kind === 'old_event' && copy.memory.problem === null)) return;
  const { object, problem, eventHash } = copy.memory;
  if (problem !== null) refuseToReplace(copy.memory, `${object} ${problem}`);
  const says = `${object} is a copy of event ${copy.memory.sequence} with the hash ${eventHash}`;
  // A second copier that shares the folder may have been first, with the event as with its copy.
  const stored = await readEvent(place, event.sequence, signal);
  if (stored?.attested.eventHash === eventHash) return;
  if (eventHash !== event.hash)
    refuseToReplace(copy.memory, `${says}, and the event that follows here is ${event.hash}`);
  refuseToReplace(copy.memory, `${says}, and the audit chain does not hold it any more`);
}

/**
 * Attests a sealed partition under `head.nextSequence`, if nothing stands there, and reads back what does.
 * `storagePrefix`: that of the chain, wherever it lies now. `attested: false`: the event of another partition, which a second copier put there; the caller goes on after it. `onEvent` is told of the event that stands there.
 * `expected`: an event that was re-derived for a hole and has to come out the same. `known`: as for eventSource.
 * Throws AUDIT_FORK (other content for this partition, or a chain that left ours), AUDIT_HOLE, AUDIT_INVALID,
 * EVIDENCE_CONTRADICTS (a copy that says something else, or that knows an event which is not there), MANIFEST_INVALID, PARTITION_DAMAGED, STORE_*, STATE_IO (copies).
 */
export async function appendEvent(
  place: WatchedChain & { readonly backup: BackupFolder | null },
  input: {
    readonly range: LedgerRange;
    readonly chain: ChainHead;
    readonly storagePrefix: string;
    readonly expected: AttestedEvent | null;
  },
  signal?: AbortSignal,
  known: Uint8Array | null = null,
): Promise<{ attested: boolean; sequence: number; eventHash: string }> {
  const { range, chain: head, expected } = input;
  const sequence = head.nextSequence;
  const key = eventKey(place.chain, sequence);
  const { storagePrefix } = expected ?? input;
  const { prevEventHash } = head;
  const source = await eventFacts(place, range, signal, known);
  const ours = buildEvent({ ...source, storagePrefix, sequence, prevEventHash });
  const ourHash = ours.chain.event_hash;
  if (expected !== null && ourHash !== expected.eventHash) {
    throw new BronzeError(
      'AUDIT_HOLE',
      `the missing event ${key} comes out with another hash than its successor names`,
      {
        details: { ...range, object: key, expected: expected.eventHash, found: ourHash },
      },
    );
  }
  const { backup } = place;
  // Of one that is put back into a hole the copy was there all the time.
  if (backup !== null && expected === null) {
    await assertCopyAgrees({ ...place, backup }, range, { sequence, hash: ourHash }, signal);
  }
  killPoint('commit:before-attest');
  const bytes = eventBytes(ours);
  const isOurs = (await place.store.create(key, bytes, signal)) === 'created';
  killPoint('commit:after-attest');
  // `created` says that exactly these bytes stand there.
  const stored = isOurs
    ? { attested: attestedEvent(parseEvent(bytes, key)), bytes }
    : await readEvent(place, sequence, signal);
  if (stored === null) {
    throw new BronzeError('STORE_IO', `the event ${key} was written and cannot be read back`, {
      details: { object: key },
    });
  }
  place.onEvent?.(sequence, stored.bytes);
  const theirs = stored.attested;
  if (theirs.eventHash !== ourHash) {
    const label = rangeLabel(range);
    if (sameRange(theirs.range, range)) {
      throw fork(key, `another event attests partition ${label}: ${theirs.eventHash}, ours is ${ourHash}`, range);
    }
    // Only the partition right before ours can have come first; anything else overlaps it or leaves a gap.
    const isBefore = theirs.range.end + 1 === range.start && theirs.prevEventHash === head.prevEventHash;
    if (!isBefore || expected !== null) {
      throw fork(key, `the event ${key} is for ${rangeLabel(theirs.range)} and does not continue this chain`, range);
    }
    return { attested: false, sequence, eventHash: theirs.eventHash };
  }
  if (backup !== null) {
    killPoint('commit:before-copies');
    const placeOf = placeInChain(place, sequence, signal, theirs.prevEventHash);
    await writeCopies(backup, theirs, stored.bytes, expected === null, placeOf);
    killPoint('commit:after-copies');
  }
  return { attested: true, sequence, eventHash: ourHash };
}
