/**
 * Follows listed files through a lake to find how far the unbroken run of ledgers reaches. Pure, and fed piece by
 * piece in ledger order, so that no listing is ever held whole.
 */
import type { LakeHead, LedgerRange } from '../../machines/protocol.ts';
import { fileRange, type LakeNumbers, MAX_LEDGER, parseFileName, partitionFolder } from './keys.ts';

/** Start of the file that a name is of, in a lake that is cut so; null for anything else. */
function fileStart(n: LakeNumbers, name: string): number | null {
  const file = parseFileName(name);
  if (file === null || file.single !== (n.ledgersPerFile === 1)) return null;
  const { start, end } = file.range;
  return start % n.ledgersPerFile === 0 && end - start + 1 === n.ledgersPerFile ? start : null;
}

/** Starts of the files that are named as this lake's, ascending; anything else in a listing is not the lake's. */
export const fileStarts = (n: LakeNumbers, names: readonly string[]): number[] =>
  names
    .map((name) => fileStart(n, name))
    .filter((start) => start !== null)
    .sort((a, b) => a - b);

/** Start of the file that a key below the lake's root is of; null where it is none or lies in a folder not its own. */
export function keyStart(n: LakeNumbers, key: string): number | null {
  const name = key.lastIndexOf('/') + 1;
  const start = fileStart(n, key.slice(name));
  return start !== null && key.slice(0, name) === partitionFolder(n, start) ? start : null;
}

/** An unbroken run that was listed before: objects of a lake stay, so following the head need not list it again. */
export class KnownRun {
  #run: LedgerRange | null = null;

  /** The ledger at or after `first` from which on listing has to go on; all from `first` up to it are known. */
  goOnFrom(first: number): number {
    return (this.#joining(first)?.end ?? first - 1) + 1;
  }

  /** Remembers that everything from `first` to `last` is there; `last` below `first` = nothing is. */
  reached(first: number, last: number): void {
    if (last >= first) this.#run = { start: this.#joining(first)?.start ?? first, end: last };
  }

  #joining(first: number): LedgerRange | null {
    const run = this.#run;
    return run !== null && first >= run.start && first <= run.end + 1 ? run : null;
  }
}

/** The unbroken run that begins at `from`. */
export class RunOfFiles {
  readonly #numbers: LakeNumbers;
  readonly #from: number;
  /** Start of the file that must come next; beyond the last sequence when there can be none. */
  #next: number;

  constructor(numbers: LakeNumbers, from: number) {
    this.#numbers = numbers;
    this.#from = from;
    this.#next = fileRange(numbers, from).start;
  }

  /** Takes more files, in ledger order. False as soon as one is missing: nothing after it can lengthen the run. */
  follow(starts: readonly number[]): boolean {
    for (const start of starts) {
      if (start < this.#next) continue;
      if (start > this.#next) return false;
      this.#next += this.#numbers.ledgersPerFile;
    }
    return true;
  }

  /** Last ledger of the run so far; one less than its first where nothing was followed. */
  get end(): number {
    return Math.max(this.#from, Math.min(this.#next, MAX_LEDGER + 1)) - 1;
  }

  /** The answer, once all that matters was followed. `head`: last ledger of the newest file. */
  found(head: number | null): LakeHead {
    const contiguousTo = this.end;
    const reached = contiguousTo >= this.#from ? contiguousTo : null;
    // A listing that was made later may know more than the one that found the head.
    const highest = head === null || reached === null ? (head ?? reached) : Math.max(head, reached);
    const holeAt = highest !== null && highest > contiguousTo ? contiguousTo + 1 : null;
    return { head: highest, contiguousTo, holeAt };
  }
}
