/**
 * The partitions of a table as a listing shows them. It must never pass over a folder that is named like a partition and
 * holds something: whoever looks for ledgers there reads it.
 */
import { rangeLabel } from '../../machines/partitions.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import { dataFileName, parsePartitionKey, tablePrefix } from '../bronze/names.ts';
import type { ChainPlace } from './chain-place.ts';

/** A partition as its folder shows it. */
export interface Listed {
  readonly range: LedgerRange;
  dataBytes: number | null;
  hasManifest: boolean;
  /** Neither of the two is there, and something else is. */
  isForeign?: true;
}

/** The partitions of a table as listed, by range, and folders named like one that hold something else. */
export async function listPartitions(place: ChainPlace, signal?: AbortSignal): Promise<Listed[]> {
  const prefix = tablePrefix(place.chain, place.table);
  const byLabel = new Map<string, Listed>();
  for (const { key, size } of await place.store.list(prefix, signal)) {
    const found = parsePartitionKey(key.slice(prefix.length));
    if (found === null) continue;
    const label = rangeLabel(found.range);
    const partition = byLabel.get(label) ?? { range: found.range, dataBytes: null, hasManifest: false };
    if (found.name === dataFileName(found.range)) partition.dataBytes = size;
    else if (found.name === '_manifest.json') partition.hasManifest = true;
    else if (byLabel.has(label)) continue;
    else partition.isForeign = true;
    if (partition.dataBytes !== null || partition.hasManifest) delete partition.isForeign;
    byLabel.set(label, partition);
  }
  return [...byLabel.values()].sort((a, b) => a.range.start - b.range.start || a.range.end - b.range.end);
}
