/**
 * Finds the chains (network/era/version) that lie below a folder of a local disk or a prefix of a bucket. Needs no
 * configuration and no state: what is there is found from what is there. It must never take an error for "nothing".
 */
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BronzeError } from '../../machines/errors.ts';
import type { ChainName } from '../bronze/names.ts';
import { errnoOf, fileError } from '../files.ts';
import type { BronzeStore, StoreSpec } from '../ports/store.ts';
import { openStore } from '../store/index.ts';
import { STAGING_FOLDER } from '../store/staging-names.ts';

/** A chain and where it lies. */
export interface FoundChain {
  readonly chain: ChainName;
  readonly store: StoreSpec;
}

const OLD_TABLE = 'ledgers_lcm_raw';
/** Folders between what is given and a chain, at the most: root, prefix, network, era, version. */
const DEPTH = 6;

/** Whether a chain has a name that the layout uses for itself: no configuration can give one, but somebody has. */
export const hasLayoutName = ({ network, eraId, versionLabel }: ChainName): boolean =>
  [network, eraId, versionLabel].some((name) => name.startsWith('_') || name === OLD_TABLE);

/**
 * What a file system keeps at the root of a mount: only root may look into it, and what is in it are pieces that fsck
 * found. No network, era or version can have the name.
 */
const NO_BRONZE = 'lost+found';

/** What is in a folder; links count as what they lead to. Throws STORE_*. */
export async function entriesOf(folder: string): Promise<{ name: string; isFolder: boolean }[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return await Promise.all(
      entries.map(async (entry) => ({
        name: entry.name,
        // Somebody may have moved a chain elsewhere and left a link.
        isFolder: entry.isSymbolicLink() ? await isFolder(join(folder, entry.name)) : entry.isDirectory(),
      })),
    );
  } catch (error) {
    throw fileError('store', 'list', folder, error);
  }
}

/** False for what is not there, a link to nothing among it. Throws STORE_* where that cannot be told. */
const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    (error: unknown) => {
      if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error) ?? '')) return false;
      throw fileError('store', 'look at', path, error);
    },
  );

async function search(folder: string, depth: number, found: string[]): Promise<void> {
  const entries = await entriesOf(folder);
  if (entries.some(({ name }) => name === '_bronze.json' || name === OLD_TABLE)) {
    found.push(folder);
    return;
  }
  if (depth === 0) return;
  for (const { name } of entries
    .filter((entry) => entry.isFolder && entry.name !== NO_BRONZE)
    .sort((a, b) => (a.name < b.name ? -1 : 1))) {
    await search(join(folder, name), depth - 1, found);
  }
}

/** How a bucket that a URI names is reached; what a URI does not say. */
export interface BucketAccess {
  readonly s3Endpoint: string | null;
  readonly s3Region: string | null;
  readonly anonymous: boolean;
}

/** Of a path within a chain: the chain's folder, and how to ask for a part of it. */
function partOfChain(place: string): string | null {
  const partition = /^(.*?)\/[^/]+\/range=(\d+)-(\d+)(?:\/.*)?$/.exec(place);
  if (partition) return `verify ${partition[1]} --from ${partition[2]} --to ${partition[3]}`;
  const folder = new RegExp(`^(.*?)/(?:${OLD_TABLE}|_audit|_staging)(?:/.*)?$`).exec(place);
  return folder && `verify ${folder[1]}`;
}

function nothingBelow(place: string, what = 'there is no Bronze below'): BronzeError {
  const part = partOfChain(place);
  return new BronzeError('USAGE', `${what} ${place}`, {
    details: {
      expected: 'a folder {network}/{era_id}/{version_label} with _bronze.json or ledgers_lcm_raw in it',
      ...(part === null ? {} : { hint: `it is a part of a chain: ${part}` }),
    },
  });
}

/** The store at `s3://bucket/prefix` or `gs://bucket/prefix`. */
function storeAt(scheme: string, rest: string, access: BucketAccess): Exclude<StoreSpec, { backend: 'local' }> {
  const [bucket = '', ...path] = rest.split('/').filter((part, i) => i === 0 || part !== '');
  if (bucket === '') throw new BronzeError('USAGE', `${scheme}://${rest} names no bucket`);
  const prefix = path.length === 0 ? '' : `${path.join('/')}/`;
  const { anonymous } = access;
  if (scheme === 'gs') {
    return { backend: 'gcs', address: { protocol: 'gcs', bucket, anonymous, requesterPays: false }, prefix };
  }
  const address = {
    protocol: 's3',
    bucket,
    endpoint: access.s3Endpoint,
    region: access.s3Region,
    pathStyle: true,
    anonymous,
    requesterPays: false,
  } as const;
  return { backend: 's3', address, prefix, stateDir: null };
}

