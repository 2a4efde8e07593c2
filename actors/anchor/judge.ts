/**
 * Up to which ledger a quorum of organisations has vouched for a history (docs/anchors.md). Pure. Organisations count and
 * not keys; a signature on ledger n vouches for n - 1 and, through hashes that link, for all before it, also over the edge
 * of an era. It must never carry a word over a link that does not hold, nor count a key that nobody named.
 */
import type { LedgerRange } from '../../machines/protocol.ts';

/** What one key signed of a partition, every signature verified. */
export interface Signed {
  readonly ledgers: number;
  /** The last ledger that it signed. */
  readonly last: number;
}

/** One partition, as far as it is known. */
export interface Piece {
  /** `pubnet/pre_p23/v1` */
  readonly chain: string;
  readonly range: LedgerRange;
  /** Hex. */
  readonly previousHash: string;
  /** Hex. */
  readonly lastHash: string;
  /** By key (G…). Null where its rows were not read: then it links by what its manifest says. */
  readonly signed: Readonly<Record<string, Signed>> | null;
}

/** The last word of an organisation on a stretch, or on what follows it. */
export interface Voice {
  readonly organisation: string;
  /** The key that signed. */
  readonly key: string;
  /** The ledger that carries the signature. */
  readonly ledger: number;
  /** The ledger before it: for this one and all before it the organisation vouches. */
  readonly vouches_to: number;
}

/** A key that no organisation has. */
export interface Stranger extends Signed {
  readonly key: string;
}

/** Partitions of one chain that link from the first to the last. */
export interface Stretch {
  readonly first: number;
  readonly last: number;
  /** A quorum vouches for `first` up to this ledger; null where it does for none of them. */
  readonly vouched_to: number | null;
  /** The last word of every organisation that was heard, the latest first. */
  readonly organisations: readonly Voice[];
  /** What no quorum vouches for; null where there is nothing. */
  readonly not_vouched: LedgerRange | null;
  /** Why not, in words; null where there is nothing. */
  readonly why: string | null;
  /** Keys that nobody named, those that signed most first: at most STRANGERS_TOLD. */
  readonly strangers: readonly Stranger[];
  /** All of these keys. */
  readonly stranger_keys: number;
  /** Ledgers that they signed. They count for nothing. */
  readonly stranger_ledgers: number;
  /** Ledgers whose rows were not read: there the link is what manifests say. */
  readonly not_read: readonly LedgerRange[];
}

export interface ChainAnchor {
  readonly chain: string;
  /**
   * `vouched`: one stretch, of which a quorum vouches for all but at most TAIL ledgers at the end, and one organisation at
   * least for all but the last ledger, which nobody can have signed for yet.
   */
  readonly verdict: 'vouched' | 'not_vouched';
  /** More than one where links between partitions are missing. */
  readonly stretches: readonly Stretch[];
}

/** Whose word counts, and how many of them have to agree. */
export interface Jury {
  /** Key (G…) → organisation. */
  readonly organisations: ReadonlyMap<string, string>;
  readonly quorum: number;
}

/**
 * So many ledgers at the end may wait for a quorum, which comes with the ledgers after them: signers change from ledger to
 * ledger, and within about an hour and a half every organisation that takes part has had its turn. Some organisation
 * signs each of them: an end without such a word may be anybody's.
 */
export const TAIL = 1000;
const STRANGERS_TOLD = 10;

/** Who vouches, by organisation: of each its latest word. */
type Voices = Map<string, Voice>;

function raise(voices: Voices, voice: Voice): void {
  const before = voices.get(voice.organisation);
  if (before === undefined || before.ledger < voice.ledger) voices.set(voice.organisation, voice);
}

/** Whether `b` follows `a`, by numbers and by hashes. */
const follows = (a: Piece, b: Piece): boolean => a.range.end + 1 === b.range.start && a.lastHash === b.previousHash;

/** For each piece: what vouches for it, found in itself and in all that follows it, in whichever chain. */
function voicesOf(pieces: readonly Piece[], jury: Jury): Map<Piece, Voices> {
  const all = new Map<Piece, Voices>();
  const byStart = new Map<number, Piece[]>();
  for (const piece of [...pieces].sort((a, b) => b.range.start - a.range.start)) {
    const voices: Voices = new Map();
    for (const [key, { last }] of Object.entries(piece.signed ?? {})) {
      const organisation = jury.organisations.get(key);
      if (organisation !== undefined) raise(voices, { organisation, key, ledger: last, vouches_to: last - 1 });
    }
    for (const next of byStart.get(piece.range.end + 1) ?? []) {
      if (follows(piece, next)) for (const voice of all.get(next)?.values() ?? []) raise(voices, voice);
    }
    all.set(piece, voices);
    byStart.set(piece.range.start, [...(byStart.get(piece.range.start) ?? []), piece]);
  }
  return all;
}

/** Partitions of one chain, cut where the next one does not follow. */
function linkedRuns(pieces: readonly Piece[]): Piece[][] {
  const runs: Piece[][] = [];
  for (const piece of [...pieces].sort((a, b) => a.range.start - b.range.start)) {
    const run = runs.at(-1);
    const before = run?.at(-1);
    if (run !== undefined && before !== undefined && follows(before, piece)) run.push(piece);
    else runs.push([piece]);
  }
  return runs;
}

