/** The ports of what lies beside the copier in its state folder (actors/state/): hints, and the lock. None of them is the truth. */
import type { CheckpointFacts, LedgerRange } from '../../machines/protocol.ts';

/** Checkpoint of one era. Read returns null for anything that cannot be used, and says why through `problem`. */
export interface CheckpointStore {
  /**
   * `belongsTo`: the chain that it is of, where that is another one. `isOld`: the old program wrote it; nothing is wrong.
   * `old`: what that said, which vouches for nothing.
   */
  read(): Promise<{
    facts: CheckpointFacts | null;
    problem: string | null;
    belongsTo?: string;
    isOld?: true;
    old?: CheckpointFacts;
  }>;
  write(range: LedgerRange, checksum: string): Promise<void>;
}

/** A held lock on one chain. */
export interface ChainLock {
  /** Nonce of this holder: names its staging objects. */
  readonly nonce: string;
  /** Nonces of former holders whose staging objects may still lie there. */
  readonly orphaned: readonly string[];
  /** Says that the staging objects of former holders are gone. */
  swept(): Promise<void>;
  /** Throws LOCK_LOST once somebody else holds the lock. */
  assertHeld(): void;
  /** `isUnused`: nothing was ever staged under this nonce, so no later holder has to look for it. */
  release(isUnused?: boolean): Promise<void>;
}
