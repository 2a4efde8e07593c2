/**
 * The events of a chain as they lie in `_audit/`: each under its own name, linked, without holes. What follows from a
 * defect is not told beside it: where an event cannot be read, its sequence is not missing as well.
 */
import { BronzeError, type Failure, toFailure } from '../../machines/errors.ts';
import { MAX_LEDGER, rangeLabel } from '../../machines/partitions.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import { mapBounded } from '../bounded.ts';
import { type ChainEvent, parseEvent } from '../bronze/event.ts';
import { breakAt } from '../bronze/links.ts';
import { auditPrefix, type ChainName, chainKey, eventKey } from '../bronze/names.ts';
import type { BronzeStore } from '../ports/store.ts';
import type { Inventory } from './inventory.ts';

/** Events read at a time. */
const AT_ONCE = 16;

export interface ChainEvents {
  /** By range label. */
  readonly byRange: ReadonlyMap<string, ChainEvent>;
  /** In order of their sequence. */
  readonly inOrder: readonly ChainEvent[];
  /** Ledgers of which the events are known to be missing or unreadable: that is told already. */
  readonly lost: readonly LedgerRange[];
  readonly findings: readonly Failure[];
  /** Breaks between two events that are whole, by the label of the later one: told where nothing else explains them. */
  readonly breaks: ReadonlyMap<string, Failure>;
}

type Read = { readonly key: string; readonly sequence: number | null } & (
  | { readonly event: ChainEvent }
  | { readonly failure: Failure }
);

async function readOne(
  store: BronzeStore,
  chain: ChainName,
  at: Inventory['events'][number],
  signal: AbortSignal,
): Promise<Read> {
  const { key } = at;
  try {
    const bytes = await store.get(key, signal);
    if (bytes === null)
      throw new BronzeError('AUDIT_INVALID', `the event ${key} was listed and is gone`, { details: { object: key } });
    const event = parseEvent(bytes, key);
    if (chainKey(event.chain) !== chainKey(chain)) {
      throw new BronzeError('AUDIT_INVALID', `the event ${key} belongs to ${chainKey(event.chain)}`, {
        details: { object: key },
      });
    }
    return { ...at, event };
  } catch (error) {
    const failure = toFailure(error);
    if (failure.code === 'CANCELLED') throw error;
    return { ...at, failure };
  }
}

const wrong = (
  code: Failure['code'],
  message: string,
  details: Omit<Failure, 'code' | 'message' | 'retryable'>,
): Failure => ({
  code,
  message,
  retryable: false,
  ...details,
});

/** An event that lies where it does not belong. It counts at its own place. */
function misplaced(chain: ChainName, { key }: Read, event: ChainEvent): Failure {
  const expected = eventKey(chain, event.sequence as number);
  return wrong('AUDIT_INVALID', `the event ${key} is number ${event.sequence}, whose place is ${expected}`, {
    ...event.range,
    object: key,
    check: 'sequence',
    expected,
    found: key,
    hint: 'find out who moved it, and move it back',
  });
}

/** Two that lie under each other's names are one finding. */
function swapped(chain: ChainName, read: readonly Read[], findings: Failure[]): void {
  const at = new Map(
    read.flatMap((one) => ('event' in one && one.sequence !== null ? [[one.sequence, one.event]] : [])),
  );
  for (const [sequence, event] of at) {
    const other = event.sequence;
    if (other === null || other <= sequence || at.get(other)?.sequence !== sequence) continue;
    const keys = [eventKey(chain, sequence), eventKey(chain, other)];
    const first = findings.findIndex(({ object, check }) => check === 'sequence' && object === keys[0]);
    const second = findings.findIndex(({ object, check }) => check === 'sequence' && object === keys[1]);
    if (first < 0 || second < 0) continue;
    const told = findings[first] as Failure;
    findings[first] = { ...told, message: `the events ${sequence} and ${other} lie under each other's names` };
    findings.splice(second, 1);
  }
}

