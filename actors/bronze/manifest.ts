/**
 * The manifest of a partition (contract, section 4): built, read, compared. Pure; no I/O, no clock.
 * The stored bytes are what counts: facts and hashes are taken from them, never from what a build remembers.
 */
import { createHash } from 'node:crypto';
import * as z from 'zod';
import { BronzeError } from '../../machines/errors.ts';
import { MAX_LEDGER } from '../../machines/partitions.ts';
import type {
  ChecksDone,
  DataFile,
  LedgerEnds,
  LedgerRange,
  SealedPartition,
  Signers,
  StoredPart,
  WriterVersions,
} from '../../machines/protocol.ts';
import { parseJson, prettyJson } from '../json.ts';
import { type ChainName, chainKey, dataFileName } from './names.ts';

/** Who made a partition; in manifests and events. */
export interface Producer {
  readonly name: string;
  readonly version: string;
  readonly git_sha: string;
}

export const hashHex = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hex digits');
export const checksumText = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'expected sha256: and 64 lower-case hex digits');
export const ledgerNumber = z.int().min(0).max(MAX_LEDGER);
/** RFC 3339 in UTC; the old program writes nanoseconds. */
export const timestampText = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/, 'expected an RFC 3339 time in UTC');
export const producerSchema = z.looseObject({ name: z.string(), version: z.string(), git_sha: z.string() });
const publicKey = z.string().regex(/^G[A-Z2-7]{55}$/, 'expected a public key (G…)');
export const endsSchema = z.strictObject({
  first_hash: hashHex,
  last_hash: hashHex,
  previous_hash: hashHex,
  content_root: hashHex,
  /** Ledgers by who signed them; absent where no signature was looked at. */
  signers: z.record(publicKey, z.int().positive()).optional(),
});

/**
 * What a manifest or an event is about is closed: a member that this release does not know (a second table, another
 * unit) could change what the others mean. Beside it, later releases may add what they like.
 */
const tableSchema = z.strictObject({
  file: z.string(),
  checksum: checksumText,
  row_count: z.int().positive(),
  byte_size: z.int().positive(),
});

const oldSchema = z.looseObject({
  partition: z.strictObject({
    start: ledgerNumber,
    end: ledgerNumber,
    era_id: z.string(),
    version: z.string(),
    network: z.string(),
  }),
  tables: z.record(z.string(), tableSchema),
  producer: producerSchema,
  created_at: timestampText,
});

const schema = oldSchema.extend({
  ledgers: endsSchema,
  checks: z.record(z.string(), z.boolean()),
  source: z.string(),
  columns: z.literal(2),
  writer: z.record(z.string(), z.string()),
  /** Of an object that was uploaded in parts: bytes and MD5 of each, as the store compared them. */
  parts: z.array(z.looseObject({ size: z.int().min(0), md5: z.string() })).optional(),
});

/** A manifest of this program, as JSON; fields that a later release adds are kept. */
export type Manifest = Readonly<z.infer<typeof schema>>;
/** A manifest of the old program: columns 1, no ledger hashes. */
export type OldManifest = Readonly<z.infer<typeof oldSchema>>;

/** For whom a manifest is read, and from where. */
export interface ManifestSubject {
  readonly chain: ChainName;
  readonly table: string;
  readonly range: LedgerRange;
  /** Key or path, for messages. */
  readonly object: string;
}

export const sha256Hex = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const sorted = <T>(record: Readonly<Record<string, T>>): Record<string, T> =>
  Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));

export const toEnds = (ledgers: z.infer<typeof endsSchema>): LedgerEnds => ({
  firstHash: ledgers.first_hash,
  lastHash: ledgers.last_hash,
  previousHash: ledgers.previous_hash,
  contentRoot: ledgers.content_root,
  ...(ledgers.signers === undefined ? {} : { signers: ledgers.signers }),
});

export const fromEnds = (ledgers: LedgerEnds) => ({
  first_hash: ledgers.firstHash,
  last_hash: ledgers.lastHash,
  previous_hash: ledgers.previousHash,
  content_root: ledgers.contentRoot,
  ...(ledgers.signers === undefined ? {} : { signers: sorted(ledgers.signers) }),
});

/** What both programs say in a manifest. */
interface OldFacts {
  readonly chain: ChainName;
  readonly table: string;
  readonly range: LedgerRange;
  readonly data: DataFile;
  readonly producer: Producer;
  readonly createdAt: string;
}

function oldManifest(of: OldFacts) {
  const { chain, data, producer } = of;
  return {
    partition: {
      start: of.range.start,
      end: of.range.end,
      era_id: chain.eraId,
      version: chain.versionLabel,
      network: chain.network,
    },
    tables: {
      [of.table]: {
        file: data.file,
        checksum: data.checksum,
        row_count: data.rowCount,
        byte_size: data.byteSize,
      },
    },
    producer: { name: producer.name, version: producer.version, git_sha: producer.git_sha },
    created_at: of.createdAt,
  };
}

/** The manifest of a published partition. `createdAt` is RFC 3339 in UTC and comes from the caller's clock. */
export function buildManifest(
  of: OldFacts & {
    readonly ledgers: LedgerEnds;
    readonly writer: WriterVersions;
    readonly checks: ChecksDone;
    readonly source: string;
    readonly parts?: readonly StoredPart[];
  },
): Manifest {
  return {
    ...oldManifest(of),
    ledgers: fromEnds(of.ledgers),
    checks: sorted(of.checks),
    source: of.source,
    columns: 2,
    writer: sorted(of.writer),
    ...(of.parts === undefined ? {} : { parts: of.parts.map(({ size, md5 }) => ({ size, md5 })) }),
  };
}

