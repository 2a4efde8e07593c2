/**
 * Follows listed files through a lake to find how far the unbroken run of ledgers reaches. Pure, and fed folder by
 * folder in ledger order, so that no listing is ever held whole.
 */
import type { LakeHead } from '../../machines/protocol.ts';
import { fileRange, type LakeNumbers, MAX_LEDGER, parseFileName } from './keys.ts';

/** Starts of the files that are named as this lake's, ascending; anything else in a listing is not the lake's. */
export function fileStarts(n: LakeNumbers, names: readonly string[]): number[] {
  const starts: number[] = [];
  for (const name of names) {
    const file = parseFileName(name);
    if (file === null || file.single !== (n.ledgersPerFile === 1)) continue;
    const { start, end } = file.range;
    if (start % n.ledgersPerFile === 0 && end - start + 1 === n.ledgersPerFile) starts.push(start);
  }
  return starts.sort((a, b) => a - b);
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

  /** The answer, once all that matters was followed. `head`: last ledger of the newest file. */
  found(head: number | null): LakeHead {
    const contiguousTo = Math.max(this.#from, Math.min(this.#next, MAX_LEDGER + 1)) - 1;
    const reached = contiguousTo >= this.#from ? contiguousTo : null;
    // A listing that was made later may know more than the one that found the head.
    const highest = head === null || reached === null ? (head ?? reached) : Math.max(head, reached);
    const holeAt = highest !== null && highest > contiguousTo ? contiguousTo + 1 : null;
    return { head: highest, contiguousTo, holeAt };
  }
}
