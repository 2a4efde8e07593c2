/**
 * `_bronze.json`: what may not change under a version (contract, section 4). Created by whoever comes first, compared
 * by everybody else. It must never be changed, and never be created over partitions of the old program that it does not
 * say were adopted.
 */
import { BronzeError, type Details } from '../../machines/errors.ts';
import { cellEnd, overlapsOrGap, rangeLabel, sameRange } from '../../machines/partitions.ts';
import type { AttestedEvent, EraFacts, FoundPartition, Grid, LedgerRange } from '../../machines/protocol.ts';
import { parseAnyManifest } from '../bronze/manifest.ts';
import { bronzeJsonKey, type ChainName, chainKey, chainPrefix, parsePartitionKey } from '../bronze/names.ts';
import { prettyJson } from '../json.ts';
import type { BronzeStore } from '../ports/store.ts';
import type { AdoptedRecord, Adoption } from '../version-1/adoption.ts';
import { type Fixed, parseBronze } from './bronze-file.ts';
import type { ChainPlace } from './chain-place.ts';

/** What a configuration says about the things that are fixed. `ledgerEnd` of the grid is not one of them. */
export interface BronzeFacts {
  readonly grid: Pick<Grid, 'size' | 'origin' | 'ledgerStart'>;
  /** Null = unknown; compared only where both are known. */
  readonly networkPassphrase: string | null;
}

/** What a configuration tells: not what was adopted, nor where Bronze lay at first. */
type Configured = Omit<Fixed, 'adopted' | 'storage_prefix'>;

const configuredFor = (chain: ChainName, table: string, facts: BronzeFacts): Configured => ({
  chain_key: chainKey(chain),
  primary_table: table,
  network_passphrase: facts.networkPassphrase,
  ledger_start: facts.grid.ledgerStart,
  partition_size: facts.grid.size,
  partition_origin: facts.grid.origin,
  columns: 2,
});

/** The differences that matter, as `key: stored …, configured …`. */
function differences(stored: Fixed, configured: Configured): string[] {
  const keys = Object.keys(configured).filter((key) => {
    const unknown = stored[key] === null || configured[key] === null;
    return stored[key] !== configured[key] && !(key === 'network_passphrase' && unknown);
  });
  const show = (value: unknown): string => JSON.stringify(value);
  return keys.map((key) => `${key}: stored ${show(stored[key])}, configured ${show(configured[key])}`);
}

function compare(stored: Fixed, configured: Configured, object: string): void {
  const found = differences(stored, configured);
  if (found.length === 0) return;
  const hint = 'configure what is stored, or choose a new version_label for another layout';
  throw new BronzeError('BRONZE_MISMATCH', `the configuration differs from ${object}: ${found.join('; ')}; ${hint}`, {
    details: { object, check: found.map((line) => line.split(':')[0]).join(','), found: found.join('; '), hint },
  });
}

/** Throws ESTATE_FOREIGN where the old program wrote partitions of this chain into another table. */
async function refuseOtherTable(place: ChainPlace, signal?: AbortSignal): Promise<void> {
  const { store, chain } = place;
  const prefix = chainPrefix(chain);
  for (const { key } of await store.list(prefix, signal)) {
    const [table = '', ...rest] = key.slice(prefix.length).split('/');
    const found = parsePartitionKey(rest.join('/'));
    if (table === place.table || found?.name !== '_manifest.json') continue;
    const bytes = await store.get(key, signal);
    if (bytes === null) continue;
    if (parseAnyManifest(bytes, { chain, table, range: found.range, object: key }).columns === 2) continue;
    const hint = `set bronze.primary_table to ${table} to go on with them, or choose a new version_label (not ${chain.versionLabel}) and copy beside them`;
    throw new BronzeError(
      'ESTATE_FOREIGN',
      `the old program wrote partitions of ${store.uri}${prefix} into the table ${table} (${key}), not ${place.table}: ${hint}`,
      { details: { object: key, check: 'primary_table', expected: place.table, found: table, hint } },
    );
  }
}

/**
 * Creates `_bronze.json` if there is none, or compares it. `record`: what it is to say, where it is created, that no
 * configuration tells: partitions of the old program, and the prefix of the first event, where there is one already.
 * Throws BRONZE_MISMATCH listing every difference, BRONZE_INVALID, ESTATE_FOREIGN,
 * MANIFEST_INVALID, STORE_*.
 */
