/**
 * The one typed protocol: every message between actors, every input and output of an effect, as plain JSON data.
 * Nothing here may hold a function, a class instance, a Date or a bigint: messages are compared, logged, keyed by the
 * explorer and sent across threads. Ledger sequences are uint32 and fit a number; byte counts fit 2^53.
 */
import type { ActorRef, EventObject, Snapshot } from 'xstate';
import type { Failure } from './errors.ts';

// ── values ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** Inclusive ledger sequences. */
export interface LedgerRange {
  readonly start: number;
  readonly end: number;
}

/** Grid of partitions: `[origin + k*size, origin + (k+1)*size - 1]`, clipped to the era. */
export interface Grid {
  readonly size: number;
  readonly origin: number;
  /** First ledger of the era (never below 2). */
  readonly ledgerStart: number;
  /** Last ledger of the era, inclusive; null = unbounded. */
  readonly ledgerEnd: number | null;
}

/** What ties a partition's rows to the chain of ledgers; hashes are lower-case hex. */
export interface LedgerEnds {
  readonly firstHash: string;
  readonly lastHash: string;
  /** previous_ledger_hash of the first ledger. */
  readonly previousHash: string;
  /** RFC 6962 Merkle root over the rows' xdr_sha256, in order. */
  readonly contentRoot: string;
  /** Absent where no signature was looked at, and in estates of before. */
  readonly signers?: Signers;
}

/**
 * Who vouches for a partition's history: public key (G…) of a validator → ledgers that it signed, each of which names the
 * ledger before it. Follows from the ledgers' bytes and the network alone.
 */
export type Signers = Readonly<Record<string, number>>;

/** The Parquet file of a partition. `checksum` is `sha256:` + hex of the file's bytes. */
export interface DataFile {
  readonly file: string;
  readonly checksum: string;
  readonly rowCount: number;
  readonly byteSize: number;
}

/** One part of an object that was uploaded in parts. */
export interface StoredPart {
  /** Bytes. */
  readonly size: number;
  /** Hex MD5, which the store compared. */
  readonly md5: string;
}

/** Versions that fix the bytes of a Parquet file; in the manifest and in the Parquet footer. */
export type WriterVersions = Readonly<Record<string, string>>;

/** What was recomputed for every ledger of a partition. */
export type ChecksDone = Readonly<Record<string, boolean>>;

/** A partition that was read, checked and built, and lies where no reader can see it. */
export interface StagedPartition {
  readonly range: LedgerRange;
  readonly ticket: number;
  readonly correlationId: string;
  /** The store's own reference to what is staged; opaque here. */
  readonly handle: string;
  readonly data: DataFile;
  readonly ledgers: LedgerEnds;
  readonly writer: WriterVersions;
  readonly checks: ChecksDone;
  /** Where the ledgers came from (URI). */
  readonly source: string;
  /** Key of the lake's object that holds the first ledger, for messages. */
  readonly firstObject?: string;
  /** Compressed bytes read from the lake. */
  readonly sourceBytes: number;
  /** XDR bytes before compression. */
  readonly rawBytes: number;
  /** Attempts that failed before this one. */
  readonly retries: number;
}

/** What stands published under a partition's name: this run's file, or an older one that holds the same rows. */
export interface PublishedPartition {
  readonly range: LedgerRange;
  readonly data: DataFile;
  readonly ledgers: LedgerEnds;
  readonly writer: WriterVersions;
  readonly checks: ChecksDone;
  readonly source: string;
  /** Where the object consists of parts. */
  readonly parts?: readonly StoredPart[];
  /** True where it stood there before this attempt. */
  readonly found: boolean;
}

/** The facts of the *stored* manifest of a partition. */
export interface SealedPartition {
  readonly range: LedgerRange;
  readonly data: DataFile;
  readonly ledgers: LedgerEnds;
  /** Hex SHA-256 of the manifest's bytes as stored. */
  readonly manifestSha256: string;
  readonly createdAt: string;
  /** The old program's: nobody of this program has read its rows yet. */
  readonly isOld?: true;
}

