/**
 * The chains that a proof is looked for in: their partitions as listed, and ledgers one after the other, over the edges of
 * partitions and eras. It must never give out a ledger of a partition that has no manifest.
 */
import { BronzeError } from '../../machines/errors.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import { mapBounded } from '../bounded.ts';
import { parseAnyManifest } from '../bronze/manifest.ts';
import { type ChainName, chainKey, dataKey, manifestKey } from '../bronze/names.ts';
import { readBronze } from '../chain/bronze-json.ts';
import { type Listed, listPartitions } from '../chain/list-partitions.ts';
import { damaged } from '../parquet/damaged.ts';
import { type LedgerXdr, ProofRows } from '../parquet/proof-rows.ts';
import type { BronzeStore } from '../ports/store.ts';

/** The only table that the old program wrote. */
const OLD_TABLE = 'ledgers_lcm_raw';
const PARALLEL = 4;

/** One chain and its partitions, in order. */
export interface Shelf {
  readonly store: BronzeStore;
  readonly chain: ChainName;
  readonly table: string;
  readonly passphrase: string | null;
  readonly partitions: readonly Listed[];
}

/** Lists chains. @throws BRONZE_INVALID, STORE_* */
export const openShelves = (
  chains: readonly { readonly store: BronzeStore; readonly chain: ChainName }[],
  signal?: AbortSignal,
): Promise<Shelf[]> =>
  mapBounded(chains, PARALLEL, async ({ store, chain }) => {
    const terms = await readBronze(store, chain, signal);
    const table = terms?.table ?? OLD_TABLE;
    const partitions = await listPartitions({ store, chain, table }, signal);
    return { store, chain, table, passphrase: terms?.networkPassphrase ?? null, partitions };
  });

/** The partition of a chain that holds a ledger, published; null where there is none. */
const partitionOf = ({ partitions }: Shelf, ledger: number): LedgerRange | null =>
  partitions.find(
    ({ range, hasManifest, dataBytes }) =>
      hasManifest && dataBytes !== null && range.start <= ledger && ledger <= range.end,
  )?.range ?? null;

const spanOf = ({ partitions }: Shelf): string => {
  const [first, last] = [partitions[0], partitions.at(-1)];
  return first === undefined || last === undefined ? 'nothing' : `${first.range.start} to ${last.range.end}`;
};

/**
 * The one chain that holds a ledger.
 * @throws LEDGER_MISSING where none does, USAGE where several do
 */
export function shelfOf(shelves: readonly Shelf[], ledger: number): { shelf: Shelf; range: LedgerRange } {
  const found = shelves.flatMap((shelf) => {
    const range = partitionOf(shelf, ledger);
    return range === null ? [] : [{ shelf, range }];
  });
  const [only] = found;
  const names = found.map(({ shelf }) => chainKey(shelf.chain)).join(', ');
  if (only !== undefined && found.length === 1) return only;
  if (only !== undefined) {
    throw new BronzeError('USAGE', `ledger ${ledger} lies in several chains: ${names}`, {
      details: { ledger, found: names, hint: 'choose one with --eras, or give the folder of one as the path' },
    });
  }
  const there = shelves.map((shelf) => `${chainKey(shelf.chain)} has ${spanOf(shelf)}`).join('; ');
  const half = shelves.some(({ partitions }) =>
    partitions.some(({ range }) => range.start <= ledger && ledger <= range.end),
  );
  const why = half ? 'lies in a partition that is not published yet' : 'lies in no published partition';
  throw new BronzeError('LEDGER_MISSING', `ledger ${ledger} ${why}: ${there}`, {
    details: {
      ledger,
      hint: half
        ? 'bronze-copier run finishes it; then ask again'
        : 'name a ledger that is there (bronze-copier status tells), or wait until it is copied',
    },
  });
}

/** A published partition: its manifest as it is stored, and the rows of its file. */
export interface OpenPartition {
  readonly manifest: Uint8Array;
  readonly rows: ProofRows;
  readonly close: () => Promise<void>;
}

/** To be closed by the caller. @throws MANIFEST_INVALID, PARTITION_DAMAGED, STORE_* */
export async function openPartition(
  { store, chain, table }: Pick<Shelf, 'store' | 'chain' | 'table'>,
  range: LedgerRange,
  signal?: AbortSignal,
): Promise<OpenPartition> {
  const object = manifestKey(chain, table, range);
  const manifest = await store.get(object, signal);
  if (manifest === null) throw damaged(object, 'object', 'nothing', { expected: 'a manifest' });
  const { columns } = parseAnyManifest(manifest, { chain, table, range, object });
  const key = dataKey(chain, table, range);
  const reader = await store.open(key, signal);
  if (reader === null) throw damaged(key, 'object', 'nothing', { expected: 'a Parquet file' });
  try {
    const rows = await ProofRows.open(reader, { chain, range, object: key, columns });
    return { manifest, rows, close: () => reader.close() };
  } catch (error) {
    await reader.close();
    throw error;
  }
}

/**
 * Ledgers from one on, as long as there are any: of `own`, and where it ends of whichever chain of the same network goes
 * on. Nothing says that they link: whoever reads them looks. @throws MANIFEST_INVALID, PARTITION_DAMAGED, STORE_*
 */
export async function* ledgersFrom(
  shelves: readonly Shelf[],
  own: Shelf,
  from: number,
  signal?: AbortSignal,
): AsyncGenerator<LedgerXdr> {
  const others = shelves.filter((shelf) => shelf !== own && shelf.chain.network === own.chain.network);
  for (let next = from; ; ) {
    const shelf = [own, ...others].find((each) => partitionOf(each, next) !== null);
    const range = shelf === undefined ? null : partitionOf(shelf, next);
    if (shelf === undefined || range === null) return;
    const partition = await openPartition(shelf, range, signal);
    try {
      yield* partition.rows.ledgers(next);
    } finally {
      await partition.close();
    }
    next = range.end + 1;
  }
}
