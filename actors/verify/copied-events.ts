/**
 * Copies of events against the chain that they are of. Copies are evidence: an event that is only a copy, or another one,
 * says that somebody changed the chain. It must never let a copy stand in for an event.
 */
import type { Failure } from '../../machines/errors.ts';
import { rangeLabel } from '../../machines/partitions.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import type { ChainEvent } from '../bronze/event.ts';
import { backupFile, type ChainName, chainKey } from '../bronze/names.ts';
import { HEADS_FILE } from '../state/heads.ts';
import type { ChainEvents } from './chain-events.ts';
import { type Finding, together } from './findings.ts';

export interface CopiedEvents {
  /** Folder or URI, for messages. */
  readonly place: string;
  /** Of all chains and both versions. */
  readonly events: readonly ChainEvent[];
  /** Chain key → hash of the last event; null where there is no file of heads. */
  readonly heads: ReadonlyMap<string, string> | null;
  /** What is there and cannot be used: told by whoever read it, so that it is not missing as well. */
  readonly failures: readonly Failure[];
}

/** `looked`: the partitions that were asked for; of others a copy need not be there. */
export function compareCopies(
  chain: ChainName,
  copies: CopiedEvents,
  events: ChainEvents,
  looked: readonly { readonly range: LedgerRange }[],
): Finding[] {
  const key = chainKey(chain);
  const own = copies.events.filter((event) => event.version === '1.2' && chainKey(event.chain) === key);
  const byLabel = new Map(own.map((event) => [rangeLabel(event.range), event]));
  const hashes = new Set(events.inOrder.map(({ eventHash }) => eventHash));
  const findings: (Finding | null)[] = [];
  const only = own.filter(({ range }) => !events.byRange.has(rangeLabel(range)));
  findings.push(
    together(
      key,
      only.map(({ range }) => range),
      {
        code: 'AUDIT_FORK',
        check: 'copies',
        object: only[0]?.object ?? copies.place,
        hint: 'the chain was cut or restored from an older copy: bring the events back before anything is copied (docs/runbook.md)',
      },
      (count, ledgers) =>
        count === 1
          ? `the event of ledgers ${ledgers} is only a copy in ${copies.place}: the chain does not have it`
          : `${count} events are only copies in ${copies.place}: the chain does not have those of ledgers ${ledgers}`,
    ),
  );
  const other = own.filter(({ range, eventHash }) => {
    const its = events.byRange.get(rangeLabel(range));
    return its !== undefined && its.eventHash !== eventHash;
  });
  for (const copy of other) {
    const its = events.byRange.get(rangeLabel(copy.range)) as ChainEvent;
    findings.push({
      chain: key,
      code: 'AUDIT_FORK',
      message: `the copy of the event of partition ${rangeLabel(copy.range)} is another`,
      retryable: false,
      ...copy.range,
      object: copy.object,
      check: 'event_hash',
      expected: its.eventHash,
      found: copy.eventHash,
      hint: 'find out which of the two is the older one before anything is copied',
    });
  }
  const asked = new Set(looked.map(({ range }) => rangeLabel(range)));
  const isTold = (range: LedgerRange): boolean =>
    copies.failures.some(({ object }) => object?.endsWith(backupFile(chain, range)));
  const bare = events.inOrder.filter(
    ({ range }) => asked.has(rangeLabel(range)) && !byLabel.has(rangeLabel(range)) && !isTold(range),
  );
  findings.push(
    together(
      key,
      bare.map(({ range }) => range),
      {
        code: 'AUDIT_FORK',
        check: 'copies',
        object: copies.place,
        hint: 'run and `reconcile --repair` write copies again',
      },
      (count, ledgers) =>
        count === 1
          ? `the copy of the event of ledgers ${ledgers} is missing in ${copies.place}`
          : `the copies of ${count} events are missing in ${copies.place}: ledgers ${ledgers}`,
    ),
  );
  const head = copies.heads?.get(key);
  const isKnown = head === undefined || hashes.has(head) || own.some(({ eventHash }) => eventHash === head);
  const isBroken = only.length > 0 || other.length > 0 || events.lost.length > 0;
  if (!isKnown && !isBroken) {
    findings.push({
      chain: key,
      code: 'AUDIT_FORK',
      message: `${HEADS_FILE} in ${copies.place} names a last event that the chain does not have`,
      retryable: false,
      object: copies.place,
      check: 'heads',
      expected: events.inOrder.at(-1)?.eventHash ?? 'none',
      found: head as string,
      hint: 'the chain was cut or replaced: find out which is right before anything is copied',
    });
  }
  return findings.filter((finding) => finding !== null);
}
