/**
 * The verdict on every chain that a source holds: one per chain and version, because the old program's chain and the
 * one that goes on after it are two. Pure. It must never call a chain whole whose known head is not among its events.
 */
import { BronzeError, type Failure, toFailure } from '../../machines/errors.ts';
import type { ChainEvent } from '../bronze/event.ts';
import { inOrder, type LinksVerdict, verifyLinks } from '../bronze/links.ts';
import { chainKey } from '../bronze/names.ts';
import { HEADS_FILE } from '../state/heads.ts';
import type { GatheredEvents } from './gather.ts';

/** What is said of one chain of one source. */
export type ChainFinding = LinksVerdict & {
  readonly chain: string;
  readonly version: ChainEvent['version'];
  readonly place: string;
  /** Events that were there more than once, the very same ones: what is delivered at least once may come twice. */
  readonly duplicates: number;
  /** `behind`: the heads file names an earlier event, as after a run that died; null: it says nothing of this chain. */
  readonly heads: 'same' | 'behind' | null;
};

/** Hashes of the events that Bronze has, by chain key and version. */
export type KnownHashes = ReadonlyMap<string, ReadonlySet<string>>;

export const groupKey = (of: { readonly chain: string; readonly version: string }): string =>
  `${of.chain} ${of.version}`;

interface Group {
  readonly chain: string;
  readonly version: ChainEvent['version'];
  /** Each once, in order. */
  readonly events: readonly ChainEvent[];
  readonly duplicates: number;
}

function groupsOf(events: readonly ChainEvent[]): Group[] {
  const groups = new Map<string, { chain: string; version: ChainEvent['version']; all: ChainEvent[] }>();
  for (const event of events) {
    const chain = chainKey(event.chain);
    const key = groupKey({ chain, version: event.version });
    const group = groups.get(key) ?? { chain, version: event.version, all: [] };
    group.all.push(event);
    groups.set(key, group);
  }
  return [...groups.values()].map(({ chain, version, all }) => {
    // The hash covers everything an event says.
    const once = [...new Map(all.map((event) => [event.eventHash, event])).values()].sort(inOrder);
    return { chain, version, events: once, duplicates: all.length - once.length };
  });
}

const breakAt = (event: ChainEvent, reason: string, object = event.object): LinksVerdict => ({
  ok: false,
  reason,
  object,
  sequence: event.sequence,
  start: event.range.start,
  end: event.range.end,
});

/** What the heads file says of one group. `others`: groups of the same chain, which it may mean as well. */
function headOf(group: Group, others: readonly Group[], named: string | undefined): ChainFinding['heads'] | 'missing' {
  if (named === undefined) return null;
  if (group.events.at(-1)?.eventHash === named) return 'same';
  if (group.events.some((event) => event.eventHash === named)) return 'behind';
  const isElsewhere = others.some((other) => other.events.some((event) => event.eventHash === named));
  return isElsewhere ? null : 'missing';
}

/**
 * Verifies every chain of a source. `bronze`: what the chains in Bronze hold, where the source is a copy of them.
 * `failures` are those of the source, and chains whose head is known and of which there is no event.
 */
export function verifySource(
  source: GatheredEvents,
  bronze: KnownHashes = new Map(),
): { findings: ChainFinding[]; failures: Failure[] } {
  const groups = groupsOf(source.events);
  const findings = groups.map((group): ChainFinding => {
    const { chain, version, events, duplicates } = group;
    const others = groups.filter((other) => other !== group && other.chain === chain);
    const named = (version === '1.1' ? source.oldHeads?.get(chain) : undefined) ?? source.heads?.get(chain);
    const heads = headOf(group, others, named);
    const about = { chain, version, place: source.place, duplicates, heads: heads === 'missing' ? null : heads };
    const verdict = verifyLinks(events);
    if (!verdict.ok) return { ...verdict, ...about };
    if (heads === 'missing') {
      const last = events.at(-1) as ChainEvent;
      return { ...breakAt(last, `${HEADS_FILE} names ${named} as the last event, which is not here`), ...about };
    }
    const known = bronze.get(groupKey(group));
    const foreign = known && events.find((event) => !known.has(event.eventHash));
    if (foreign) return { ...breakAt(foreign, 'the chain in Bronze does not have this event'), ...about };
    return { ...verdict, ...about };
  });
  const noEvents = (chain: string, hash: string, hint: string, which = ''): Failure =>
    toFailure(
      new BronzeError(
        'AUDIT_HOLE',
        `${HEADS_FILE} names ${hash} as the last event of ${chain}${which}, of which there is none`,
        { details: { object: source.place, hint } },
      ),
    );
  const isHere = (chain: string, version?: string): boolean =>
    groups.some((group) => group.chain === chain && (version === undefined || group.version === version));
  const lost = [...(source.heads ?? [])]
    .filter(([chain]) => !isHere(chain))
    .map(([chain, hash]) => noEvents(chain, hash, 'the next run of this era writes the copies again'));
  const oldLost = [...(source.oldHeads ?? [])]
    .filter(([chain]) => !isHere(chain, '1.1'))
    .map(([chain, hash]) =>
      noEvents(chain, hash, 'bring them back from a copy: nothing writes them again', ' (events 1.1)'),
    );
  return { findings, failures: [...source.failures, ...lost, ...oldLost] };
}
