/**
 * Finds the chains (network/era/version) that lie below a folder of a local disk or in a store. Needs no
 * configuration and no state: what is there is found from what is there.
 */
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BronzeError } from '../../machines/errors.ts';
import { fileError } from '../files.ts';
import type { ChainName } from '../paths.ts';
import type { StoreSpec } from '../ports.ts';

/** A chain and where it lies. */
export interface FoundChain {
  readonly chain: ChainName;
  readonly store: StoreSpec;
}

const OLD_TABLE = 'ledgers_lcm_raw';
/** Folders between what is given and a chain, at the most: root, prefix, network, era, version. */
const DEPTH = 6;

/** Folders of a chain, which no era can be named like. */
const RESERVED = new Set(['_staging', '_audit']);

/** What a folder holds; an error is never taken for "nothing". */
async function entriesOf(folder: string): Promise<{ name: string; isFolder: boolean }[]> {
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

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );

async function search(folder: string, depth: number, found: string[]): Promise<void> {
  const entries = await entriesOf(folder);
  if (entries.some(({ name }) => name === '_bronze.json' || name === OLD_TABLE)) {
    found.push(folder);
    return;
  }
  if (depth === 0) return;
  for (const { name } of entries.filter((entry) => entry.isFolder).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (!RESERVED.has(name)) await search(join(folder, name), depth - 1, found);
  }
}

/** The chains below a path or file URI, in order. Throws USAGE where there is none, NOT_BUILT for another scheme. */
export async function findChains(pathOrUri: string): Promise<FoundChain[]> {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(pathOrUri)?.[1]?.toLowerCase();
  if (scheme !== undefined && scheme !== 'file') {
    throw new BronzeError('NOT_BUILT', `${scheme}:// cannot be read by this release`, {
      details: { hint: 'verify a local path' },
    });
  }
  const root = resolve(scheme === 'file' ? fileURLToPath(pathOrUri) : pathOrUri);
  if (!(await isFolder(root))) throw new BronzeError('USAGE', `there is no folder ${root} to verify`);
  const folders: string[] = [];
  await search(root, DEPTH, folders);
  if (folders.length === 0) {
    throw new BronzeError('USAGE', `there is no Bronze below ${root}`, {
      details: { expected: 'a folder {network}/{era_id}/{version_label} with _bronze.json or ledgers_lcm_raw in it' },
    });
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
