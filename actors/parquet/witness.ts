/**
 * What the rows of a partition have to say for anchors (docs/anchors.md), gathered while they are read for other reasons.
 * Pure; plain data comes out of it.
 */
import type { LedgerFacts } from '../check/ledger-checker.ts';
import type { Witnessed, WitnessSpec } from './spec.ts';

export class Witness {
  readonly #wanted: readonly number[];
  readonly #signed = new Map<string, { ledgers: number; last: number }>();
  readonly #hashes: string[] = [];

  constructor(spec: WitnessSpec) {
    this.#wanted = spec.hashesOf;
  }

  /** Takes the next row, checked. */
  see({ sequence, signer, ledgerHash }: LedgerFacts): void {
    if (this.#wanted[this.#hashes.length] === sequence) this.#hashes.push(ledgerHash);
    if (signer === null) return;
    const known = this.#signed.get(signer);
    if (known === undefined) this.#signed.set(signer, { ledgers: 1, last: sequence });
    else {
      known.ledgers += 1;
      known.last = sequence;
    }
  }

  tell(): Witnessed {
    return { signed: Object.fromEntries(this.#signed), hashes: this.#hashes };
  }
}
