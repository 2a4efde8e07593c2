/**
 * `_bronze.json`: what may not change under a version (contract, section 4). Created by whoever comes first, compared
 * by everybody else. It must never be changed, and never be created over an estate of the old program.
 */
import * as z from 'zod';
import { BronzeError } from '../../machines/errors.ts';
import { cellEnd, rangeLabel } from '../../machines/partitions.ts';
import type { EraFacts, Grid } from '../../machines/protocol.ts';
import { parseJson, prettyJson } from '../json.ts';
import { bronzeJsonKey, type ChainName, chainKey, chainPrefix, parsePartitionKey } from '../paths.ts';
import type { BronzeStore } from '../ports.ts';
import { ledgerNumber, parseAnyManifest } from './manifest.ts';

const schema = z.looseObject({
  chain_key: z.string(),
  primary_table: z.string(),
  /** Null: the configuration that created it did not know the network's passphrase. */
  network_passphrase: z.string().nullable(),
  ledger_start: ledgerNumber,
  partition_size: z.int().positive(),
  partition_origin: z.int().min(0),
  columns: z.int().positive(),
});

type Fixed = Readonly<z.infer<typeof schema>>;

/** What a configuration says about the things that are fixed. `ledgerEnd` of the grid is not one of them. */
export interface BronzeFacts {
  readonly grid: Pick<Grid, 'size' | 'origin' | 'ledgerStart'>;
  /** Null = unknown; compared only where both are known. */
  readonly networkPassphrase: string | null;
}

const configuredFor = (chain: ChainName, table: string, facts: BronzeFacts): Fixed => ({
  chain_key: chainKey(chain),
  primary_table: table,
  network_passphrase: facts.networkPassphrase,
  ledger_start: facts.grid.ledgerStart,
  partition_size: facts.grid.size,
  partition_origin: facts.grid.origin,
  columns: 2,
});

function parse(bytes: Uint8Array, object: string): Fixed {
  const invalid = (why: string): BronzeError =>
    new BronzeError('BRONZE_INVALID', `${object} cannot be used: ${why}`, {
      details: { object, hint: 'bring it back from a copy; it is written once and never changed' },
    });
  let json: unknown;
  try {
    json = parseJson(bytes);
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : String(error));
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw invalid(z.prettifyError(parsed.error).replaceAll('\n', ' '));
  return parsed.data;
}

/** The differences that matter, as `key: stored …, configured …`. */
function differences(stored: Fixed, configured: Fixed): string[] {
  const keys = Object.keys(configured).filter((key) => {
    const unknown = stored[key] === null || configured[key] === null;
    return stored[key] !== configured[key] && !(key === 'network_passphrase' && unknown);
  });
  const show = (value: unknown): string => JSON.stringify(value);
  return keys.map((key) => `${key}: stored ${show(stored[key])}, configured ${show(configured[key])}`);
}

function compare(stored: Fixed, configured: Fixed, object: string): void {
  const found = differences(stored, configured);
  if (found.length === 0) return;
  const hint = 'configure what is stored, or choose a new version_label for another layout';
  throw new BronzeError('BRONZE_MISMATCH', `the configuration differs from ${object}: ${found.join('; ')}; ${hint}`, {
    details: { object, check: found.map((line) => line.split(':')[0]).join(','), found: found.join('; '), hint },
  });
}

/** Throws ESTATE_FOREIGN where the partitions below the chain's prefix are the old program's. */
async function refuseForeign(store: BronzeStore, chain: ChainName, signal?: AbortSignal): Promise<void> {
  const prefix = chainPrefix(chain);
  for (const { key } of await store.list(prefix, signal)) {
    const [table = '', ...rest] = key.slice(prefix.length).split('/');
    const found = parsePartitionKey(rest.join('/'));
    if (found?.name !== '_manifest.json') continue;
    const bytes = await store.get(key, signal);
    if (bytes === null) continue;
    const { columns } = parseAnyManifest(bytes, { chain, table, range: found.range, object: key });
    if (columns === 2) return;
    const hint = `this release does not adopt such an estate yet; choose a new version_label (not ${chain.versionLabel}) and copy beside it`;
    throw new BronzeError('ESTATE_FOREIGN', `${store.uri}${prefix} was written by the old program (${key}): ${hint}`, {
      details: { object: key, hint },
    });
  }
}

/**
 * Creates `_bronze.json` if there is none, or compares it. Throws BRONZE_MISMATCH listing every difference,
 * BRONZE_INVALID, ESTATE_FOREIGN, MANIFEST_INVALID, STORE_*.
 */
