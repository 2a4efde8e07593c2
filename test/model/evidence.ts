/**
 * What is remembered outside of Bronze: copies of events and their head, checkpoint, delivery pointer, rows. How it is
 * written, how Bronze may be rolled back behind its back, and how an operator gives it up.
 */

import type { AttestedEvent, EraFacts, EraSpec, Memory } from '../../machines/protocol.ts';
import { contradictionsIn } from '../../machines/recovery.ts';
import {
  byStart,
  type Chain,
  deriveEvent,
  emptyChain,
  type Host,
  labelOf,
  lakeOf,
  rangeOf,
  rootOf,
  without,
} from './durable.ts';

const NOTHING = { range: null, sequence: null, eventHash: null, checksum: null, problem: null, sha256: null };

/** In the order in which the program has them. */
export function memoriesOf(chain: Chain, host: Host): Memory[] {
  const copies = Object.entries(host.copies)
    .sort(([a], [b]) => byStart(a, b))
    .map(([label, { sequence, eventHash }]): Memory => {
      return { ...NOTHING, kind: 'copy', object: `the copy of ${label}`, range: rangeOf(label), sequence, eventHash };
    });
  const head: Memory[] =
    host.head === null ? [] : [{ ...NOTHING, kind: 'head', object: 'the heads', eventHash: host.head }];
  const checkpoint: Memory[] =
    host.checkpoint === null ? [] : [{ ...NOTHING, kind: 'checkpoint', object: 'the checkpoint', ...host.checkpoint }];
  const sequence = host.delivered - 1;
  const eventHash = chain.endpoint[sequence];
  const delivery: Memory[] =
    eventHash === undefined ? [] : [{ ...NOTHING, kind: 'delivery', object: 'the pointer', sequence, eventHash }];
  const rows = Object.entries(chain.rows).map(([label, { checksum }]): Memory => {
    return { ...NOTHING, kind: 'row', object: 'catalog', range: rangeOf(label), checksum };
  });
  return [...copies, ...head, ...checkpoint, ...delivery, ...rows];
}

/** Null: something else stands under the name of this copy. */
export function withCopy(host: Host, { range, sequence, eventHash }: AttestedEvent): Host | null {
  const label = labelOf(range);
  const there = host.copies[label];
  if (there === undefined) return { ...host, copies: { ...host.copies, [label]: { sequence, eventHash } } };
  return there.eventHash === eventHash ? host : null;
}

/** Null: the head that stands there is of no event of the chain. One that is ahead stays. */
export function withHead(chain: Chain, host: Host, { sequence, eventHash }: AttestedEvent): Host | null {
  if (host.head === null || host.head === eventHash) return { ...host, head: eventHash };
  const there = Object.values(chain.events).find((event) => event.eventHash === host.head);
  if (there === undefined) return null;
  return there.sequence > sequence ? host : { ...host, head: eventHash };
}

/** Events whose copy is missing, in order, and the last one where the head is another. */
export function missingCopies({ events }: EraFacts, host: Host): AttestedEvent[] {
  const missing = events.filter(({ range }) => host.copies[labelOf(range)] === undefined);
  const last = events.at(-1);
  if (missing.length === 0 && last !== undefined && host.head !== last.eventHash) return [last];
  return missing;
}

export const contradictions = (facts: EraFacts, { grid }: EraSpec) =>
  contradictionsIn(facts, { ...grid, ledgerEnd: null });

/** A history of the same ledgers that is consistent in itself, by another writer, as long as this one. */
function otherHistory(chain: Chain): Chain {
  const events = Object.values(chain.events).sort((a, b) => a.sequence - b.sequence);
  let other: Chain = { ...emptyChain, bronze: true };
  let prev: string | null = null;
  for (const { range, sequence } of events) {
    const label = labelOf(range);
    const root = rootOf(lakeOf(chain.manifests[label]?.root ?? ':'), range);
    const data = { checksum: `${root}/other`, root, writer: 'other' };
    const manifest = { ...data, time: 'o' };
    const event: AttestedEvent = deriveEvent(label, manifest, sequence, prev);
    prev = event.eventHash;
    other = {
      ...other,
      data: { ...other.data, [label]: data },
      manifests: { ...other.manifests, [label]: manifest },
      events: { ...other.events, [sequence]: event },
    };
  }
  return other;
}

export const ROLLED_BACK = [
  'the last partition is gone',
  '_audit/ is gone',
  'everything is gone',
  'another history is there',
] as const;

/** What may become of Bronze while no copier looks; what others hold of it stays. */
export function rollBacks(chain: Chain): { readonly what: (typeof ROLLED_BACK)[number]; readonly chain: Chain }[] {
  const last = Object.values(chain.events).reduce<AttestedEvent | null>(
    (latest, event) => (latest === null || event.sequence > latest.sequence ? event : latest),
    null,
  );
  if (last === null) return [];
  const { rows, endpoint } = chain;
  const cut = chain.cut + 1;
  // Whatever was begun after the last partition was not there yet.
  const kept = Object.keys(chain.data).filter((label) => rangeOf(label).end < last.range.start);
  const beyond = Object.keys(chain.data).filter((label) => !kept.includes(label));
  const shorter = {
    data: without(chain.data, ...beyond),
    manifests: without(chain.manifests, ...beyond),
    events: without(chain.events, String(last.sequence)),
  };
  return [
    { what: 'the last partition is gone', chain: { ...chain, ...shorter, cut } },
    { what: '_audit/ is gone', chain: { ...chain, events: {}, cut } },
    { what: 'everything is gone', chain: { ...emptyChain, rows, endpoint, cut } },
    { what: 'another history is there', chain: { ...otherHistory(chain), rows, endpoint, cut } },
  ];
}

/** The first of what contradicts gets another name; where the operator is killed, the others still contradict. */
export function giveUp(chain: Chain, host: Host, { kind, range }: Memory): { chain: Chain; host: Host } {
  const label = range === null ? '' : labelOf(range);
  switch (kind) {
    case 'copy':
      return { chain, host: { ...host, copies: without(host.copies, label) } };
    case 'head':
      return { chain, host: { ...host, head: null } };
    case 'checkpoint':
      return { chain, host: { ...host, checkpoint: null } };
    case 'delivery':
      return { chain, host: { ...host, delivered: 0 } };
    case 'row':
      return { chain: { ...chain, rows: without(chain.rows, label) }, host };
    default:
      throw new Error(`the model has no ${kind}`);
  }
}