/** Where the audit chain stands: the sequence that the next event gets and the hash it must name. */
export interface ChainHead {
  readonly nextSequence: number;
  readonly prevEventHash: string | null;
}

/** An event of the audit chain, as far as decisions need it. */
export interface AttestedEvent {
  readonly sequence: number;
  readonly range: LedgerRange;
  readonly eventHash: string;
  readonly prevEventHash: string | null;
  readonly data: DataFile;
  readonly ledgers: LedgerEnds;
  readonly manifestSha256: string;
  readonly timestamp: string;
  /** What its `storage_path` has before the key: where Bronze lay when the chain began. `''`, or ending in `/`. */
  readonly storagePrefix: string;
}

/**
 * How much somebody outside of Bronze holds up a commit. `none`: nobody is there. `lenient`: what it cannot take now is
 * left to the courier. `strict`: the sequencer waits for it, without end.
 */
export type Mode = 'none' | 'lenient' | 'strict';

/** What an era is, as configured, for the machines. */
export interface EraSpec {
  readonly eraId: string;
  readonly network: string;
  readonly versionLabel: string;
  readonly grid: Grid;
  /** `--to`: stop after the partition that holds this ledger; null = the era's end. */
  readonly stopAfter: number | null;
  /** `--once`: an unbounded era stops at the head found when it starts. */
  readonly once: boolean;
  readonly workers: number;
  /** Built or staged, not committed, at the most. */
  readonly queueSize: number;
  /** Attempts of one step before it counts as failed. */
  readonly retryAttempts: number;
  /** First back-off in ms; doubles, capped at 60 s. */
  readonly retryBackoffMs: number;
  /** Worker crashes per hour that are survived. */
  readonly respawnLimit: number;
  /** Whether events are written to the audit chain. */
  readonly attests: boolean;
  /** Whether every partition gets a row in a catalog. */
  readonly catalog: Mode;
  /** Whether every event goes to an endpoint; `none` where `attests` is false. */
  readonly delivery: Mode;
  /** Distinguishes the correlation ids of one process from those of another. */
  readonly runId: string;
}

// ── what recovery finds (facts) and decides (agenda) ─────────────────────────────────────────────────────────────

/** A partition's objects as listed. `manifest` is parsed only where a decision may need it. */
export interface FoundPartition {
  readonly range: LedgerRange;
  /** Size of the data object in bytes; null = there is none. */
  readonly dataBytes: number | null;
  readonly hasManifest: boolean;
  readonly manifest: SealedPartition | null;
  /** Neither of the two objects is there, and others are: nothing that a copier writes. */
  readonly isForeign?: true;
}

/**
 * What something outside of `_audit/` remembers of a chain, as it says it. It is never believed against Bronze, and never
 * ignored where it contradicts it: `machines/evidence.ts` judges.
 */
export interface Memory {
  /**
   * `copy`: of an event, in the backup folder. `old_event`: one of the old program's, there or in `v1.1/`. `head`: what the
   * heads file says of the chain. `old_checkpoint`: the old program's. `row`: a row of lineage in the catalog.
   */
  readonly kind: 'copy' | 'old_event' | 'head' | 'checkpoint' | 'old_checkpoint' | 'delivery' | 'row';
  /** Path of the file; URI of the catalog. */
  readonly object: string;
  readonly range: LedgerRange | null;
  /** Of an event. */
  readonly sequence: number | null;
  readonly eventHash: string | null;
  /** Of the data object. */
  readonly checksum: string | null;
  /** Why nothing can be had from it, although something stands there; null = it says what it says. */
  readonly problem: string | null;
  /** Hex, of the bytes of a copy or of a heads file that cannot be read; null for anything else. */
  readonly sha256: string | null;
}

/** The end of the old program's audit chain, as `_bronze.json` records it. */
export interface OldChainEnd {
  readonly head: string;
  readonly events: number;
}

export interface CheckpointFacts {
  readonly range: LedgerRange;
  readonly checksum: string;
}

