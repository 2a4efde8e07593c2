/** The anchors that a configuration names, read from its files: for `run`, `validate` and `verify`. */
import { parseTrustedHashes, TRUSTED_LIMIT, type TrustedHashes } from '../actors/anchor/trusted-hashes.ts';
import { parseJson } from '../actors/json.ts';
import { readAnchorFile, validatorsOf } from '../config/anchors.ts';
import type { Config } from '../config/schema.ts';

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
