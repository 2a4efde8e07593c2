/**
 * What is recorded of a partition, derived from its stored manifest. Backend-independent. It must never take anything
 * from what a build remembers, nor from a clock: whoever derives a record again gets the same.
 */
import { BronzeError } from '../../machines/errors.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import { type Manifest, manifestData, parseAnyManifest } from '../bronze/manifest.ts';
import { dataKey, manifestKey } from '../bronze/names.ts';
import type { ChainPlace } from '../chain/chain-place.ts';
import type { PartitionRecord } from '../ports/catalog.ts';

/** By the scheme of the source's URI, as sources write it. */
const SOURCE_TYPES: Readonly<Record<string, PartitionRecord['sourceType']>> = { file: 'local', gs: 'gcs', s3: 's3' };

function sourceTypeOf(uri: string): PartitionRecord['sourceType'] {
  const scheme = /^([a-z0-9]+):\/\//.exec(uri)?.[1] ?? '';
  return SOURCE_TYPES[scheme] ?? 'unknown';
}

/**
 * The record of one sealed partition. `eventId` is that of its event, null without an audit stream; `prevHash` the
 * checksum of the partition that ends where it begins, null for the first.
 * Throws PARTITION_DAMAGED where there is no manifest, MANIFEST_INVALID, STORE_*.
 */
export async function partitionRecord(
  place: ChainPlace,
  range: LedgerRange,
  of: { readonly eventId: string | null; readonly prevHash: string | null },
  signal?: AbortSignal,
): Promise<PartitionRecord> {
  const { store, chain, table } = place;
  const object = manifestKey(chain, table, range);
  const bytes = await store.get(object, signal);
  if (bytes === null) {
    throw new BronzeError('PARTITION_DAMAGED', `the manifest of a sealed partition is not there any more: ${object}`, {
      details: { ...range, object },
    });
  }
  const { columns, manifest } = parseAnyManifest(bytes, { chain, table, range, object });
  const { checksum, rowCount, byteSize } = manifestData(manifest, table);
  const key = dataKey(chain, table, range);
  const source = columns === 2 ? (manifest as Manifest).source : '';
  return {
    range,
    rowCount,
    byteSize,
    checksum,
    prevHash: of.prevHash,
    storagePath: `${store.prefix}${key}`,
    storageUri: `${store.uri}${key}`,
    pasEventId: of.eventId,
    producerVersion: manifest.producer.version,
    producerGitSha: manifest.producer.git_sha,
    sourceType: sourceTypeOf(source),
    sourceLocation: source,
    createdAt: manifest.created_at,
    checks: columns === 2 ? (manifest as Manifest).checks : {},
    columns,
  };
}
