/**
 * What ties a partition's rows to the chain of ledgers, gathered ledger by ledger, whether they come from the lake or from
 * a published file. Pure.
 */
import { BronzeError } from '../../machines/errors.ts';
import type { LedgerEnds } from '../../machines/protocol.ts';
import { MerkleTree } from '../bronze/merkle.ts';
import type { LedgerFacts } from '../check/ledger-checker.ts';
import type { CheckSpec } from './spec.ts';

export class EndsGatherer {
  readonly #tree = new MerkleTree();
  /** Null where no signature is looked at. */
  readonly #signers: Map<string, number> | null;
  #first: LedgerFacts | null = null;
  /** The ledger that came last; null before the first one. */
  last: LedgerFacts | null = null;

  constructor(checks: CheckSpec) {
    this.#signers = checks.networkPassphrase === null ? null : new Map();
  }

  /** Takes the next ledger, checked and linked to `last`. */
  add(facts: LedgerFacts): void {
    this.#tree.append(facts.xdrDigest);
    this.#first ??= facts;
    this.last = facts;
    if (this.#signers === null || facts.signer === null) return;
    this.#signers.set(facts.signer, (this.#signers.get(facts.signer) ?? 0) + 1);
  }

  /** Throws INTERNAL before the first ledger. */
  ends(): LedgerEnds {
    if (this.#first === null || this.last === null) throw new BronzeError('INTERNAL', 'a partition has no ledgers');
    return {
      firstHash: this.#first.ledgerHash,
      lastHash: this.last.ledgerHash,
      previousHash: this.#first.previousLedgerHash,
      contentRoot: this.#tree.root(),
      ...(this.#signers === null ? {} : { signers: Object.fromEntries(this.#signers) }),
    };
  }
}