export async function openBronze(
  place: ChainPlace,
  facts: BronzeFacts,
  signal?: AbortSignal,
  record: { readonly adopted?: AdoptedRecord | null; readonly storagePrefix?: string } = {},
): Promise<{ created: boolean }> {
  const { store, chain, table } = place;
  const key = bronzeJsonKey(chain);
  const configured = configuredFor(chain, table, facts);
  let created = false;
  let bytes = await store.get(key, signal);
  if (bytes === null) {
    await refuseOtherTable(place, signal);
    const { adopted = null, storagePrefix = store.prefix } = record;
    const ours = { ...configured, storage_prefix: storagePrefix, ...(adopted === null ? {} : { adopted }) };
    created = (await store.create(key, prettyJson(ours), signal)) === 'created';
    bytes = await store.get(key, signal);
  }
  if (bytes === null) {
    throw new BronzeError('STORE_IO', `${key} was written and cannot be read back`, { details: { object: key } });
  }
  compare(parseBronze(bytes, key), configured, key);
  return { created };
}

/** The differences that `openBronze` would refuse, without writing anything; null where there is no `_bronze.json` yet. */
export async function compareBronze(
  place: ChainPlace,
  facts: BronzeFacts,
  signal?: AbortSignal,
): Promise<readonly string[] | null> {
  const key = bronzeJsonKey(place.chain);
  const bytes = await place.store.get(key, signal);
  if (bytes === null) return null;
  return differences(parseBronze(bytes, key), configuredFor(place.chain, place.table, facts));
}

/**
 * Compares `_bronze.json` where there is one, and writes nothing: whether it is there. A run creates it with the first
 * partition that it publishes, so that a first try with a wrong configuration fixes nothing.
 * Throws what `openBronze` throws.
 */
export async function expectBronze(place: ChainPlace, facts: BronzeFacts, signal?: AbortSignal): Promise<boolean> {
  const { store, chain, table } = place;
  const key = bronzeJsonKey(chain);
  const bytes = await store.get(key, signal);
  if (bytes === null) {
    await refuseOtherTable(place, signal);
    return false;
  }
  compare(parseBronze(bytes, key), configuredFor(chain, table, facts), key);
  return true;
}

/** What a stored `_bronze.json` tells a reader who has no configuration. */
export interface BronzeTerms {
  readonly columns: number;
  readonly table: string;
  /** Null: whoever wrote it did not know it. */
  readonly networkPassphrase: string | null;
  readonly ledgerStart: number;
  readonly size: number;
  readonly origin: number;
  /** What `storage_path` of its events starts with; null where it does not say. */
  readonly storagePrefix: string | null;
  readonly adopted: Fixed['adopted'] | null;
}

/** Null where there is none. Throws BRONZE_INVALID, STORE_*. */
export async function readBronze(
  store: BronzeStore,
  chain: ChainName,
  signal?: AbortSignal,
): Promise<BronzeTerms | null> {
  const key = bronzeJsonKey(chain);
  const bytes = await store.get(key, signal);
  if (bytes === null) return null;
  const fixed = parseBronze(bytes, key);
  if (fixed.chain_key !== chainKey(chain)) {
    throw new BronzeError('BRONZE_INVALID', `${key} belongs to ${fixed.chain_key}, not to where it lies`, {
      details: { object: key, expected: chainKey(chain), found: fixed.chain_key },
    });
  }
  return {
    columns: fixed.columns,
    table: fixed.primary_table,
    networkPassphrase: fixed.network_passphrase,
    ledgerStart: fixed.ledger_start,
    storagePrefix: fixed.storage_prefix ?? null,
    size: fixed.partition_size,
    origin: fixed.partition_origin,
    adopted: fixed.adopted ?? null,
  };
}

/**
 * The first range that does not lie on a grid: the first one begins the era, none overlaps the one before it, and every
 * one but the last ends with its cell. `ranges` in order; the same one may come twice, sealed and attested.
 * Where `ledger_end` was raised, a clipped partition lies in the middle and the next one goes on in the same cell. That
 * is taken only where another one fills a whole cell: partitions of any smaller size look like that on a larger grid.
 */
export function misfitOn(grid: Omit<Grid, 'ledgerEnd'>, ranges: readonly LedgerRange[]): LedgerRange | null {
  const each = ranges.filter((range, i) => i === 0 || !sameRange(range, ranges[i - 1] as LedgerRange));
  const endOf = (ledger: number): number => cellEnd({ ...grid, ledgerEnd: null }, ledger);
  const sizeIsProved = each.some(({ start, end }) => end === endOf(start) && end - start + 1 === grid.size);
  const misfit = each.find(({ start, end }, i) => {
    const [before, next] = [each[i - 1], each[i + 1]];
    if (before === undefined ? start !== grid.ledgerStart : overlapsOrGap(before, { start, end }) === 'overlap')
      return true;
    if (end > endOf(start)) return true;
    return end < endOf(start) && next !== undefined && !(sizeIsProved && next.start === end + 1);
  });
  return misfit ?? null;
}

