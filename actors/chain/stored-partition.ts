/**
 * The facts of a sealed partition from what is stored, whichever program wrote it. A manifest of the old program holds
 * no ledger hashes: they are taken from the small columns of its file, which claims them as a manifest would. It must
 * never pass for a proof; that is a read-back of all rows.
 */
import { BronzeError } from '../../machines/errors.ts';
import type { LedgerEnds, LedgerRange, SealedPartition } from '../../machines/protocol.ts';
import { throwIfCancelled } from '../bounded.ts';
import {
  type Manifest,
  manifestData,
  type OldManifest,
  parseAnyManifest,
  sealedFacts,
  sha256Hex,
} from '../bronze/manifest.ts';
import { MerkleTree } from '../bronze/merkle.ts';
import { type ChainName, dataKey, manifestKey } from '../bronze/names.ts';
import { damaged } from '../parquet/damaged.ts';
import { expectedColumns } from '../parquet/expected-columns.ts';
import { readFooter } from '../parquet/parquet-footer.ts';
import { ColumnCursor, columnMemory, PAGE_LIMIT } from '../parquet/parquet-reader.ts';
import type { ObjectReader } from '../ports/store.ts';
import type { ChainPlace } from './chain-place.ts';

type ReadablePlace = Omit<ChainPlace, 'store'> & { readonly store: Pick<ChainPlace['store'], 'get' | 'open'> };

/** A sealed partition with what only its manifest says; `columns` is the definition that its file was written by. */
export type StoredPartition = { readonly sealed: SealedPartition } & (
  | { readonly columns: 1; readonly manifest: OldManifest }
  | { readonly columns: 2; readonly manifest: Manifest }
);

/** The columns that the ends of a partition and its content root follow from. */
const NEEDED = ['ledger_hash', 'previous_ledger_hash', 'xdr_sha256'] as const;

/** Ends and content root as the small columns of a file of definition 1 say. Throws PARTITION_DAMAGED, STORE_*. */
async function claimedEnds(
  reader: ObjectReader,
  chain: ChainName,
  range: LedgerRange,
  object: string,
  signal?: AbortSignal,
): Promise<LedgerEnds> {
  const columns = expectedColumns(1, chain);
  const elements = columns.map((column) => column.element);
  const { groups } = await readFooter(reader, elements, range.end - range.start + 1, object);
  const memory = NEEDED.map((name) => columnMemory(PAGE_LIMIT)(name, 'BYTE_ARRAY'));
  const tree = new MerkleTree();
  let ledger = range.start;
  let [firstHash, lastHash, previousHash] = ['', '', ''];
  for (const group of groups) {
    const cursors = NEEDED.map((name, i) => {
      const place = group.columns[columns.findIndex((column) => column.name === name)];
      const its = memory[i];
      if (!place || !its) throw new BronzeError('INTERNAL', `definition 1 has no column ${name}`);
      return new ColumnCursor(reader, place, its, group.rows, object);
    });
    for (let row = 0; row < group.rows; row += 1, ledger += 1) {
      throwIfCancelled(signal);
      const texts: string[] = [];
      for (const [i, cursor] of cursors.entries()) {
        await cursor.advance();
        const { buffer, start, end } = cursor.bytes();
        const text = buffer.toString('latin1', start, Math.min(end, start + 65));
        if (!/^[0-9a-f]{64}$/.test(text)) throw damaged(object, NEEDED[i] as string, text, { ledger });
        texts.push(text);
      }
      const [hash = '', previous = '', digest = ''] = texts;
      if (ledger === range.start) [firstHash, previousHash] = [hash, previous];
      lastHash = hash;
      tree.append(Buffer.from(digest, 'hex'));
    }
    for (const cursor of cursors) cursor.finish();
  }
  return { firstHash, lastHash, previousHash, contentRoot: tree.root() };
}

/** The same, of a file that the manifest names: one that is missing or has another size cannot be meant. */
async function endsOfFile(
  { store, chain, table }: ReadablePlace,
  range: LedgerRange,
  byteSize: number,
  signal?: AbortSignal,
): Promise<LedgerEnds> {
  const object = dataKey(chain, table, range);
  const more = { ...range, hint: 'bring it back from a copy (docs/runbook.md, "A partition is damaged")' };
  const reader = await store.open(object, signal);
  if (reader === null) throw damaged(object, 'object', 'nothing', { ...more, expected: 'the file of its manifest' });
  try {
    if (reader.size !== byteSize) {
      throw damaged(object, 'byte_size', `${reader.size} bytes`, { ...more, expected: `${byteSize} bytes` });
    }
    return await claimedEnds(reader, chain, range, object, signal);
  } finally {
    await reader.close();
  }
}

/**
 * What the stored manifest of a partition says; `bytes` exactly as stored. Of one of the old program the ledgers are
 * `known` where an event or a read-back told them, and read from the file where none did.
 * Throws MANIFEST_INVALID, PARTITION_DAMAGED, STORE_*.
 */
export async function storedPartition(
  place: ReadablePlace,
  range: LedgerRange,
  bytes: Uint8Array,
  known: LedgerEnds | null,
  signal?: AbortSignal,
): Promise<StoredPartition> {
  const { chain, table } = place;
  const object = manifestKey(chain, table, range);
  const { columns, manifest } = parseAnyManifest(bytes, { chain, table, range, object });
  if (columns === 2) return { columns, manifest, sealed: sealedFacts(manifest, bytes, table) };
  const data = manifestData(manifest, table);
  // Whoever derives its event again has the small columns alone, and no signature is among them.
  const { signers: _, ...ledgers } = known ?? (await endsOfFile(place, range, data.byteSize, signal));
  const sealed: SealedPartition = {
    range,
    data,
    ledgers,
    manifestSha256: sha256Hex(bytes),
    isOld: true,
    createdAt: manifest.created_at,
  };
  return { columns, manifest, sealed };
}
