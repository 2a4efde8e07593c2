/**
 * Signed heads against the events that they are of: who signed them, and whether the log that they speak of is the one that
 * is there. Pure. It must never take a head for sound that no known key has signed, nor pass over one that is not.
 */
import { BronzeError, type Failure, toFailure } from '../../machines/errors.ts';
import { chainKey } from '../bronze/names.ts';
import { readableHead } from '../chain/log-heads.ts';
import type { SignedHead } from '../tlog/checkpoint.ts';
import { EventTree } from '../tlog/event-tree.ts';
import { keysFor, type VerifierKey } from '../tlog/keys.ts';
import { signersOf } from '../tlog/note.ts';
import type { FoundHead, GatheredEvents } from './gather.ts';

/** A head that one of the known keys has signed. */
export interface KnownHead {
  readonly object: string;
  /** `pubnet/pre_p23/v1` */
  readonly chain: string;
  readonly head: SignedHead;
}

/** What the heads of a chain say of its events in one place. */
export interface HeadsVerdict {
  readonly chain: string;
  readonly place: string;
  /** Events from the first one on, without a hole. */
  readonly events: number;
  /** Heads that are signed and fit, copies of heads among them. */
  readonly heads: number;
  /** Of how many events the newest of these is; what comes after is under no head. */
  readonly newest: number | null;
}

const invalid = (object: string, why: string): BronzeError =>
  new BronzeError('HEAD_INVALID', `the head ${object} cannot be used: ${why}`, {
    details: {
      object,
      hint: 'give every key that has signed (--key may be given several times), or find out who wrote it',
    },
  });

function knownHead({ object, size, bytes }: FoundHead, keys: readonly VerifierKey[] | null): KnownHead {
  const head = readableHead(bytes, object, size);
  try {
    if (keys !== null) signersOf(head.note, keysFor(keys, head.origin));
  } catch (error) {
    throw invalid(object, error instanceof Error ? error.message : String(error));
  }
  return { object, head, chain: head.origin.split('/').slice(-3).join('/') };
}

/** Those of the heads that one of the keys has signed; the others are failures (HEAD_INVALID). Null: nobody's are looked at. */
export function checkSignatures(
  found: readonly FoundHead[],
  keys: readonly VerifierKey[] | null,
): { known: KnownHead[]; failures: Failure[] } {
  const known: KnownHead[] = [];
  const failures: Failure[] = [];
  for (const one of found) {
    try {
      known.push(knownHead(one, keys));
    } catch (error) {
      failures.push(toFailure(error));
    }
  }
  return { known, failures };
}

const contradicts = (object: string, message: string, more: Partial<Failure> = {}): Failure =>
  toFailure(
    new BronzeError('HEAD_CONTRADICTS', message, {
      details: { object, ...more, hint: 'docs/anchors.md, "A head contradicts the events"' },
    }),
  );

/** Two heads of one log and size with different roots: whoever holds the key signed two histories. */
function splitViews(heads: readonly KnownHead[]): Failure[] {
  const first = new Map<string, KnownHead>();
  return heads.flatMap((one) => {
    const { origin, size, root } = one.head;
    const key = `${size} ${origin}`;
    const other = first.get(key);
    if (other === undefined) first.set(key, one);
    if (other === undefined || other.head.root.equals(root)) return [];
    const message = `${one.object} and ${other.object} are both signed, for ${size} events each, and of different events`;
    return [contradicts(one.object, message, { check: 'split_view' })];
  });
}

