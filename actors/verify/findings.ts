/**
 * What `verify` found, and how it is told: one finding for one damage, and one sentence for what is wrong in the same
 * way a thousand times. That something was found is always told.
 */
import type { Failure } from '../../machines/errors.ts';
import type { LedgerRange } from '../../machines/protocol.ts';

/** Something that is not as it should be. */
export interface Finding extends Failure {
  /** `pubnet/pre_p23/v1` */
  readonly chain: string;
  /** How many of its kind this one stands for, where it is more than one. */
  readonly count?: number;
  /** Ledgers that it is about, where it is more than one stretch. At most RANGES_TOLD. */
  readonly ranges?: readonly LedgerRange[];
}

/** Findings of one kind that are told one by one; what is more is counted. */
const TOLD = 10;
/** Stretches of ledgers in one finding. */
const RANGES_TOLD = 100;
/** Stretches of ledgers in one sentence. */
const RANGES_SAID = 5;

/** Stretches in order, joined where they touch. */
export function joined(ranges: readonly LedgerRange[]): LedgerRange[] {
  const all: LedgerRange[] = [];
  for (const range of [...ranges].sort((a, b) => a.start - b.start)) {
    const last = all.at(-1);
    if (last === undefined || range.start > last.end + 1) all.push(range);
    else if (range.end > last.end) all[all.length - 1] = { start: last.start, end: range.end };
  }
  return all;
}

/** What of `range` none of the stretches covers. */
export function without(range: LedgerRange, ranges: readonly LedgerRange[]): LedgerRange[] {
  const left: LedgerRange[] = [];
  let from = range.start;
  for (const { start, end } of joined(ranges)) {
    if (start > range.end) break;
    if (start > from) left.push({ start: from, end: start - 1 });
    from = Math.max(from, end + 1);
  }
  if (from <= range.end) left.push({ start: from, end: range.end });
  return left;
}

/** `2 to 9, 40 to 59 and 3 more stretches` */
export function ledgersText(ranges: readonly LedgerRange[]): string {
  const all = joined(ranges);
  const said = all.slice(0, RANGES_SAID).map(({ start, end }) => (start === end ? `${start}` : `${start} to ${end}`));
  const more = all.length - said.length;
  return `${said.join(', ')}${more > 0 ? ` and ${more} more stretches` : ''}`;
}

/** One finding for many that differ in nothing but their ledgers; null for none. `what` gets their number. */
export function together(
  chain: string,
  ranges: readonly LedgerRange[],
  finding: Omit<Failure, 'message' | 'retryable' | 'start' | 'end'>,
  what: (count: number, ledgers: string) => string,
): Finding | null {
  const first = ranges[0];
  if (first === undefined) return null;
  const all = joined(ranges);
  const last = all.at(-1) as LedgerRange;
  return {
    ...finding,
    message: what(ranges.length, ledgersText(all)),
    retryable: false,
    chain,
    start: (all[0] as LedgerRange).start,
    end: last.end,
    ...(ranges.length > 1 ? { count: ranges.length } : {}),
    ...(all.length > 1 ? { ranges: all.slice(0, RANGES_TOLD) } : {}),
  };
}

const partOf = ({ start, end, ledger }: Failure): LedgerRange[] =>
  start !== undefined && end !== undefined
    ? [{ start, end }]
    : ledger === undefined
      ? []
      : [{ start: ledger, end: ledger }];

/**
 * By kind, in the order in which they came: those that are told one by one, and those that are only counted, which are
 * none or several.
 */
export function byKind<T>(
  items: readonly T[],
  kindOf: (item: T) => string,
): { readonly told: readonly T[]; readonly rest: readonly T[] }[] {
  const kinds = new Map<string, T[]>();
  for (const item of items) {
    const all = kinds.get(kindOf(item)) ?? [];
    kinds.set(kindOf(item), all);
    all.push(item);
  }
  return [...kinds.values()].map((all) => {
    const told = all.length <= TOLD + 1 ? all.length : TOLD;
    return { told: all.slice(0, told), rest: all.slice(told) };
  });
}

/** The first findings of each kind, and one that counts the others of it. In the order in which they were found. */
export function summedUp<T extends Failure>(
  findings: readonly T[],
  kindOf = ({ code, check }: T): string => `${code} ${check}`,
): T[] {
  return byKind(findings, kindOf).flatMap(({ told, rest }) => {
    const [sample] = rest;
    if (sample === undefined) return told;
    const ranges = joined(rest.flatMap(partOf));
    const where = ranges.length === 0 ? '' : `, ledgers ${ledgersText(ranges)}`;
    const { code, check, retryable, hint } = sample;
    const sum = {
      ...('chain' in sample ? { chain: sample.chain } : {}),
      code,
      message: `${rest.length} more like these${where}; the first of them: ${sample.message}`,
      retryable,
      ...(check === undefined ? {} : { check }),
      ...(hint === undefined ? {} : { hint }),
      count: rest.length,
      ...(ranges.length === 0
        ? {}
        : { ranges: ranges.slice(0, RANGES_TOLD).map(({ start, end }) => ({ start, end })) }),
    };
    return [...told, sum as unknown as T];
  });
}

/** How many things were found: one finding may stand for many. */
export const countOf = (findings: readonly { readonly count?: number }[]): number =>
  findings.reduce((sum, { count }) => sum + (count ?? 1), 0);
