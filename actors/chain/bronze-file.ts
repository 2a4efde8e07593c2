/**
 * The format of `_bronze.json`: read and judged by itself, without a configuration.
 */
import * as z from 'zod';
import { BronzeError } from '../../machines/errors.ts';
import { checksumText, ledgerNumber } from '../bronze/manifest.ts';
import { bronzeJsonKey, type ChainName } from '../bronze/names.ts';
import { parseJson } from '../json.ts';
import type { BronzeStore } from '../ports/store.ts';

const schema = z.looseObject({
  chain_key: z.string(),
  primary_table: z.string(),
  /** Null: the configuration that created it did not know the network's passphrase. */
  network_passphrase: z.string().nullable(),
  ledger_start: ledgerNumber,
  partition_size: z.int().positive(),
  partition_origin: z.int().min(0),
  columns: z.int().positive(),
  /** What `storage_path` of the first event starts with, wherever Bronze lies now; release 2.0.0 did not write it. */
  storage_prefix: z.string().optional(),
  /** Only where partitions of the old program were adopted: what was there then. */
  adopted: z
    .strictObject({
      columns: z.literal(1),
      program: z.string(),
      ledger_start: ledgerNumber,
      ledger_end: ledgerNumber,
      partitions: z.int().positive(),
      chain_head: checksumText.nullable(),
      events: z.int().min(0),
    })
    .optional(),
});

export type Fixed = Readonly<z.infer<typeof schema>>;

/** Throws BRONZE_INVALID naming `object`. */
export function parseBronze(bytes: Uint8Array, object: string): Fixed {
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

/** What the chain says of its own prefix; null where it says nothing. Throws BRONZE_INVALID, STORE_*. */
export async function recordedPrefix(
  { store, chain }: { readonly store: BronzeStore; readonly chain: ChainName },
  signal?: AbortSignal,
): Promise<string | null> {
  const key = bronzeJsonKey(chain);
  const bytes = await store.get(key, signal);
  return bytes === null ? null : (parseBronze(bytes, key).storage_prefix ?? null);
}
