/**
 * Names that are new beside older ones of nearly the same name: a version label, an era, a Bronze folder.
 * A new name is no error, but nothing else tells a typing error from it, and a whole history would be copied again.
 */
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { distance } from 'fastest-levenshtein';
import { type ChainName, chainKey, tablePrefix } from '../actors/bronze/names.ts';
import type { BronzeStore, StoreSpec } from '../actors/ports/store.ts';
import { counted, printable } from './human.ts';

/** Letters that may be added, left out or changed in names that are taken for nearly the same. */
const NEAR = 2;
/** Older names that are told of one new one. */
const TOLD = 3;

/** Names that differ from `name` by little, or by nothing but case; the nearest first. */
function nearTo(name: string, names: readonly string[]): string[] {
  const plain = (text: string): string => text.normalize('NFKC').toLowerCase();
  const far = (other: string): number => distance(plain(name), plain(other));
  return names
    .filter((other) => other !== name && far(other) <= Math.min(NEAR, Math.max(1, name.length - 1)))
    .sort((a, b) => far(a) - far(b) || (a < b ? -1 : 1))
    .slice(0, TOLD);
}

type Part = 'eraId' | 'versionLabel';
const WORDS: Readonly<Record<Part, string>> = { eraId: 'era', versionLabel: 'version' };

const partitionsOf = async (store: BronzeStore, chain: ChainName, table: string): Promise<number> =>
  (await store.folders(tablePrefix(chain, table))).filter((name) => name.startsWith('range=')).length;

/** Chains whose name differs from ours in one part, by little. */
async function* nearChains(store: BronzeStore, chain: ChainName): AsyncGenerator<readonly [Part, ChainName]> {
  const folders: readonly (readonly [Part, string])[] = [
    ['versionLabel', `${chain.network}/${chain.eraId}/`],
    ['eraId', `${chain.network}/`],
  ];
  for (const [part, prefix] of folders) {
    for (const name of nearTo(chain[part], await store.folders(prefix))) yield [part, { ...chain, [part]: name }];
  }
}

/** Where a chain is looked for. */
export interface NamedStore {
  readonly store: BronzeStore;
  readonly storeSpec: StoreSpec;
  readonly table: string;
}

/** Folders beside that of Bronze, of nearly its name, which hold the chain: the configured one is empty or not there. */
async function nearFolders({ storeSpec, table }: NamedStore, chain: ChainName): Promise<string[]> {
  if (storeSpec.backend !== 'local') return [];
  const { root, prefix } = storeSpec;
  const below = join(prefix, tablePrefix(chain, table));
  const found: string[] = [];
  for (const name of nearTo(basename(root), await readdir(dirname(root)))) {
    const there = join(dirname(root), name);
    const partitions = (await readdir(join(there, below)).catch(() => [])).filter((entry) =>
      entry.startsWith('range='),
    );
    if (partitions.length > 0) {
      found.push(
        `${chainKey(chain)} is new in ${root}; ${there} beside it holds ${counted(partitions.length, 'partition')} of it`,
      );
    }
  }
  return found;
}

/** What is to be told of a chain that nothing is there of; empty where it is not new. It is told, and decides nothing. */
export async function newNames(place: NamedStore, chain: ChainName): Promise<string[]> {
  const { store, table } = place;
  try {
    if ((await partitionsOf(store, chain, table)) > 0) return [];
    const told: string[] = [];
    for await (const [part, other] of nearChains(store, chain)) {
      const partitions = await partitionsOf(store, other, table);
      if (partitions === 0) continue;
      told.push(
        `${chainKey(chain)} is a new ${WORDS[part]} beside ${chainKey(other)} with ${counted(partitions, 'partition')}`,
      );
    }
    return [...told, ...(await nearFolders(place, chain))].map(printable);
  } catch {
    // The store's own trouble is met and told by those who need it.
    return [];
  }
}