/** Prefixes of the chains below a prefix of a store, in order. Throws STORE_*. */
async function chainsBelow(store: BronzeStore, below: string, depth: number): Promise<string[]> {
  const names = (await store.folders(below)).sort();
  if (names.includes(OLD_TABLE) || (await store.get(`${below}_bronze.json`)) !== null) return [below];
  if (depth === 0) return [];
  // Listings leave it out.
  if (!names.includes(STAGING_FOLDER)) names.push(STAGING_FOLDER);
  const found: string[] = [];
  for (const name of names) found.push(...(await chainsBelow(store, `${below}${name}/`, depth - 1)));
  return found;
}

/**
 * Chains that have a name which the layout uses for itself, as `net/_staging/v1`, beside `chains`. No configuration can
 * name them any more. Throws STORE_*.
 */
export async function layoutNamedChains(store: BronzeStore, chains: readonly ChainName[]): Promise<string[]> {
  const found: string[] = [];
  const places = new Map<string, number>([['', 2]]);
  for (const { network, eraId } of chains) places.set(`${network}/`, 1).set(`${network}/${eraId}/`, 0);
  for (const [below, depth] of places) {
    const names = (await store.folders(below)).filter((name) => name.startsWith('_'));
    for (const name of new Set([...names, STAGING_FOLDER])) {
      found.push(...(await chainsBelow(store, `${below}${name}/`, depth)));
    }
  }
  return found.map((prefix) => prefix.replace(/\/$/, '')).sort();
}

/** Chains below a prefix of a bucket, in order. */
async function findInBucket(spec: Exclude<StoreSpec, { backend: 'local' }>): Promise<FoundChain[]> {
  const store = openStore(spec);
  const found: FoundChain[] = [];
  for (const below of await chainsBelow(store, '', DEPTH)) {
    const parts = `${spec.prefix}${below}`.split('/').slice(0, -1);
    const [network, eraId, versionLabel] = parts.slice(-3);
    if (network === undefined || eraId === undefined || versionLabel === undefined) throw nothingBelow(store.uri);
    const root = parts.slice(0, -3).map((part) => `${part}/`);
    found.push({ chain: { network, eraId, versionLabel }, store: { ...spec, prefix: root.join('') } });
  }
  if (found.length === 0) throw nothingBelow(store.uri);
  return found;
}

/**
 * The chains below a path, a file URI, `s3://bucket/prefix` or `gs://bucket/prefix`, in order. Throws USAGE where there
 * is none or the scheme is another, STORE_* and the codes of buckets.
 */
export async function findChains(
  pathOrUri: string,
  access: BucketAccess = { s3Endpoint: null, s3Region: null, anonymous: false },
): Promise<FoundChain[]> {
  const uri = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(pathOrUri);
  const scheme = uri?.[1]?.toLowerCase();
  if (scheme === 's3' || scheme === 'gs') return findInBucket(storeAt(scheme, uri?.[2] ?? '', access));
  if (scheme !== undefined && scheme !== 'file') {
    throw new BronzeError('USAGE', `Bronze cannot be read from ${scheme}://`, {
      details: { expected: 'a path, file://, s3://bucket/prefix or gs://bucket/prefix' },
    });
  }
  const root = resolve(scheme === 'file' ? fileURLToPath(pathOrUri) : pathOrUri);
  if (!(await isFolder(root))) throw nothingBelow(root, 'there is no folder to verify:');
  const folders: string[] = [];
  await search(root, DEPTH, folders);
  if (folders.length === 0) {
    throw nothingBelow(root);
  }
  return folders.map((folder) => ({
    chain: {
      network: basename(dirname(dirname(folder))),
      eraId: basename(dirname(folder)),
      versionLabel: basename(folder),
    },
    store: { backend: 'local', root: dirname(dirname(dirname(folder))), prefix: '' },
  }));
}
