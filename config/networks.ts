/**
 * Which passphrase belongs to which network, and where a lake is. It reaches out to neither.
 */
import { distance } from 'fastest-levenshtein';
import type { Config, SourceConfig } from './schema.ts';

/** Networks whose passphrase everybody knows (SEP-54 lakes carry it in `.config.json`). */
export const KNOWN_PASSPHRASES: ReadonlyMap<string, string> = new Map([
  ['pubnet', 'Public Global Stellar Network ; September 2015'],
  ['testnet', 'Test SDF Network ; September 2015'],
  ['futurenet', 'Test SDF Future Network ; October 2022'],
]);

/** What other programs and people call them. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  mainnet: 'pubnet',
  main: 'pubnet',
  public: 'pubnet',
  publicnet: 'pubnet',
  publicnetwork: 'pubnet',
  pub: 'pubnet',
  test: 'testnet',
  future: 'futurenet',
};

/** The known network that has this passphrase; null = none has. */
const networkNamed = (passphrase: string): string | null =>
  [...KNOWN_PASSPHRASES].find(([, known]) => known === passphrase)?.[0] ?? null;

/**
 * The known network that a label was probably meant for: another of its names, another case, one letter wrong. Null for
 * a known label, and for one that is like none of them.
 */
export function networkMeant(label: string): string | null {
  if (KNOWN_PASSPHRASES.has(label)) return null;
  const plain = label.toLowerCase().replace(/[._-]/g, '');
  const other = Object.hasOwn(OTHER_NAMES, plain) ? OTHER_NAMES[plain] : undefined;
  return other ?? [...KNOWN_PASSPHRASES.keys()].find((name) => distance(plain, name) <= 1) ?? null;
}

/**
 * Why a lake with this passphrase is not the one of `network`; null where it is, or nobody can tell. `passphrase`: what
 * networkPassphrase says.
 */
export function lakeConflict(
  network: string,
  passphrase: string | null,
  ofLake: string,
): { readonly message: string; readonly expected: string; readonly hint: string } | null {
  if (passphrase === ofLake) return null;
  const named = networkNamed(ofLake);
  // A network that nobody knows has a passphrase that nobody knows, and this one is known.
  if (passphrase === null && named === null) return null;
  const whose = named === null ? 'of another network' : `that of ${named}`;
  const goesOn =
    named === null || KNOWN_PASSPHRASES.has(network)
      ? 'set network (or source.network_passphrase) to that of the lake'
      : `write network: ${named} (Bronze that has the label ${network} already goes on with source.network_passphrase: "${ofLake}")`;
  return {
    message: `the lake is ${whose}, and the network of the era is ${network}`,
    expected: passphrase ?? `the passphrase of ${network}`,
    hint: `point source at a lake of this network, or ${goesOn}`,
  };
}

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