/** What is durable about an era, read and not judged. */
export interface EraFacts {
  readonly partitions: readonly FoundPartition[];
  readonly events: readonly AttestedEvent[];
  readonly checkpoint: CheckpointFacts | null;
  /** Events that can be re-derived from stored manifests for holes in the sequence. */
  readonly rederived: readonly AttestedEvent[];
  readonly memories: readonly Memory[];
  /** Null where no chain of the old program was adopted. */
  readonly oldChain: OldChainEnd | null;
}

/** Work that recovery found, to be done in this order before anything new is committed. */
export type AgendaItem =
  /** The manifest of an attested partition is missing, its data is there: written again, byte for byte, or refused. */
  | { readonly kind: 'reseal'; readonly range: LedgerRange; readonly event: AttestedEvent }
  /** The data of an attested partition is missing: build it again; it must come out as attested. */
  | { readonly kind: 'restore'; readonly range: LedgerRange; readonly event: AttestedEvent }
  /** An event inside the chain is missing and was re-derived. */
  | { readonly kind: 'refill'; readonly range: LedgerRange; readonly event: AttestedEvent }
  /** Sealed, not attested: its bytes are verified, then it goes on from there. */
  | { readonly kind: 'sealed'; readonly range: LedgerRange; readonly sealed: SealedPartition }
  /** Attested, but the checkpoint (or a catalog row) does not know. */
  | { readonly kind: 'attested'; readonly range: LedgerRange; readonly sealed: SealedPartition }
  /** Published under a range that the grid would cut differently: build exactly this range. */
  | { readonly kind: 'copy'; readonly range: LedgerRange };

/** What recovery decides: where the contiguous prefix ends and what has to be mended. */
export interface Recovered {
  /** First ledger after the contiguous sealed prefix. */
  readonly frontier: number;
  readonly chain: ChainHead;
  /** last_hash of the partition before `frontier` (or before the first agenda item that is committed anew); null = none. */
  readonly lastHash: string | null;
  readonly agenda: readonly AgendaItem[];
}

// ── jobs and messages ────────────────────────────────────────────────────────────────────────────────────────────

/** One partition to be built. `ticket` grows with every dispatch, so that an answer to an older one is recognised. */
export interface Job {
  readonly range: LedgerRange;
  readonly ticket: number;
  readonly correlationId: string;
  /** At the head of an unbounded era: even what looks broken may only be half written, so keep trying for a while. */
  readonly patient: boolean;
}

export interface CommitFacts {
  readonly range: LedgerRange;
  readonly rows: number;
  readonly bronzeBytes: number;
  readonly sourceBytes: number;
  readonly rawBytes: number;
  readonly retries: number;
  /** True where nothing had to be written to Bronze for it. */
  readonly alreadyThere: boolean;
  /** Its catalog row has still to be written. */
  readonly rowPending: boolean;
  readonly correlationId: string;
}

/** What the catalog and the endpoint have still to be told of an era. */
export interface Pending {
  /** Committed partitions without their row. */
  readonly rows: number;
  /** Events that the endpoint has not acknowledged. */
  readonly events: number;
}

/**
 * Who spawned an actor, handed down in its input. Messages upwards go to this reference: what is left of an era that is lost
 * never speaks to the one that takes its place.
 */
export type Parent<TEvent extends EventObject> = ActorRef<Snapshot<unknown>, TEvent>;

/** The machine that asks for an effect: it is told how a long one goes. */
export interface Asker<TEvent extends EventObject> {
  readonly id: string;
  send(event: TEvent): void;
}

/** The era threw: XState lets its children run on, so the supervisor ends them, silently, before it starts another. */
export type OrphanEvent = { readonly type: 'era.lost' };

export type WorkerEvent =
  | OrphanEvent
  | { readonly type: 'partition.assigned'; readonly job: Job }
  | { readonly type: 'work.cancelled' }
  | { readonly type: 'build.progressed'; readonly ticket: number; readonly ledgers: number; readonly rawBytes: number }
  /** `reason`: what it waits for, where that is no thread of this process. */
  | { readonly type: 'build.queued'; readonly ticket: number; readonly reason?: string }
  | { readonly type: 'build.started'; readonly ticket: number };

