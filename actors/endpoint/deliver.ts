/**
 * Delivers the events of one chain, at least once and in order, and counts what is left. It must never post an event
 * before the one before it was acknowledged, nor beyond a hole, nor note one as delivered that was not acknowledged; nor,
 * where heads go with the events, one whose head may still be written: posted again, it would carry another.
 */
import { BronzeError } from '../../machines/errors.ts';
import type { AttestedEvent } from '../../machines/protocol.ts';
import { throwIfCancelled } from '../bounded.ts';
import { auditPrefix, chainKey } from '../bronze/names.ts';
import { assertFollows, readEvent } from '../chain/audit-chain.ts';
import type { ChainPlace } from '../chain/chain-place.ts';
import { listHeads, readHead } from '../chain/log-heads.ts';
import type { AuditEndpoint, Delivered, DeliveryPointer } from '../ports/delivery.ts';

/**
 * While many events go out, how far it came is noted this often, ms; and at the end. A process that dies posts again
 * what it posted since.
 */
const NOTE_EVERY_MS = 1_000;

/** A chain, where its events go, and how far they came. */
export interface DeliveryPlace extends ChainPlace {
  readonly endpoint: AuditEndpoint;
  readonly pointer: DeliveryPointer;
  /** Whether the signed head of a log that ends with an event goes with it; then none goes out beyond the newest head. */
  readonly withHeads: boolean;
  /** Told why the pointer cannot be used, and everything is posted again. */
  readonly onProblem?: (problem: string) => void;
  /** Told of the last event that earlier calls delivered, before anything is posted; null = none is known. */
  readonly onBegin?: (delivered: Delivered | null) => void;
  /** Told of each event that was acknowledged; not yet durable. */
  readonly onDelivered?: (delivered: Delivered) => void;
  /** Told of the event that waits for a head. */
  readonly onUnsigned?: (sequence: number) => void;
}

type WithPointer = ChainPlace & Pick<DeliveryPlace, 'pointer' | 'onProblem'>;

/** The last event that is known to be delivered: what the pointer says, if the chain says the same. */
async function lastDelivered(place: WithPointer, signal: AbortSignal | undefined): Promise<Delivered | null> {
  const { delivered, problem } = await place.pointer.read();
  if (problem !== null) place.onProblem?.(`${problem}; all events are delivered again`);
  if (delivered === null) return null;
  const found = await readEvent(place, delivered.sequence, signal);
  if (found?.attested.eventHash === delivered.eventHash) return delivered;
  place.onProblem?.(
    `${chainKey(place.chain)}: event ${delivered.sequence} was delivered as ${delivered.eventHash} and is now ` +
      `${found === null ? 'not there' : found.attested.eventHash}; all events are delivered again`,
  );
  return null;
}

/** The same error, saying which event it is about. */
function about(event: AttestedEvent, place: ChainPlace, error: unknown): unknown {
  if (!(error instanceof BronzeError) || error.code === 'CANCELLED') return error;
  const { code, message, details, retryable, retryAfterMs } = error;
  const { sequence, range } = event;
  return new BronzeError(code, `event ${sequence} of ${chainKey(place.chain)}: ${message}`, {
    details: { ...details, ...range },
    cause: error,
    retryable,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/**
 * What goes with an event: the head of the log that ends with it; null where there is none and none comes any more, since
 * a later one is there; `wait` where one may come.
 */
function headFinder(place: ChainPlace): (size: number, signal?: AbortSignal) => Promise<Uint8Array | null | 'wait'> {
  let sizes: ReadonlySet<number> | null = null;
  let newest = 0;
  return async (size, signal) => {
    if (sizes !== null && size <= newest && !sizes.has(size)) return null;
    const head = await readHead(place, size, signal);
    if (head !== null) return head.bytes;
    // One listing at the most: before the key, or with a gap, there are many events without a head.
    if (sizes === null) {
      const listed = await listHeads(place, signal);
      sizes = new Set(listed);
      newest = listed.at(-1) ?? 0;
      // Written meanwhile.
      if (sizes.has(size)) return (await readHead(place, size, signal))?.bytes ?? null;
    }
    return size > newest ? 'wait' : null;
  };
}

/**
 * Posts what is not delivered yet, one event after the other, up to the last one, to a hole, or to the newest head where
 * heads go with them. Answers how many were acknowledged; all of that is noted, durably, also where it throws. Throws
 * AUDIT_FORK, AUDIT_INVALID, HEAD_INVALID, DELIVERY_REFUSED, DELIVERY_FAILED, STORE_*, STATE_IO, CANCELLED.
 */
export async function deliverEvents(place: DeliveryPlace, signal?: AbortSignal): Promise<number> {
  const { endpoint, pointer } = place;
  const headOf = place.withHeads ? headFinder(place) : async () => null;
  let last = await lastDelivered(place, signal);
  place.onBegin?.(last);
  let noted = last;
  let notedAt = performance.now();
  let count = 0;
  const note = async (): Promise<void> => {
    if (last === null || last === noted) return;
    await pointer.write(last);
    noted = last;
    notedAt = performance.now();
  };
  try {
    for (;;) {
      throwIfCancelled(signal);
      const found = await readEvent(place, last === null ? 0 : last.sequence + 1, signal);
      if (found === null) break;
      const { event, attested, bytes } = found;
      assertFollows(place.chain, attested, last);
      const head = await headOf(attested.sequence + 1, signal);
      if (head === 'wait') {
        place.onUnsigned?.(attested.sequence);
        break;
      }
      await endpoint
        .post({ eventId: event.eventId, eventHash: event.eventHash, bytes, head }, signal)
        .catch((error) => {
          throw about(attested, place, error);
        });
      last = { sequence: attested.sequence, eventHash: attested.eventHash };
      count += 1;
      place.onDelivered?.(last);
      if (performance.now() - notedAt >= NOTE_EVERY_MS) await note();
    }
  } catch (error) {
    // Without the note these are posted again, which is the lesser trouble: the first error is the one to tell.
    await note().catch((second: unknown) =>
      place.onProblem?.(second instanceof Error ? second.message : String(second)),
    );
    throw error;
  }
  await note();
  return count;
}

/**
 * How many events of the chain are not known to be delivered, those beyond a hole included: one listing, and at most
 * one event is read. Never too few. Throws STORE_*, CANCELLED.
 */
export async function countUndelivered(place: WithPointer, signal?: AbortSignal): Promise<number> {
  const last = await lastDelivered(place, signal).catch((error: unknown) => {
    if (error instanceof BronzeError && error.code === 'AUDIT_INVALID') return null;
    throw error;
  });
  const prefix = auditPrefix(place.chain);
  const listed = await place.store.list(prefix, signal);
  const after = last?.sequence ?? -1;
  return listed.filter(({ key }) => {
    const name = /^(\d{10})\.json$/.exec(key.slice(prefix.length));
    return name !== null && Number(name[1]) > after;
  }).length;
}
