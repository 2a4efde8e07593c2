/** What is fixed for an era before it starts: its chain, its places, what is switched on. */
import type { Logger } from 'pino';
import type { Mode } from '../../machines/protocol.ts';
import type { TrustedHashes } from '../anchor/trusted-hashes.ts';
import type { Producer } from '../bronze/manifest.ts';
import type { ChainName } from '../bronze/names.ts';
import type { BronzeFacts } from '../chain/bronze-json.ts';
import type { LogSigner } from '../chain/log-heads.ts';
import type { MemorySources } from '../chain/memories.ts';
import type { FileOps } from '../files.ts';
import type { CheckSpec, CompressionSpec } from '../parquet/spec.ts';
import type { Catalog } from '../ports/catalog.ts';
import type { AuditEndpoint, DeliveryPointer } from '../ports/delivery.ts';
import type { LakeSource, SourceSpec } from '../ports/source.ts';
import type { CheckpointStore } from '../ports/state.ts';
import type { BronzeStore, StoreSpec } from '../ports/store.ts';
import type { ThreadPool } from '../threads/pool.ts';
import type { BackupFolder } from '../version-1/old-chain.ts';

/** Another era of the configuration, on the same network. */
export interface Neighbour {
  readonly chain: ChainName;
  readonly table: string;
  readonly ledgerStart: number;
  /** Inclusive; null = unbounded. */
  readonly ledgerEnd: number | null;
}

export interface EraSetup {
  readonly eraId: string;
  readonly chain: ChainName;
  readonly table: string;
  readonly copierId: string;
  /** This program, as manifests and events name it. */
  readonly producer: Producer;
  readonly stateDir: string;
  readonly store: BronzeStore;
  readonly storeSpec: StoreSpec;
  readonly source: LakeSource;
  readonly sourceSpec: SourceSpec;
  /** Null: nothing to compare the lake's passphrase with. */
  readonly passphrase: string | null;
  readonly terms: BronzeFacts;
  /** Whether events are written to the audit chain. */
  readonly attests: boolean;
  /** Null: no heads of the audit log are signed. */
  readonly signer: LogSigner | null;
  readonly neighbours: readonly Neighbour[];
  /** How far ahead an era without an end looks for ledgers at once. */
  readonly ledgersAhead: number;
  readonly compression: CompressionSpec;
  readonly checks: CheckSpec;
  /** What a node that followed the network says of single ledgers; null where nobody named any. */
  readonly trusted: TrustedHashes | null;
  /** Null where no copies of events are written. */
  readonly backup: BackupFolder | null;
  /** Where the old program's events are, if it wrote any: they are read when an estate of it is adopted. */
  readonly oldEvents: BackupFolder;
  /** Where something may be remembered of the chain, whatever is switched on. */
  readonly memories: MemorySources;
  /** Null where checkpoints are switched off. */
  readonly checkpoint: CheckpointStore | null;
  /** Null where no catalog is configured. */
  readonly catalog: {
    readonly catalog: Catalog;
    readonly domain: string;
    readonly mode: Mode;
    readonly writesBehind: boolean;
  } | null;
  /** Null where events go nowhere. */
  readonly delivery: {
    readonly endpoint: AuditEndpoint;
    readonly pointer: DeliveryPointer;
    readonly withHeads: boolean;
  } | null;
  readonly pool: Pick<ThreadPool, 'run'>;
  /** Whether other machines build: what they had begun for a dead run may be staged after this one has swept. */
  readonly buildsElsewhere: boolean;
  readonly log: Logger;
  /** What is to be told of a chain whose name is new; nothing where it is not. */
  readonly newNames: () => Promise<readonly string[]>;
  /** File operations for the lock; the real ones where a test gives none. */
  readonly files?: FileOps;
}