/**
 * Throws BRONZE_MISMATCH where there are partitions and no `_bronze.json`, and they do not lie on the configured grid.
 * The old program began its grid at `ledger_start`; where that is the reason, the message proposes the right origin.
 */
export function assertOnGrid(
  chain: ChainName,
  { grid }: BronzeFacts,
  ranges: readonly LedgerRange[],
  adoption: Adoption | null,
): void {
  const misfit = misfitOn(grid, ranges);
  const first = ranges[0];
  if (misfit === null || first === undefined) return;
  const key = bronzeJsonKey(chain);
  const mismatch = (message: string, hint: string, details: Details): BronzeError =>
    new BronzeError('BRONZE_MISMATCH', `${message}; ${hint}`, {
      details: { ...misfit, object: key, ...details, hint },
    });
  const configured = `size ${grid.size}, origin ${grid.origin}, from ledger ${grid.ledgerStart}`;
  const { start } = first;
  const isLate = start !== grid.ledgerStart;
  if (isLate && misfitOn({ ...grid, ledgerStart: start }, ranges) === null) {
    throw mismatch(
      `the first partition is ${rangeLabel(first)}, and the configured ledger_start is ${grid.ledgerStart}`,
      `set ledger_start: ${start} in this era and run again, or bring back the partitions that are missing; nothing was written`,
      { check: 'ledger_start', expected: String(start), found: String(grid.ledgerStart) },
    );
  }
  const origin = start % grid.size;
  if (
    adoption !== null &&
    origin !== grid.origin &&
    misfitOn({ ...grid, origin, ledgerStart: start }, ranges) === null
  ) {
    throw mismatch(
      `the partitions of the old program do not lie on the configured grid (${configured}): its grid began at its ledger_start, ${start}`,
      `set partition_origin: ${origin}${isLate ? ` and ledger_start: ${start}` : ''} in this era and run again; nothing was written`,
      { check: 'partition_origin', expected: String(origin), found: String(grid.origin) },
    );
  }
  const found = rangeLabel(misfit);
  // With other partitions among them it was adopted before, and what is missing is what was written then.
  const isNew = adoption !== null && adoption.ranges.length === ranges.length;
  throw mismatch(
    `${!isNew ? `${key} is missing, and ` : ''}partition ${found} does not fit the configured grid (${configured})`,
    !isNew
      ? `bring ${key} back from a copy, or configure the layout that the partitions have; nothing was written`
      : 'configure what the old program had: its ledger_start, its partition_size, and as partition_origin its ledger_start modulo partition_size; nothing was written',
    { found },
  );
}

/** What stands in Bronze of an era: sealed, or attested. In order; what is both comes twice. */
export function rangesFound({
  partitions,
  events,
}: {
  readonly partitions: readonly Pick<FoundPartition, 'range' | 'hasManifest' | 'dataBytes'>[];
  readonly events: readonly Pick<AttestedEvent, 'range'>[];
}): LedgerRange[] {
  const sealed = partitions.filter((partition) => partition.hasManifest && partition.dataBytes !== null);
  return [...sealed, ...events].map(({ range }) => range).sort((a, b) => a.start - b.start || a.end - b.end);
}

/**
 * Writes a `_bronze.json` that is missing, where the partitions that are there lie on the configured grid: one that was
 * lost, or the first one of an estate that is adopted from the old program. Whether it is there afterwards: false for an
 * empty era. Throws BRONZE_MISMATCH where they do not fit, since nothing then tells which layout was meant;
 * ESTATE_FOREIGN, STORE_*.
 */
export async function restoreBronze(
  place: ChainPlace,
  facts: BronzeFacts,
  found: Pick<EraFacts, 'partitions' | 'events'>,
  adoption: Adoption | null = null,
  signal?: AbortSignal,
): Promise<boolean> {
  const ranges = rangesFound(found);
  if (ranges.length === 0) return false;
  assertOnGrid(place.chain, facts, ranges, adoption);
  const [first] = found.events;
  const prefix = first === undefined ? {} : { storagePrefix: first.storagePrefix };
  await openBronze(place, facts, signal, { adopted: adoption?.record ?? null, ...prefix });
  return true;
}
