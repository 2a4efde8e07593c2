/**
 * Every name that is written anywhere: keys in the store, files in the state and backup folders (contract, section 4).
 * The only place where such a name is put together; it does no I/O.
 */
import type { LedgerRange } from '../../machines/protocol.ts';

/** network, era_id, version_label: what names a chain. */
export interface ChainName {
  readonly network: string;
  readonly eraId: string;
  readonly versionLabel: string;
}

/** `pubnet/pre_p23/v1` */
export const chainKey = (c: ChainName): string => `${c.network}/${c.eraId}/${c.versionLabel}`;

/** `pubnet_pre_p23_v1`, in file names of the state and backup folders. */
export const chainFileLabel = (c: ChainName): string => `${c.network}_${c.eraId}_${c.versionLabel}`;

/** Key prefix of everything of a chain, with a slash at its end. */
export const chainPrefix = (c: ChainName): string => `${chainKey(c)}/`;

export const bronzeJsonKey = (c: ChainName): string => `${chainPrefix(c)}_bronze.json`;

/** Folders right below a chain that copiers write beside its table; every other name is a table's, or nobody's. */
export const OWN_FOLDERS: readonly string[] = ['_staging', '_audit', '_losses'];

/** Below `_audit/`, and below the backup folder. */
export const HEADS_FOLDER = 'heads';

export const auditPrefix = (c: ChainName): string => `${chainPrefix(c)}_audit/`;

/** Ten digits, so that a listing is in order of sequence. */
export const eventKey = (c: ChainName, sequence: number): string =>
  `${auditPrefix(c)}${String(sequence).padStart(10, '0')}.json`;

/** Signed heads of a chain's audit log; above them a folder that no event lies in. */
export const headsPrefix = (c: ChainName): string => `${auditPrefix(c)}${HEADS_FOLDER}/`;

/** Ten digits: how many events the head is of. */
export const headKey = (c: ChainName, size: number): string => `${headsPrefix(c)}${String(size).padStart(10, '0')}`;

/** The size in the last part of a head's key, or of the name of its copy; null for any other name. */
export function parseHeadName(name: string): number | null {
  const digits = /(?:^|_)(\d{10})$/.exec(name)?.[1];
  return digits === undefined ? null : Number(digits);
}

/** Whether a key is that of a head of this chain. */
export const isHeadKey = (c: ChainName, key: string): boolean =>
  key.startsWith(headsPrefix(c)) && /^\d{10}$/.test(key.slice(headsPrefix(c).length));

/** Below the backup folder, in `heads/`. */
export const headCopyFile = (c: ChainName, size: number): string =>
  `${chainFileLabel(c)}_${String(size).padStart(10, '0')}`;

/** What was given up of a chain: its records. */
export const lossesPrefix = (c: ChainName): string => `${chainPrefix(c)}_losses/`;

export const lossKey = (c: ChainName, number: number): string =>
  `${lossesPrefix(c)}${String(number).padStart(10, '0')}.json`;

/** What a file is called after it was given up, in the folder where it was: nobody takes it for what it was. */
export const givenUpName = (name: string, number: number): string =>
  `${name}.given-up-${String(number).padStart(10, '0')}`;

export const tablePrefix = (c: ChainName, table: string): string => `${chainPrefix(c)}${table}/`;

export const partitionPrefix = (c: ChainName, table: string, r: LedgerRange): string =>
  `${tablePrefix(c, table)}range=${r.start}-${r.end}/`;

export const dataFileName = (r: LedgerRange): string => `part-${r.start}-${r.end}.parquet`;

export const dataKey = (c: ChainName, table: string, r: LedgerRange): string =>
  `${partitionPrefix(c, table, r)}${dataFileName(r)}`;

export const manifestKey = (c: ChainName, table: string, r: LedgerRange): string =>
  `${partitionPrefix(c, table, r)}_manifest.json`;

export const checkpointFile = (c: ChainName): string => `checkpoint_${chainFileLabel(c)}.json`;

export const deliveryFile = (c: ChainName): string => `delivery_${chainFileLabel(c)}.json`;

export const lockFile = (c: ChainName): string => `lock_${chainFileLabel(c)}.json`;

export const backupFile = (c: ChainName, r: LedgerRange): string => `${chainFileLabel(c)}_${r.start}-${r.end}.json`;

/** The range in the name of a partition's folder; null for any other name. */
export function parsePartitionFolder(name: string): LedgerRange | null {
  return parsePartitionKey(`${name}/x`)?.range ?? null;
}

/** The range in a key below a table's prefix, and which object of the partition it is; null for anything else. */
export function parsePartitionKey(below: string): { range: LedgerRange; name: string } | null {
  const match = /^range=(\d{1,10})-(\d{1,10})\/([^/]+)$/.exec(below);
  if (!match) return null;
  const start = Number(match[1]);
  const end = Number(match[2]);
  if (String(start) !== match[1] || String(end) !== match[2] || start > end) return null;
  return { range: { start, end }, name: match[3] as string };
}