/** One chain in one place. */
function verifyOne(
  chain: string,
  source: GatheredEvents,
  heads: readonly KnownHead[],
): { verdict: HeadsVerdict; failures: Failure[] } {
  const bySize = [...heads].sort((a, b) => a.head.size - b.head.size);
  const tree = new EventTree(bySize.map(({ head }) => head.size));
  for (const event of source.events) {
    if (event.leaf !== null && event.sequence !== null && chainKey(event.chain) === chain)
      tree.note(event.sequence, event.leaf);
  }
  const events = tree.size;
  const rootAt = (size: number): Buffer | null => (size === 0 ? new EventTree().root : tree.rootAt(size));
  const within = bySize.filter(({ head }) => head.size <= events);
  const fits = within.filter(({ head }) => rootAt(head.size)?.equals(head.root));
  const other = within.filter((one) => !fits.includes(one));
  const beyond = bySize.filter(({ head }) => head.size > events);
  const newest = fits.at(-1)?.head.size ?? null;
  const failures = splitViews(heads);
  const [first] = other;
  if (first !== undefined) {
    const before = fits.filter(({ head }) => head.size < first.head.size).at(-1)?.head.size ?? 0;
    const of = `${other.length} of ${heads.length} signed heads of ${chain} are of other events than those in ${source.place}`;
    const where = `an event from ${before} to ${first.head.size - 1} is another one`;
    failures.push(
      contradicts(first.object, `${of}: ${where}`, {
        check: 'root',
        expected: first.head.root.toString('base64'),
        found: (rootAt(first.head.size) as Buffer).toString('base64'),
      }),
    );
  }
  const last = beyond.at(-1);
  if (last !== undefined) {
    const message = `${last.object} is signed for ${last.head.size} events of ${chain}, and in ${source.place} are ${events} without a hole`;
    failures.push(
      contradicts(last.object, message, { check: 'size', expected: `${last.head.size}`, found: `${events}` }),
    );
  }
  if (fits.length === 0 && failures.length === 0) {
    failures.push(toFailure(invalid(source.place, `no head of ${chain} is signed by a key that was given`)));
  }
  return { verdict: { chain, place: source.place, events, heads: fits.length, newest }, failures };
}

const chainsIn = (source: GatheredEvents): string[] => [
  ...new Set(source.events.filter(({ leaf }) => leaf !== null).map(({ chain }) => chainKey(chain))),
];

/**
 * Every chain of every source against its heads: those beside the events and `copies`, which were kept elsewhere. A head of
 * a chain of which there is no event is a contradiction too: it was removed whole. `failures`: HEAD_INVALID,
 * HEAD_CONTRADICTS. Without `keys` (null) what heads say is compared all the same, whoever signed them: of a log whose heads
 * contradict it nobody can say that it is sound.
 */
export function verifyHeads(
  sources: readonly GatheredEvents[],
  copies: readonly KnownHead[],
  keys: readonly VerifierKey[] | null,
): { verdicts: HeadsVerdict[]; failures: Failure[] } {
  const verdicts: HeadsVerdict[] = [];
  const failures: Failure[] = [];
  const own: KnownHead[] = [];
  const chains = new Set(sources.flatMap(chainsIn));
  for (const source of sources) {
    const beside = checkSignatures(source.signedHeads, keys);
    failures.push(...beside.failures);
    own.push(...beside.known);
    const here = chainsIn(source);
    for (const { object, chain, head } of beside.known) {
      // Where there is no event of here log at all, that is told below.
      if (here.includes(chain) || !chains.has(chain)) continue;
      const message = `${object} is a head of the log ${head.origin}, and lies beside ${here.length === 0 ? 'no events' : `events of ${here.join(', ')}`}`;
      failures.push(contradicts(object, message, { check: 'origin', expected: here.join(', '), found: chain }));
    }
    for (const chain of here) {
      const its = [...beside.known, ...copies].filter((head) => head.chain === chain);
      // What cannot be used is told already.
      if (its.length === 0 && (beside.failures.length > 0 || keys === null)) continue;
      const one = verifyOne(chain, source, its);
      verdicts.push(one.verdict);
      failures.push(...one.failures);
    }
  }
  const gone = new Map<string, KnownHead>();
  for (const head of [...own, ...copies]) {
    const known = gone.get(head.chain);
    if (!chains.has(head.chain) && (known?.head.size ?? 0) <= head.head.size) gone.set(head.chain, head);
  }
  for (const [chain, { object, head }] of gone) {
    if (head.size === 0) continue;
    const message = `${object} is signed for ${head.size} events of ${chain}, and there is none of it`;
    failures.push(contradicts(object, message, { check: 'size', expected: `${head.size}`, found: '0' }));
  }
  return { verdicts, failures };
}