export async function openBronze(
  place: { readonly store: BronzeStore; readonly chain: ChainName; readonly table: string },
  facts: BronzeFacts,
  signal?: AbortSignal,
): Promise<{ created: boolean }> {
  const { store, chain, table } = place;
  const key = bronzeJsonKey(chain);
  const configured = configuredFor(chain, table, facts);
  let created = false;
  let bytes = await store.get(key, signal);
  if (bytes === null) {
    await refuseForeign(store, chain, signal);
    created = (await store.create(key, prettyJson(configured), signal)) === 'created';
    bytes = await store.get(key, signal);
  }
  if (bytes === null) {
    throw new BronzeError('STORE_IO', `${key} was written and cannot be read back`, { details: { object: key } });
  }
  compare(parse(bytes, key), configured, key);
  return { created };
}

/** The differences that `openBronze` would refuse, without writing anything; null where there is no `_bronze.json` yet. */
export async function compareBronze(
  place: { readonly store: BronzeStore; readonly chain: ChainName; readonly table: string },
  facts: BronzeFacts,
  signal?: AbortSignal,
): Promise<readonly string[] | null> {
  const key = bronzeJsonKey(place.chain);
  const bytes = await place.store.get(key, signal);
  if (bytes === null) return null;
  return differences(parse(bytes, key), configuredFor(place.chain, place.table, facts));
}

/**
 * Compares `_bronze.json` where there is one, and writes nothing: whether it is there. A run creates it with the first
 * partition that it publishes, so that a first try with a wrong configuration fixes nothing.
 * Throws what `openBronze` throws.
 */
export async function expectBronze(
  place: { readonly store: BronzeStore; readonly chain: ChainName; readonly table: string },
  facts: BronzeFacts,
  signal?: AbortSignal,
): Promise<boolean> {
  const { store, chain, table } = place;
  const key = bronzeJsonKey(chain);
  const bytes = await store.get(key, signal);
  if (bytes === null) {
    await refuseForeign(store, chain, signal);
    return false;
  }
  compare(parse(bytes, key), configuredFor(chain, table, facts), key);
  return true;
}

/** What a stored `_bronze.json` tells a reader who has no configuration; null where there is none. Throws BRONZE_INVALID. */
export async function readBronze(
  store: BronzeStore,
  chain: ChainName,
  signal?: AbortSignal,
): Promise<{ columns: number; table: string; ledgerStart: number } | null> {
  const key = bronzeJsonKey(chain);
  const bytes = await store.get(key, signal);
  if (bytes === null) return null;
  const fixed = parse(bytes, key);
  if (fixed.chain_key !== chainKey(chain)) {
    throw new BronzeError('BRONZE_INVALID', `${key} belongs to ${fixed.chain_key}, not to where it lies`, {
      details: { object: key, expected: chainKey(chain), found: fixed.chain_key },
    });
  }
  return { columns: fixed.columns, table: fixed.primary_table, ledgerStart: fixed.ledger_start };
}

/**
 * Writes a lost `_bronze.json` again, where the partitions that are there fit the configuration: every one but the last
 * fills its cell. Whether it is there afterwards: false for an empty era. Throws BRONZE_MISMATCH where they do not fit,
 * since nothing then tells which layout was meant; STORE_*.
 */
export async function restoreBronze(
  place: { readonly store: BronzeStore; readonly chain: ChainName; readonly table: string },
  facts: BronzeFacts,
  found: Pick<EraFacts, 'partitions' | 'events'>,
  signal?: AbortSignal,
): Promise<boolean> {
  const sealed = found.partitions.filter((partition) => partition.hasManifest && partition.dataBytes !== null);
  const ranges = [...sealed, ...found.events].map(({ range }) => range).sort((a, b) => a.start - b.start);
  const last = ranges.at(-1);
  if (last === undefined) return false;
  const grid = { ...facts.grid, ledgerEnd: null };
  const misfit = ranges.find(({ start, end }) => {
    const cell = cellEnd(grid, start);
    return start < grid.ledgerStart || end > cell || (end < cell && start !== last.start);
  });
  if (misfit) {
    const key = bronzeJsonKey(place.chain);
    const hint = `bring ${key} back from a copy, or configure the layout that the partitions have`;
    throw new BronzeError(
      'BRONZE_MISMATCH',
      `${key} is missing, and partition ${rangeLabel(misfit)} does not fit the configured grid (size ${grid.size}, origin ${grid.origin}, from ledger ${grid.ledgerStart}); ${hint}`,
      { details: { ...misfit, object: key, found: rangeLabel(misfit), hint } },
    );
  }
  await openBronze(place, facts, signal);
  return true;
}
