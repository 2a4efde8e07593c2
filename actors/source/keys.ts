/**
 * Names of a Galexie lake (SEP-54): from a sequence to a key and back. Pure arithmetic, no I/O; every reader of a lake
 * takes its keys from here, so a key never holds anything but digits, hex and fixed words: nothing that could climb out
 * of the lake's root.
 */
import type { LedgerRange } from '../../machines/protocol.ts';

/** Highest ledger sequence: they are uint32. */
export const MAX_LEDGER = 0xffffffff;

/** How a lake is cut: both at least 1. Ledgers per partition folder are their product. */
export interface LakeNumbers {
  readonly ledgersPerFile: number;
  readonly filesPerPartition: number;
}

export type Suffix = 'zst' | 'zstd';

/** The name of the file at the root that says how the lake is cut. */
export const LAKE_CONFIG_KEY = '.config.json';

/** `H(n)`: 0xFFFFFFFF - n as eight upper-case hex digits, so that newer names sort first. */
export const reversedHex = (n: number): string => (MAX_LEDGER - n).toString(16).toUpperCase().padStart(8, '0');

/** Whether two numbers can be those of a lake: integers of at least 1 whose product is within the uint32 sequences. */
export function areLakeNumbers(n: LakeNumbers): boolean {
  const fits = (x: number) => Number.isInteger(x) && x >= 1;
  return fits(n.ledgersPerFile) && fits(n.filesPerPartition) && n.ledgersPerFile * n.filesPerPartition <= 2 ** 32;
}

const cell = (sequence: number, size: number): LedgerRange => {
  const start = Math.floor(sequence / size) * size;
  return { start, end: start + size - 1 };
};

/** Ledgers that the name of the file of a sequence covers; clipped to the last sequence there can be. */
export function fileRange(n: LakeNumbers, sequence: number): LedgerRange {
  const { start, end } = cell(sequence, n.ledgersPerFile);
  return { start, end: Math.min(end, MAX_LEDGER) };
}

/** Ledgers of the partition folder of a sequence; not clipped, because its name is not. */
export const partitionRange = (n: LakeNumbers, sequence: number): LedgerRange =>
  cell(sequence, n.ledgersPerFile * n.filesPerPartition);

/** Name of the partition folder of a sequence, with a slash; empty where the lake has none (one file a partition). */
export function partitionFolder(n: LakeNumbers, sequence: number): string {
  if (n.filesPerPartition === 1) return '';
  const { start, end } = partitionRange(n, sequence);
  return `${reversedHex(start)}--${start}-${end}/`;
}

/** Key of the object that holds a sequence, up to and with the dot before the suffix. */
function objectStem(n: LakeNumbers, sequence: number): string {
  // Ends are not clipped here: at 4294967295 a name says what the arithmetic gives.
  const { start, end } = cell(sequence, n.ledgersPerFile);
  return `${partitionFolder(n, sequence)}${reversedHex(start)}--${start}${end > start ? `-${end}` : ''}.xdr.`;
}

/** Key of the object that holds a sequence. */
export const objectKey = (n: LakeNumbers, sequence: number, suffix: Suffix): string =>
  `${objectStem(n, sequence)}${suffix}`;

/** How many objects hold a range. */
export const fileCount = (n: LakeNumbers, r: LedgerRange): number =>
  Math.floor(r.end / n.ledgersPerFile) - Math.floor(r.start / n.ledgersPerFile) + 1;

/** One object that holds ledgers of a range. */
export interface LakeFile {
  /** Key up to and with the dot before the suffix. */
  readonly stem: string;
  /** Ledgers that the name covers. */
  readonly named: LedgerRange;
  /** First ledger of it that was asked for. */
  readonly first: number;
}

/** The object at `index` among those that hold a range, in ledger order; `0 <= index < fileCount`. */
export function fileOf(n: LakeNumbers, r: LedgerRange, index: number): LakeFile {
  const first = index === 0 ? r.start : (Math.floor(r.start / n.ledgersPerFile) + index) * n.ledgersPerFile;
  return { stem: objectStem(n, first), named: fileRange(n, first), first };
}

const canonical = (digits: string): number | null => {
  const value = Number(digits);
  return String(value) === digits ? value : null;
};

function parseStem(hex: string, from: string, to: string): LedgerRange | null {
  const start = canonical(from);
  const end = canonical(to);
  if (start === null || end === null || start > end || start > MAX_LEDGER || reversedHex(start) !== hex) return null;
  return { start, end };
}

/** The range in the name of a partition folder, without its slash; null for any other name. */
export function parseFolderName(name: string): LedgerRange | null {
  const match = /^([0-9A-F]{8})--(\d{1,10})-(\d{1,10})$/.exec(name);
  return match ? parseStem(match[1] as string, match[2] as string, match[3] as string) : null;
}

/** What the name of an object, without its folder, says; null for any other name. `single`: it gives no end. */
export function parseFileName(name: string): { range: LedgerRange; single: boolean; suffix: Suffix } | null {
  const match = /^([0-9A-F]{8})--(\d{1,10})(?:-(\d{1,10}))?\.xdr\.(zstd?)$/.exec(name);
  if (!match) return null;
  const range = parseStem(match[1] as string, match[2] as string, match[3] ?? (match[2] as string));
  if (range === null || (match[3] !== undefined && range.start === range.end)) return null;
  return { range, single: match[3] === undefined, suffix: match[4] as Suffix };
}
