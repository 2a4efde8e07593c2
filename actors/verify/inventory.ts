/**
 * What lies below a chain's prefix, sorted into what copiers write there and what they do not. It reads no object, and
 * passes over none.
 */
import type { LedgerRange } from '../../machines/protocol.ts';
import {
  auditPrefix,
  bronzeJsonKey,
  type ChainName,
  chainPrefix,
  dataFileName,
  headsPrefix,
  isHeadKey,
  OWN_FOLDERS,
  parsePartitionFolder,
  parsePartitionKey,
} from '../bronze/names.ts';
import type { BronzeStore } from '../ports/store.ts';
import { STAGING_FOLDER } from '../store/staging-names.ts';

/** What is listed of a partition. */
export interface Listed {
  readonly range: LedgerRange;
  /** Bytes; null where there is no data object. */
  dataBytes: number | null;
  hasManifest: boolean;
}

export interface Inventory {
  /** Partitions by table, in order. */
  readonly tables: ReadonlyMap<string, readonly Listed[]>;
  /** Keys in `_audit/`: by the sequence that their names say, and those whose names say none. */
  readonly events: readonly { readonly key: string; readonly sequence: number | null }[];
  /** Objects in `_staging/`: of a copier at work, or left behind by one. */
  readonly staged: number;
  /** Objects and empty folders that no copier writes, by the first folder below the chain, `''` for the chain itself. */
  readonly foreign: ReadonlyMap<string, readonly string[]>;
}

/** A folder without data of its own, in which something else lies, is no partition: all of it is one foreign thing. */
function wholeFolders(prefix: string, table: Map<string, Listed>, foreign: string[]): void {
  for (const [folder, { dataBytes }] of table) {
    const inside = foreign.filter((key) => key.startsWith(`${prefix}${folder}/`));
    if (dataBytes !== null || inside.length === 0) continue;
    table.delete(folder);
    foreign.splice(0, foreign.length, ...foreign.filter((key) => !inside.includes(key)), `${prefix}${folder}/`);
  }
}

/** Lists all of a chain. Throws STORE_*. */
export async function takeInventory(store: BronzeStore, chain: ChainName, signal: AbortSignal): Promise<Inventory> {
  const prefix = chainPrefix(chain);
  const tables = new Map<string, Map<string, Listed>>();
  const events: { key: string; sequence: number | null }[] = [];
  const foreign = new Map<string, string[]>();
  const stray = (folder: string, key: string): void => {
    foreign.set(folder, [...(foreign.get(folder) ?? []), key]);
  };
  for (const { key, size } of await store.list(prefix, signal)) {
    if (key === bronzeJsonKey(chain)) continue;
    const [first = '', ...rest] = key.slice(prefix.length).split('/');
    if (rest.length === 0) stray('', key);
    else if (isHeadKey(chain, key)) continue;
    else if (key.startsWith(auditPrefix(chain))) {
      const name = /^(\d{10})\.json$/.exec(rest.join('/'))?.[1];
      events.push({ key, sequence: name === undefined ? null : Number(name) });
    } else if (!OWN_FOLDERS.includes(first)) {
      const parsed = parsePartitionKey(rest.join('/'));
      const isData = parsed?.name === (parsed && dataFileName(parsed.range));
      if (!parsed || (!isData && parsed.name !== '_manifest.json')) {
        stray(first, key);
        continue;
      }
      const table = tables.get(first) ?? new Map<string, Listed>();
      tables.set(first, table);
      const folder = rest[0] as string;
      const listed = table.get(folder) ?? { range: parsed.range, dataBytes: null, hasManifest: false };
      if (isData) listed.dataBytes = size;
      else listed.hasManifest = true;
      table.set(folder, listed);
    }
  }
  for (const [name, table] of tables) wholeFolders(`${prefix}${name}/`, table, foreign.get(name) ?? []);
  // Other listings leave it out.
  const staged = (await store.list(`${prefix}${STAGING_FOLDER}/`, signal)).length;
  // A disk has folders in which nothing lies.
  for (const folder of await store.folders(prefix, signal)) {
    if (tables.has(folder) || foreign.has(folder) || OWN_FOLDERS.includes(folder)) continue;
    const inside = await store.folders(`${prefix}${folder}/`, signal);
    // A copier that died before it published leaves empty folders of partitions.
    if (inside.length === 0 || !inside.every((name) => parsePartitionFolder(name)))
      stray(folder, `${prefix}${folder}/`);
  }
  for (const table of tables.keys()) {
    for (const folder of await store.folders(`${prefix}${table}/`, signal)) {
      const isKnown = parsePartitionFolder(folder) !== null;
      if (!isKnown && !foreign.get(table)?.some((key) => key.startsWith(`${prefix}${table}/${folder}/`)))
        stray(table, `${prefix}${table}/${folder}/`);
    }
  }
  // In the place of an event a folder would hide that it is gone: nothing but objects lies in these.
  for (const folder of OWN_FOLDERS.filter((name) => name !== STAGING_FOLDER)) {
    for (const inside of await store.folders(`${prefix}${folder}/`, signal)) {
      const key = `${prefix}${folder}/${inside}/`;
      if (key === headsPrefix(chain)) continue;
      if (!events.some((event) => event.key.startsWith(key))) stray(folder, key);
    }
  }
  const inOrder = (all: ReadonlyMap<string, Listed>): Listed[] =>
    [...all.values()].sort((a, b) => a.range.start - b.range.start || a.range.end - b.range.end);
  return {
    tables: new Map([...tables].map(([table, all]) => [table, inOrder(all)])),
    events,
    staged,
    foreign,
  };
}
