/** Finds out how the lake is laid out, and that it is of the configured network. */
import type { Effect } from '../effects/effect.ts';
import { openLakeFor } from '../source/open-lake.ts';

export const openLake: Effect<'openLake'> = async (era, _, { signal }) => {
  const { source, passphrase, chain } = era.setup;
  const layout = await openLakeFor(source, { network: chain.network, passphrase }, signal);
  if (layout.networkPassphrase === null || passphrase === null) {
    era.log.warn(
      { component: 'source', source: source.uri },
      layout.networkPassphrase === null
        ? 'the lake has no .config.json: its network was not compared'
        : 'source.network_passphrase is not set: the network of the lake was not compared, and no signature is verified',
    );
  }
  era.layout = layout;
  return { source: source.uri };
};