function strangersOf(run: readonly Piece[], jury: Jury): Stranger[] {
  const strangers = new Map<string, Stranger>();
  for (const piece of run) {
    for (const [key, { ledgers, last }] of Object.entries(piece.signed ?? {})) {
      if (jury.organisations.has(key)) continue;
      const before = strangers.get(key);
      strangers.set(key, { key, ledgers: ledgers + (before?.ledgers ?? 0), last: Math.max(last, before?.last ?? 0) });
    }
  }
  return [...strangers.values()].sort((a, b) => b.ledgers - a.ledgers || (a.key < b.key ? -1 : 1));
}

const spanText = ({ start, end }: LedgerRange): string =>
  start === end ? `ledger ${start}` : `ledgers ${start} to ${end} (${end - start + 1})`;

/** Why no quorum vouches for what comes after `vouchedTo` (null: for anything). */
function reason(
  run: readonly Piece[],
  vouchedTo: number | null,
  voices: readonly Voice[],
  strangers: readonly Stranger[],
  { quorum }: Jury,
): string {
  const from = vouchedTo ?? (run[0] as Piece).range.start - 1;
  const later = voices.filter((voice) => voice.vouches_to > from);
  const unknown = strangers.filter(({ last }) => last - 1 > from);
  const known =
    later.length === 0
      ? `no organisation has signed a ledger after ledger ${from + 1}`
      : `${later.length} of the ${quorum} organisations that it takes ${later.length === 1 ? 'has' : 'have'} signed ` +
        `after ledger ${from + 1}: ${later.map((voice) => `${voice.organisation} (${voice.ledger})`).join(', ')}`;
  const strange =
    unknown.length === 0
      ? ''
      : `; ${unknown.length === 1 ? 'a key' : `${unknown.length} keys`} that no organisation has signed up to ledger ` +
        `${Math.max(...unknown.map(({ last }) => last))}, which counts for nothing`;
  const unread = run.filter(({ signed }) => signed === null).length;
  const unseen =
    unread === 0 || vouchedTo !== null ? '' : `; the rows of ${unread} of ${run.length} partitions were not read`;
  return `${known}${strange}${unseen}`;
}

function judgeRun(run: readonly Piece[], heard: Voices, jury: Jury): Stretch {
  const first = (run[0] as Piece).range.start;
  const last = (run.at(-1) as Piece).range.end;
  const voices = [...heard.values()].sort((a, b) => b.ledger - a.ledger || (a.organisation < b.organisation ? -1 : 1));
  const reached = voices[jury.quorum - 1]?.vouches_to ?? 0;
  const vouchedTo = reached < first ? null : Math.min(reached, last);
  const left = vouchedTo === last ? null : { start: vouchedTo === null ? first : vouchedTo + 1, end: last };
  const strangers = strangersOf(run, jury);
  return {
    first,
    last,
    vouched_to: vouchedTo,
    organisations: voices,
    not_vouched: left,
    why: left === null ? null : reason(run, vouchedTo, voices, strangers, jury),
    strangers: strangers.slice(0, STRANGERS_TOLD),
    stranger_keys: strangers.length,
    stranger_ledgers: strangers.reduce((sum, stranger) => sum + stranger.ledgers, 0),
    not_read: run.filter(({ signed }) => signed === null).map(({ range }) => range),
  };
}

/**
 * The verdict on each chain of one network.
 * @param pieces partitions of all its chains, in any order; those that are damaged left out
 * @param chains in the order in which they are to be told; of one without pieces nobody vouches for anything
 */
export function judge(pieces: readonly Piece[], chains: readonly string[], jury: Jury): ChainAnchor[] {
  const voices = voicesOf(pieces, jury);
  return chains.map((chain) => {
    const stretches = linkedRuns(pieces.filter((piece) => piece.chain === chain)).map((run) =>
      judgeRun(run, voices.get(run[0] as Piece) as Voices, jury),
    );
    const [only] = stretches;
    const isVouched =
      stretches.length === 1 &&
      only !== undefined &&
      only.vouched_to !== null &&
      only.last - only.vouched_to <= TAIL &&
      only.last - (only.organisations[0] as Voice).vouches_to <= 1;
    return { chain, verdict: isVouched ? 'vouched' : 'not_vouched', stretches };
  });
}

/** In one line, of a stretch: what can be said of it, and no more. */
export function stretchText(stretch: Stretch): string {
  const { first, last, vouched_to: to, organisations, not_vouched: left, why } = stretch;
  const those = organisations.filter((voice) => to !== null && voice.vouches_to >= to);
  const by = those.map((voice) => `${voice.organisation} (by ledger ${voice.ledger})`).join(', ');
  const who = `${those.length} organisation${those.length === 1 ? '' : 's'}`;
  const done = to === null ? '' : `ledgers ${first} to ${to} are vouched for by ${who}: ${by}`;
  const said = to === null ? `NOT VOUCHED FOR: ledgers ${first} to ${last}` : 'not vouched for yet';
  const rest = left === null ? '' : `${said}${to === null ? '' : `: ${spanText(left)}`}: ${why}`;
  return [done, rest].filter(Boolean).join('; ');
}
