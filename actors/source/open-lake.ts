/** Opens a lake for one network. The only place that decides whether a lake is of the network that it is copied for. */
import { BronzeError } from '../../machines/errors.ts';
import type { LakeLayout, LakeSource } from '../ports.ts';

/**
 * The layout of the lake; `passphrase` null: there is nothing to compare. Throws LAKE_WRONG_NETWORK where the lake says
 * that it is of another network, and what opening it throws (LAKE_NOT_FOUND, LAKE_CONFIG_INVALID, SOURCE_*).
 */
export async function openLakeFor(
  source: LakeSource,
  passphrase: string | null,
  signal: AbortSignal,
): Promise<LakeLayout> {
  const layout = await source.open(signal);
  if (layout.networkPassphrase === null || passphrase === null || layout.networkPassphrase === passphrase)
    return layout;
  throw new BronzeError('LAKE_WRONG_NETWORK', `the lake ${source.uri} is of another network`, {
    details: {
      object: source.uri,
      check: 'network passphrase',
      expected: passphrase,
      found: layout.networkPassphrase,
      hint: 'point source at a lake of this network, or set network (source.network_passphrase) to that of the lake',
    },
  });
}
