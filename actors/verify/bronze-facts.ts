/**
 * `_bronze.json` against what lies beside it. It is written once and read by every run, so that a changed one would
 * make the next copier refuse, or go on with another layout. Where the partitions say otherwise, it is not believed.
 */
import { KNOWN_PASSPHRASES } from '../../config/networks.ts';
import { type Failure, toFailure } from '../../machines/errors.ts';
import { rangeLabel } from '../../machines/partitions.ts';
import { bronzeJsonKey, type ChainName } from '../bronze/names.ts';
import { type BronzeTerms, misfitOn, readBronze } from '../chain/bronze-json.ts';
import type { BronzeStore } from '../ports/store.ts';
import type { Inventory, Listed } from './inventory.ts';

/** The only table that the old program wrote. */
const OLD_TABLE = 'ledgers_lcm_raw';

const HINT = 'bring it back from a copy; it is written once and never changed';

const wrong = (chain: ChainName, check: string, found: string, expected: string): Failure => ({
  code: 'BRONZE_INVALID',
  message: `${bronzeJsonKey(chain)} does not fit what lies beside it: ${check} is ${found}, not ${expected}`,
  retryable: false,
  object: bronzeJsonKey(chain),
  check,
  expected,
  found,
  hint: HINT,
});

export interface FixedTerms {
  /** Null where there is none that can be used. */
  readonly terms: BronzeTerms | null;
  readonly isThere: boolean;
  /** Where the partitions are. */
  readonly table: string;
  readonly failure: Failure | null;
}

/** What is fixed, and which table the partitions are in: where `_bronze.json` cannot be used, the one that has some. */
export async function fixedTerms(
  store: BronzeStore,
  chain: ChainName,
  tables: Inventory['tables'],
  signal: AbortSignal,
): Promise<FixedTerms> {
  const [only] = tables.size === 1 ? tables.keys() : [];
  const found = tables.has(OLD_TABLE) ? OLD_TABLE : (only ?? OLD_TABLE);
  let terms: BronzeTerms | null;
  try {
    terms = await readBronze(store, chain, signal);
  } catch (error) {
    const failure = toFailure(error);
    if (failure.code !== 'BRONZE_INVALID') throw error;
    return { terms: null, isThere: true, table: found, failure };
  }
  if (terms === null) return { terms, isThere: false, table: found, failure: null };
  if (terms.columns !== 2) {
    return { terms: null, isThere: true, table: found, failure: wrong(chain, 'columns', String(terms.columns), '2') };
  }
  const { table } = terms;
  if (tables.has(table) || !tables.has(found)) return { terms, isThere: true, table, failure: null };
  return { terms, isThere: true, table: found, failure: wrong(chain, 'primary_table', table, found) };
}

/**
 * The first thing that it says and the partitions do not. `isWhole`: the first partition is the first event's, so that
 * none is missing before it.
 */
export function termsMisfit(
  chain: ChainName,
  terms: BronzeTerms,
  all: readonly Listed[],
  isWhole: boolean,
): Failure | null {
  const known = KNOWN_PASSPHRASES.get(chain.network);
  if (known !== undefined && terms.networkPassphrase !== known) {
    return wrong(chain, 'network_passphrase', String(terms.networkPassphrase), known);
  }
  const first = all[0]?.range;
  if (first === undefined) return null;
  const { ledgerStart, size, origin } = terms;
  if (isWhole && ledgerStart !== first.start) {
    return wrong(chain, 'ledger_start', String(ledgerStart), String(first.start));
  }
  const ranges = all.map(({ range }) => range);
  const grid = { size, origin, ledgerStart: first.start };
  const misfit = fits(grid, ranges);
  if (misfit === null) return null;
  const check =
    fits({ ...grid, origin: (first.end + 1) % size }, ranges) === null ? 'partition_origin' : 'partition_size';
  const said = `${size}, origin ${origin}`;
  return wrong(chain, check, said, `a grid on which ${rangeLabel(misfit)} lies`);
}

/**
 * The first partition that does not lie on the grid, as a run judges it that has lost `_bronze.json`; holes and overlaps
 * are told elsewhere. Partitions that were all cut short are taken for what is configured unless all between the first and
 * the last have one length: then that is their size. One alone says nothing: `ledger_end` may have been raised.
 */
function fits(grid: Parameters<typeof misfitOn>[0], ranges: Parameters<typeof misfitOn>[1]) {
  const between = ranges.slice(1, -1).map(({ start, end }) => end - start + 1);
  const isOneSize = between.length > 1 && between.every((length) => length === between[0]);
  for (const range of ranges) if (range.end > misfitEnd(grid, range.start)) return range;
  if (!isOneSize || between[0] === grid.size) return null;
  return misfitOn(grid, ranges);
}

const misfitEnd = ({ size, origin }: { size: number; origin: number }, start: number): number =>
  origin + (Math.floor((start - origin) / size) + 1) * size - 1;
