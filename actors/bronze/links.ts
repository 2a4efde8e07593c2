/**
 * Whether events form one unbroken chain, by the rule of the program that wrote them. Pure. Each event's own hash was
 * checked when it was read; here it is only their order and links. It mends and skips nothing.
 */

import type { ChainEvent } from './event.ts';
import { chainKey } from './names.ts';

/** The verdict on one chain; a break names the first event at which it shows. */
export type LinksVerdict =
  | { readonly ok: true; readonly events: number; readonly head: string | null }
  | {
      readonly ok: false;
      readonly reason: string;
      readonly object: string;
      readonly sequence: number | null;
      readonly start: number;
      readonly end: number;
    };

/** By sequence; those of the old program by their ledgers. */
export const inOrder = (a: ChainEvent, b: ChainEvent): number =>
  a.sequence !== null && b.sequence !== null ? a.sequence - b.sequence : a.range.start - b.range.start;

/** Why `event` cannot come after `before` (null: it is the first); null where it can. */
export function breakAt(event: ChainEvent, before: ChainEvent | null): string | null {
  const place = before === null ? 0 : (before.sequence ?? 0) + 1;
  if (event.sequence !== null && event.sequence !== place) {
    return event.sequence < place
      ? `two events have the sequence ${event.sequence}`
      : `the event with sequence ${place} is missing`;
  }
  if (before === null) {
    return event.prevEventHash === null ? null : `the first event names ${event.prevEventHash} as the one before it`;
  }
  if (event.version !== before.version) return `it is of version ${event.version}, the one before of ${before.version}`;
  if (chainKey(event.chain) !== chainKey(before.chain) || event.table !== before.table) {
    return `it belongs to ${chainKey(event.chain)}, the one before to ${chainKey(before.chain)}`;
  }
  if (event.prevEventHash !== before.eventHash) {
    return `it names ${event.prevEventHash ?? 'nothing'} as the event before it, which has ${before.eventHash}`;
  }
  if (event.range.start !== before.range.end + 1) {
    return `it starts at ledger ${event.range.start}, the one before it ends at ${before.range.end}`;
  }
  if (event.ledgers && before.ledgers && event.ledgers.previousHash !== before.ledgers.lastHash) {
    return `its ledgers do not link: previous_hash ${event.ledgers.previousHash}, last_hash before ${before.ledgers.lastHash}`;
  }
  return null;
}

/** Verifies the whole chain: from its first event, without holes. No events at all are a chain without a head. */
export function verifyLinks(events: readonly ChainEvent[]): LinksVerdict {
  const sorted = [...events].sort(inOrder);
  let before: ChainEvent | null = null;
  for (const event of sorted) {
    const reason = breakAt(event, before);
    if (reason !== null) {
      const { object, sequence, range } = event;
      return { ok: false, reason, object, sequence, start: range.start, end: range.end };
    }
    before = event;
  }
  return { ok: true, events: sorted.length, head: before?.eventHash ?? null };
}
