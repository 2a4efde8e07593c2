/**
 * Which passphrase belongs to which network, and where a lake is. It must never reach out to either.
 */
import type { Config, SourceConfig } from './schema.ts';

/** Networks whose passphrase everybody knows (SEP-54 lakes carry it in `.config.json`). */
export const KNOWN_PASSPHRASES: ReadonlyMap<string, string> = new Map([
  ['pubnet', 'Public Global Stellar Network ; September 2015'],
  ['testnet', 'Test SDF Network ; September 2015'],
  ['futurenet', 'Test SDF Future Network ; October 2022'],
]);

/** The passphrase that a lake of `network` must carry; null = there is nothing to compare with. */
export function networkPassphrase(config: Pick<Config, 'source'>, network: string): string | null {
  const configured = config.source.network_passphrase;
  return KNOWN_PASSPHRASES.get(network) ?? (configured === '' ? null : configured);
}

/** Where a lake is, with the old form (`datastore`) resolved. `prefix` is empty or ends with one slash. */
export type LakeLocation =
  | { readonly kind: 'local'; readonly path: string }
  | { readonly kind: 'gcs'; readonly bucket: string; readonly prefix: string }
  | { readonly kind: 's3'; readonly bucket: string; readonly prefix: string };

const asFolder = (prefix: string): string => {
  const bare = prefix.replace(/^\/+|\/+$/g, '');
  return bare === '' ? '' : `${bare}/`;
};

/** The lake that `source` names. Credentials, endpoint and region stay in `source`. */
export function lakeLocation(source: SourceConfig): LakeLocation {
  switch (source.mode) {
    case 'local':
      return { kind: 'local', path: source.local_path };
    case 'gcs':
      return { kind: 'gcs', bucket: source.gcs_bucket, prefix: asFolder(source.gcs_prefix) };
    case 's3':
      return { kind: 's3', bucket: source.s3_bucket, prefix: asFolder(source.s3_prefix) };
    case 'datastore': {
      const slash = source.datastore_path.indexOf('/');
      const bucket = slash < 0 ? source.datastore_path : source.datastore_path.slice(0, slash);
      const prefix = slash < 0 ? '' : asFolder(source.datastore_path.slice(slash + 1));
      return { kind: source.datastore_type === 'GCS' ? 'gcs' : 's3', bucket, prefix };
    }
  }
}