export type SequencerEvent =
  | OrphanEvent
  | { readonly type: 'partition.staged'; readonly staged: StagedPartition }
  /** Commit what is contiguous, discard the rest, answer `sequencer.drained`. */
  | { readonly type: 'sequencer.drain' }
  /** A long effect of the sequencer (reading back, catching up) waits for a thread, has one, is alive. */
  | { readonly type: 'effect.queued' }
  | { readonly type: 'effect.started' }
  | { readonly type: 'effect.progressed' };

export type CourierEvent = OrphanEvent | { readonly type: 'delivery.queued' } | { readonly type: 'courier.drain' };

/** What any child tells its era about waiting for something outside, so that waiting is not taken for a stall. */
type WaitEvent =
  | { readonly type: 'wait.declared'; readonly actorId: string; readonly reason: string }
  | { readonly type: 'wait.ended'; readonly actorId: string };

export type EraEvent =
  | WaitEvent
  | { readonly type: 'partition.staged'; readonly workerId: string; readonly staged: StagedPartition }
  | {
      readonly type: 'partition.failed';
      readonly workerId: string;
      readonly ticket: number;
      readonly range: LedgerRange;
      readonly failure: Failure;
    }
  /** The worker let go of a cancelled job. */
  | { readonly type: 'worker.released'; readonly workerId: string }
  | {
      readonly type: 'worker.progressed';
      readonly workerId: string;
      readonly range: LedgerRange;
      readonly ledgers: number;
      readonly rawBytes: number;
    }
  | {
      readonly type: 'attempt.failed';
      readonly workerId: string;
      readonly range: LedgerRange;
      readonly failure: Failure;
    }
  | { readonly type: 'partition.committed'; readonly facts: CommitFacts }
  | { readonly type: 'sequencer.progressed'; readonly step: string; readonly range: LedgerRange }
  | { readonly type: 'restage.requested'; readonly range: LedgerRange }
  | { readonly type: 'sequencer.failed'; readonly range: LedgerRange; readonly failure: Failure }
  | { readonly type: 'sequencer.drained' }
  /** Strict: a reader held the catalog open while it was caught up on; what it kept back is the courier's. */
  | { readonly type: 'rows.left' }
  /** Strict: what earlier runs left is recorded and delivered. */
  | { readonly type: 'sequencer.caught_up' }
  /** The catalog or the endpoint refuses in a way that no retry can help. */
  | { readonly type: 'courier.failed'; readonly failure: Failure }
  | { readonly type: 'courier.drained' }
  | { readonly type: 'drain.requested' }
  /** A long effect of the era (reading a large chain) is alive. */
  | { readonly type: 'effect.progressed' }
  | { readonly type: 'hole.overdue' }
  | { readonly type: 'crash.forgiven' }
  /** XState's own report that a child threw; matched by prefix. */
  | { readonly type: 'xstate.error.actor.child'; readonly actorId: string; readonly error: unknown };

export type EraOutcome = 'done' | 'drained' | 'failed';

/** What an era did, for the summary. Counted by machines: no clock in it. */
export interface EraSummary {
  readonly eraId: string;
  readonly outcome: EraOutcome;
  /** First ledger that is not committed. */
  readonly nextLedger: number;
  readonly partitions: number;
  /** Partitions that stood there already and had only to be taken note of. */
  readonly partitionsFound: number;
  readonly ledgers: number;
  readonly sourceBytes: number;
  readonly rawBytes: number;
  readonly bronzeBytes: number;
  readonly retries: number;
  readonly restages: number;
  readonly crashes: number;
  /** What is left for the next run to record and deliver; null = not known. */
  readonly pending: Pending | null;
  readonly failure: Failure | null;
}

export type SupervisorEvent =
  | { readonly type: 'era.progressed'; readonly eraId: string; readonly waiting: boolean }
  /** What an era has done up to now. */
  | { readonly type: 'era.counted'; readonly eraId: string; readonly summary: EraSummary }
  | { readonly type: 'era.finished'; readonly eraId: string; readonly summary: EraSummary }
  /** The era cannot go on as it is, but a fresh one may: its sequencer or courier crashed. */
  | { readonly type: 'era.crashed'; readonly eraId: string; readonly summary: EraSummary }
  | { readonly type: 'drain.requested' }
  | { readonly type: 'stall.suspected'; readonly eraId: string }
  | { readonly type: 'stall.detected'; readonly eraId: string }
  | { readonly type: 'crash.forgiven'; readonly eraId: string }
  | { readonly type: 'xstate.error.actor.child'; readonly actorId: string; readonly error: unknown };

