/**
 * What a build or a verification in a worker thread is told, and what it answers; plain data only.
 */
import type {
  ChecksDone,
  DataFile,
  LedgerEnds,
  LedgerRange,
  StoredPart,
  WriterVersions,
} from '../../machines/protocol.ts';
import type { TrustedHash } from '../anchor/trusted-hashes.ts';
import type { ChainName } from '../bronze/names.ts';
import type { LakeLayout, SourceSpec } from '../ports/source.ts';
import type { StagingSpec, StoreSpec } from '../ports/store.ts';

export interface CompressionSpec {
  readonly codec: 'zstd' | 'snappy' | 'none';
  /** zstd only. */
  readonly level: number;
}

export interface CheckSpec {
  /** Recompute the transaction-result-set hash as well. */
  readonly results: boolean;
  readonly protocolMin: number | null;
  readonly protocolMax: number | null;
  /** Of the network whose signatures are verified; null = no signature is looked at. */
  readonly networkPassphrase: string | null;
  /** Ledgers of the range whose hashes are known already, rising; absent = none. Only for a build. */
  readonly trusted?: readonly TrustedHash[];
}

/** One partition to read, check, build and write to staging. */
export interface BuildTask {
  readonly kind: 'build';
  readonly chain: ChainName;
  readonly range: LedgerRange;
  readonly source: SourceSpec;
  readonly layout: LakeLayout;
  readonly staging: StagingSpec;
  /** Key that the partition is to be published under. */
  readonly key: string;
  /** Distinguishes attempts in staging names. */
  readonly attempt: string;
  readonly compression: CompressionSpec;
  readonly checks: CheckSpec;
}

export interface BuildAnswer {
  readonly handle: string;
  readonly data: DataFile;
  readonly ledgers: LedgerEnds;
  readonly writer: WriterVersions;
  readonly checks: ChecksDone;
  /** Key of the lake's object that holds the first ledger. */
  readonly firstObject: string;
  readonly sourceBytes: number;
  readonly rawBytes: number;
}

/**
 * One published partition to be read back.
 * `bytes`: size and SHA-256 of the file only. `rows`: also every row from its xdr_bytes up.
 */
export interface ReadBackTask {
  readonly kind: 'readback';
  readonly depth: 'bytes' | 'rows';
  readonly chain: ChainName;
  readonly range: LedgerRange;
  readonly store: StoreSpec;
  /** Key of the data object. */
  readonly key: string;
  /** 2 = this program's column definition, 1 = the old program's. */
  readonly columns: 1 | 2;
  readonly checks: CheckSpec;
  /** Size and MD5 are wanted of each stretch of so many bytes as well. */
  readonly partBytes?: number;
  /** At depth `rows`: what is wanted for anchors. */
  readonly witness?: WitnessSpec;
}

export interface WitnessSpec {
  /** Every signature is verified as of this network; null: none is looked at. */
  readonly networkPassphrase: string | null;
  /** Ledgers of the range whose hashes are wanted, in order. */
  readonly hashesOf: readonly number[];
}

export interface Witnessed {
  /** By key (G…): how many ledgers it signed that vouch for the one before, and the last of them. */
  readonly signed: Readonly<Record<string, { readonly ledgers: number; readonly last: number }>>;
  /** Hex, in the order in which they were asked for. */
  readonly hashes: readonly string[];
}

export interface ReadBackAnswer {
  readonly data: DataFile;
  /** Where `partBytes` asked for them. */
  readonly parts?: readonly StoredPart[];
  /** Null at depth `bytes`. */
  readonly rows: {
    readonly ledgers: LedgerEnds;
    readonly writer: WriterVersions;
    readonly checks: ChecksDone;
    /** Where it was asked for. */
    readonly witnessed?: Witnessed;
  } | null;
}

export interface Progress {
  readonly ledgers: number;
  readonly rawBytes: number;
}