/** Reads and judges all events. Throws STORE_* where `_audit/` cannot be read at all, CANCELLED. */
export async function readEvents(
  store: BronzeStore,
  chain: ChainName,
  listed: Inventory['events'],
  signal: AbortSignal,
): Promise<ChainEvents> {
  const read = await mapBounded(listed, AT_ONCE, (at) => readOne(store, chain, at, signal), signal);
  const findings: Failure[] = [];
  const bySequence = new Map<number, ChainEvent>();
  const unreadable = new Set<number>();
  const stray: string[] = [];
  // First those under their own names: what lies elsewhere may be a copy of one.
  const isAtHome = (one: Read): boolean =>
    'event' in one && one.sequence !== null && one.event.sequence === one.sequence;
  for (const one of [...read.filter(isAtHome), ...read.filter((each) => !isAtHome(each))]) {
    if ('failure' in one) {
      if (one.sequence === null) stray.push(one.key);
      else {
        findings.push(one.failure);
        unreadable.add(one.sequence);
      }
      continue;
    }
    const { event } = one;
    if (event.sequence === null) {
      // The old program's events lie beside the copies; in this chain they have no place.
      if (!one.key.startsWith(`${auditPrefix(chain)}v1.1/`)) stray.push(one.key);
      continue;
    }
    if (isAtHome(one)) {
      bySequence.set(event.sequence, event);
      continue;
    }
    const its = bySequence.get(event.sequence);
    if (its !== undefined && one.sequence === null) stray.push(one.key);
    else findings.push(misplaced(chain, one, event));
    if (its === undefined) bySequence.set(event.sequence, event);
    // Whatever belongs under this name is not there: that is what was found.
    if (one.sequence !== null) unreadable.add(one.sequence);
  }
  swapped(chain, read, findings);
  for (const key of stray) {
    findings.push(
      wrong('OBJECT_FOREIGN', `${key} is nothing that a copier writes`, {
        object: key,
        check: '_audit',
        hint: 'find out who put it there, and move it out of the chain',
      }),
    );
  }
  const inOrder = [...bySequence.values()].sort((a, b) => (a.sequence as number) - (b.sequence as number));
  const { lost, holes, breaks } = judge(chain, inOrder, unreadable);
  return {
    byRange: new Map(inOrder.map((event) => [rangeLabel(event.range), event])),
    inOrder,
    lost,
    findings: [...findings, ...holes],
    breaks,
  };
}

function judge(chain: ChainName, events: readonly ChainEvent[], unreadable: ReadonlySet<number>) {
  const lost: LedgerRange[] = [];
  const holes: Failure[] = [];
  const breaks = new Map<string, Failure>();
  let before: ChainEvent | null = null;
  for (const event of events) {
    const sequence = event.sequence as number;
    const next = before === null ? 0 : (before.sequence as number) + 1;
    if (sequence === next) {
      const reason = breakAt(event, before);
      if (reason !== null) {
        const failure = wrong('AUDIT_INVALID', `the audit chain breaks at ${event.object}: ${reason}`, {
          ...event.range,
          object: event.object,
          check: 'prev_event_hash',
        });
        breaks.set(rangeLabel(event.range), failure);
      }
    } else {
      const missing = { start: before === null ? 0 : before.range.end + 1, end: event.range.start - 1 };
      if (missing.start <= missing.end) lost.push(missing);
      let known = 0;
      for (const each of unreadable) if (each >= next && each < sequence) known += 1;
      const count = sequence - next - known;
      const [from, to] = [eventKey(chain, next), eventKey(chain, sequence - 1)];
      if (count > 0) {
        const which = count === 1 && known === 0 ? `the event ${from} is` : `${count} events from ${from} to ${to} are`;
        holes.push(
          wrong('AUDIT_HOLE', `${which} missing`, {
            ...missing,
            object: from,
            hint: 'run writes them again from the manifests where they come out as their successor says',
          }),
        );
      }
    }
    before = event;
  }
  const last = before === null ? -1 : (before.sequence as number);
  if ([...unreadable].some((sequence) => sequence > last)) {
    lost.push({ start: before === null ? 0 : before.range.end + 1, end: MAX_LEDGER });
  }
  return { lost, holes, breaks };
}