// ── effects: what machines ask of the outside world ──────────────────────────────────────────────────────────────

/** State of the head of a lake. */
export interface LakeHead {
  /** Highest ledger for which an object exists; null = the lake is empty. */
  readonly head: number | null;
  /** Last ledger of the unbroken run of objects that starts at the ledger asked for; one less where there is none. */
  readonly contiguousTo: number;
  /** First ledger missing although later ones are there; null = no hole. */
  readonly holeAt: number | null;
}

/** What a comparison of a lake with Bronze found; that it is another one is an error. */
export interface LakeCompared {
  /** The lake ends before what is committed. `head`: its last ledger; null = it is empty. */
  readonly behind: { readonly head: number | null } | null;
}

/** Inputs and outputs of all effects, by name. Plain data, but for who asks (`askedBy`). Implementations come by `provide()`. */
export interface Effects {
  // era
  readonly openChain: { input: { eraId: string }; output: { created: boolean } };
  readonly surveyChain: { input: { eraId: string; askedBy: Asker<EraEvent> }; output: EraFacts };
  readonly openLake: { input: { eraId: string }; output: { source: string } };
  /** Whether the lake is the one that is committed. Throws LAKE_CONTRADICTS where it is not. */
  readonly compareLake: { input: { eraId: string }; output: LakeCompared };
  readonly findHead: { input: { eraId: string; from: number }; output: LakeHead };
  /** Answers what is still pending; null where that cannot be said. */
  readonly closeChain: { input: { eraId: string }; output: Pending | null };
  // worker
  readonly buildPartition: {
    input: { eraId: string; workerId: string; job: Job; retries: number; askedBy: Asker<WorkerEvent> };
    output: StagedPartition;
  };
  readonly stagePartition: { input: { eraId: string; staged: StagedPartition }; output: StagedPartition };
  // sequencer
  readonly verifySealed: {
    input: { eraId: string; askedBy: Asker<SequencerEvent>; sealed: SealedPartition };
    output: SealedPartition;
  };
  readonly publishPartition: {
    input: { eraId: string; staged: StagedPartition; attested: AttestedEvent | null; askedBy: Asker<SequencerEvent> };
    output: PublishedPartition;
  };
  readonly checkNeighbours: { input: { eraId: string; range: LedgerRange; ledgers: LedgerEnds }; output: null };
  readonly sealPartition: {
    /** `published` null: from what stands there, as `attested`, which is then not null, says. */
    input: {
      eraId: string;
      published: PublishedPartition | null;
      attested: AttestedEvent | null;
      askedBy: Asker<SequencerEvent>;
    };
    output: SealedPartition;
  };
  readonly attestPartition: {
    input: { eraId: string; range: LedgerRange; chain: ChainHead; expected: AttestedEvent | null };
    output: { attested: boolean; sequence: number; eventHash: string };
  };
  /** The row of the stored manifest and event. `pending`: it will be written, but not now; no error in any mode. */
  readonly recordPartition: { input: { eraId: string; range: LedgerRange }; output: { pending: boolean } };
  readonly writeCheckpoint: { input: { eraId: string; range: LedgerRange; checksum: string }; output: null };
  readonly discardStaged: { input: { eraId: string; handles: readonly string[] }; output: null };
  // courier, whom nobody watches; where strict says so, the sequencer
  /** All rows that are missing, in ledger order. `left`: how many have to wait though nothing failed. */
  readonly recordPending: { input: { eraId: string; askedBy: Asker<SequencerEvent> | null }; output: { left: number } };
  /** All events that were not acknowledged, in order. */
  readonly deliverPending: { input: { eraId: string; askedBy: Asker<SequencerEvent> | null }; output: null };
}
