/** Opens a lake for one network. The only place that decides whether a lake is of the network that it is copied for. */
import { lakeConflict } from '../../config/networks.ts';
import { BronzeError } from '../../machines/errors.ts';
import type { LakeLayout, LakeSource } from '../ports/source.ts';

/**
 * The layout of the lake; `passphrase` null: nobody has said what that of `network` is. Throws LAKE_WRONG_NETWORK where
 * the lake says that it is of another network, and what opening it throws (LAKE_NOT_FOUND, LAKE_CONFIG_INVALID, SOURCE_*).
 */
export async function openLakeFor(
  source: LakeSource,
  { network, passphrase }: { readonly network: string; readonly passphrase: string | null },
  signal: AbortSignal,
): Promise<LakeLayout> {
  const layout = await source.open(signal);
  const found = layout.networkPassphrase;
  const conflict = found === null ? null : lakeConflict(network, passphrase, found);
  if (found === null || conflict === null) return layout;
  const { message, expected, hint } = conflict;
  throw new BronzeError('LAKE_WRONG_NETWORK', message, {
    details: { object: source.uri, check: 'network passphrase', expected, found, hint },
  });
}
