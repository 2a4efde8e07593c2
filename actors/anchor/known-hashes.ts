/**
 * What others say of single ledgers: trusted hashes of a file, checkpoints of history archives. Each is compared with what
 * Bronze has, and each contradiction is a failure that names both. It must never take silence for agreement or dissent.
 */
import type { Failure } from '../../machines/errors.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import { type ArchiveReport, checkpointsIn, type HistoryArchive } from './archive.ts';
import { type TrustedHashes, trustedFailure } from './trusted-hashes.ts';

export interface TrustedReport {
  readonly file: string;
  /** Hashes in the file. */
  readonly hashes: number;
  /** Of ledgers that were read; the others were not compared. */
  readonly agrees: number;
  readonly contradicts: number;
}

export class KnownHashes {
  readonly #trusted: TrustedHashes | null;
  readonly #archives: readonly HistoryArchive[];
  #agrees = 0;
  #contradicts = 0;

  constructor(trusted: TrustedHashes | null, archives: readonly HistoryArchive[]) {
    this.#trusted = trusted;
    this.#archives = archives;
  }

  /** Ledgers of a range that somebody says something of, rising. */
  of(range: LedgerRange): number[] {
    const trusted = this.#trusted?.within(range).map(({ ledger }) => ledger) ?? [];
    const checkpoints = this.#archives.length === 0 ? [] : checkpointsIn(range);
    return [...new Set([...trusted, ...checkpoints])].sort((a, b) => a - b);
  }

  /**
   * What contradicts; the others may agree or be silent, which `report` tells.
   * @param hashes hex, of the ledgers that `of(range)` gives, in that order
   * @throws CANCELLED
   */
  async compare(range: LedgerRange, hashes: readonly string[], signal: AbortSignal): Promise<Failure[]> {
    const known = new Map(this.of(range).map((ledger, i) => [ledger, hashes[i] as string]));
    const failures: Failure[] = [];
    for (const entry of this.#trusted?.within(range) ?? []) {
      const found = known.get(entry.ledger) as string;
      if (found === entry.hash) this.#agrees += 1;
      else {
        this.#contradicts += 1;
        failures.push(trustedFailure(entry, found, (this.#trusted as TrustedHashes).name));
      }
    }
    const checkpoints = new Map(checkpointsIn(range).map((ledger) => [ledger, known.get(ledger) as string]));
    const asked = await Promise.all(
      this.#archives.map(async (archive) =>
        (await archive.compare(checkpoints, signal)).map(
          (dissent): Failure => ({
            code: 'ANCHOR_CONTRADICTED',
            message: `the archive of ${archive.organisation} has another ledger ${dissent.ledger}`,
            retryable: false,
            check: `archive of ${archive.organisation}`,
            ...dissent,
            hint: 'ask other archives; one of a network before it was reset has other ledgers all the way',
          }),
        ),
      ),
    );
    return [...failures, ...asked.flat()];
  }

  report(): { readonly trusted_hashes: TrustedReport | null; readonly archives: readonly ArchiveReport[] } {
    const trusted = this.#trusted;
    return {
      trusted_hashes:
        trusted === null
          ? null
          : { file: trusted.name, hashes: trusted.count, agrees: this.#agrees, contradicts: this.#contradicts },
      archives: this.#archives.map((archive) => archive.report()),
    };
  }
}
