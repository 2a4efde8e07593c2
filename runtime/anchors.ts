/** The anchors that a configuration names, read from its files: for `run`, `validate`, `verify` and `status`. */
import { type Jury, judge, type Piece } from '../actors/anchor/judge.ts';
import { parseTrustedHashes, TRUSTED_LIMIT, type TrustedHashes } from '../actors/anchor/trusted-hashes.ts';
import { type ChainName, chainKey } from '../actors/bronze/names.ts';
import { parseJson } from '../actors/json.ts';
import { readAnchorFile, validatorsOf } from '../config/anchors.ts';
import type { Config } from '../config/schema.ts';
import { toFailure } from '../machines/errors.ts';
import type { AttestedEvent } from '../machines/protocol.ts';

/** The trusted hashes of a file; null where none is named. @throws ANCHORS_INVALID */
export const trustedHashesOf = (file: string): TrustedHashes | null =>
  file === '' ? null : parseTrustedHashes(readAnchorFile(file, TRUSTED_LIMIT), file);

/**
 * Reads everything that `anchors` names, so that what cannot be used is told before the work and not after it.
 * @returns what `run` compares with
 * @throws ANCHORS_INVALID
 */
export function openAnchors({ anchors, eras }: Pick<Config, 'anchors' | 'eras'>): TrustedHashes | null {
  const { validators, quorum, trusted_hashes } = anchors;
  if (validators !== '' || quorum !== undefined) {
    for (const network of new Set(eras.map((era) => era.network))) {
      validatorsOf(network, validators, quorum ?? null, parseJson);
    }
  }
  return trustedHashesOf(trusted_hashes);
}

/** What the events of one era say of who vouches for it. */
export interface AttestedAnchor {
  /** A quorum vouches for the era up to this ledger, or beyond; null: for none of it that these events would show. */
  readonly vouched_to_at_least: number | null;
  readonly quorum: number;
  /** Those that make it, or are heard at all where there is none. */
  readonly organisations: readonly string[];
}

/**
 * The least that follows from how many ledgers of each partition a key has signed: nothing is read, and `verify --anchor`
 * knows it to the ledger, also over the edge of the era. Null where no event says who signed, or no validators are known.
 */
export function attestedAnchor(
  { anchors }: Pick<Config, 'anchors'>,
  chain: ChainName,
  events: readonly Pick<AttestedEvent, 'range' | 'ledgers'>[],
): AttestedAnchor | null {
  if (!events.some(({ ledgers }) => ledgers.signers !== undefined)) return null;
  const { validators, quorum: wanted } = anchors;
  let jury: Jury;
  try {
    const { byKey, quorum } = validatorsOf(chain.network, validators, wanted ?? null, parseJson);
    jury = { organisations: byKey, quorum };
  } catch (error) {
    if (toFailure(error).code !== 'ANCHORS_INVALID') throw error;
    return null;
  }
  const pieces = events.map(({ range, ledgers: { previousHash, lastHash, signers = {} } }): Piece => {
    // Whoever signed n ledgers has signed the nth of them, or one after it.
    const signed = Object.entries(signers).map(([key, n]) => [key, { ledgers: n, last: range.start + n - 1 }] as const);
    return { chain: chainKey(chain), range, previousHash, lastHash, signed: Object.fromEntries(signed) };
  });
  const last = judge(pieces, [chainKey(chain)], jury)[0]?.stretches.at(-1);
  const to = last?.vouched_to ?? null;
  const heard = (last?.organisations ?? []).filter((voice) => to === null || voice.vouches_to >= to);
  return {
    vouched_to_at_least: to,
    quorum: jury.quorum,
    organisations: heard.map(({ organisation }) => organisation),
  };
}
