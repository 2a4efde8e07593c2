/** Asks whether there is something of the old program to adopt in a chain, and hands over what a listing and the chain say. */
import { type Adoption, judgeOldEstate } from '../version-1/adoption.ts';
import type { BackupFolder } from '../version-1/old-chain.ts';
import { readChain } from './audit-chain.ts';
import type { ChainPlace } from './chain-place.ts';
import { listPartitions } from './list-partitions.ts';

/**
 * What there is to adopt below a chain; null where the old program left nothing. `copies`: where its events are.
 * Throws AUDIT_INVALID, AUDIT_FORK, AUDIT_HOLE, MANIFEST_INVALID, STATE_IO, STORE_*.
 */
export async function findAdoption(
  place: ChainPlace,
  copies: BackupFolder,
  signal?: AbortSignal,
  onProgress?: () => void,
): Promise<Adoption | null> {
  const listed = await listPartitions(place, signal);
  const sealed = listed.filter((found) => found.hasManifest && found.dataBytes !== null).map(({ range }) => range);
  const hasEvent = async (hash: string): Promise<boolean> =>
    (await readChain(place, signal)).events.some(({ eventHash }) => eventHash === hash);
  const { store, chain, table } = place;
  return judgeOldEstate({ store, chain, table, sealed, hasEvent }, copies, signal, onProgress);
}