/** As stored: two blanks of indent, a newline at the end, keys in the order of the contract. */
export const manifestBytes = (manifest: Manifest): Uint8Array => prettyJson(manifest);

/** A manifest as the old program stored it: without what it did not know, and without a newline at the end. */
export const oldManifestBytes = (of: OldFacts): Uint8Array => Buffer.from(JSON.stringify(oldManifest(of), null, 2));

const invalid = (place: ManifestSubject, why: string, cause?: unknown): BronzeError =>
  new BronzeError('MANIFEST_INVALID', `the manifest ${place.object} cannot be used: ${why}`, {
    details: {
      ...place.range,
      object: place.object,
      hint: 'find out what changed it (docs/runbook.md, "A partition is damaged"); it is never overwritten',
    },
    cause,
  });

function parseWith<T extends OldManifest>(bytes: Uint8Array, place: ManifestSubject, shape: z.ZodType<T>): T {
  let json: unknown;
  try {
    json = parseJson(bytes);
  } catch (error) {
    throw invalid(place, error instanceof Error ? error.message : String(error), error);
  }
  const parsed = shape.safeParse(json);
  if (!parsed.success) throw invalid(place, z.prettifyError(parsed.error).replaceAll('\n', ' '), parsed.error);
  const { partition, tables } = parsed.data;
  const { chain, range, table } = place;
  const name = { network: partition.network, eraId: partition.era_id, versionLabel: partition.version };
  if (chainKey(name) !== chainKey(chain)) throw invalid(place, `it is for ${chainKey(name)}, not ${chainKey(chain)}`);
  if (partition.start !== range.start || partition.end !== range.end) {
    throw invalid(place, `it is for ${partition.start}-${partition.end}, not ${range.start}-${range.end}`);
  }
  const data = tables[table];
  if (data === undefined) throw invalid(place, `it says nothing about the table ${table}`);
  const others = Object.keys(tables).filter((name) => name !== table);
  if (others.length > 0) throw invalid(place, `it is about other tables as well: ${others.join(', ')}`);
  if (data.file !== dataFileName(range)) throw invalid(place, `it names the file ${data.file}`);
  const rows = range.end - range.start + 1;
  if (data.row_count !== rows) throw invalid(place, `it says ${data.row_count} rows for ${rows} ledgers`);
  return parsed.data;
}

/** Reads a manifest of this program. Throws MANIFEST_INVALID for anything that is not one for this partition. */
export const parseManifest = (bytes: Uint8Array, place: ManifestSubject): Manifest => parseWith(bytes, place, schema);

/** Reads a manifest of this or of the old program; `columns` tells which. Throws MANIFEST_INVALID. */
export function parseAnyManifest(
  bytes: Uint8Array,
  place: ManifestSubject,
): { columns: 1; manifest: OldManifest } | { columns: 2; manifest: Manifest } {
  const old = parseWith(bytes, place, oldSchema);
  if (old.columns === undefined && old.ledgers === undefined) return { columns: 1, manifest: old };
  return { columns: 2, manifest: parseWith(bytes, place, schema) };
}

/** The data object of a table that the manifest was read for. */
export function manifestData(manifest: OldManifest, table: string): DataFile {
  const data = manifest.tables[table];
  if (data === undefined) throw new BronzeError('INTERNAL', `a manifest without the table ${table} was let through`);
  return { file: data.file, checksum: data.checksum, rowCount: data.row_count, byteSize: data.byte_size };
}

/** The facts of a stored manifest; `bytes` exactly as stored. */
export function sealedFacts(manifest: Manifest, bytes: Uint8Array, table: string): SealedPartition {
  return {
    range: { start: manifest.partition.start, end: manifest.partition.end },
    data: manifestData(manifest, table),
    ledgers: toEnds(manifest.ledgers),
    manifestSha256: sha256Hex(bytes),
    createdAt: manifest.created_at,
  };
}

export const sameData = (a: DataFile, b: DataFile): boolean =>
  a.file === b.file && a.checksum === b.checksum && a.rowCount === b.rowCount && a.byteSize === b.byteSize;

/** True where one of them says nothing: an estate of before stays what it is. */
const sameSigners = (a: Signers | undefined, b: Signers | undefined): boolean =>
  a === undefined || b === undefined || JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));

export const sameLedgers = (a: LedgerEnds, b: LedgerEnds): boolean =>
  a.firstHash === b.firstHash &&
  a.lastHash === b.lastHash &&
  a.previousHash === b.previousHash &&
  a.contentRoot === b.contentRoot &&
  sameSigners(a.signers, b.signers);

/** Same partition, tables and ledgers: what else stands in them (who, when, from where) may differ. */
export function sameManifest(a: Manifest, b: Manifest): boolean {
  const names = Object.keys(a.tables);
  return (
    a.partition.start === b.partition.start &&
    a.partition.end === b.partition.end &&
    a.partition.network === b.partition.network &&
    a.partition.era_id === b.partition.era_id &&
    a.partition.version === b.partition.version &&
    names.length === Object.keys(b.tables).length &&
    names.every((name) => b.tables[name] !== undefined && sameData(manifestData(a, name), manifestData(b, name))) &&
    sameLedgers(toEnds(a.ledgers), toEnds(b.ledgers))
  );
}
