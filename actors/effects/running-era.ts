/**
 * One era while it runs: what its effects share. What is open (lock, lake, recorder), and what they remember of one another.
 * Nothing here does I/O.
 */
import { BronzeError } from '../../machines/errors.ts';
import type { LedgerRange, SealedPartition } from '../../machines/protocol.ts';
import { eventId } from '../bronze/event.ts';
import { CatalogRecorder } from '../catalog/recorder.ts';
import type { ChainPlace } from '../chain/chain-place.ts';
import type { LakeLayout } from '../ports/source.ts';
import type { ChainLock } from '../ports/state.ts';
import type { StagingSpec } from '../ports/store.ts';
import type { Committed } from '../source/compare-lake.ts';
import type { EventTree } from '../tlog/event-tree.ts';
import type { BackupFolder } from '../version-1/old-chain.ts';
import type { EraSetup } from './setup.ts';

/** What is known without asking anybody; null = not known, or there is nobody to whom it would matter. */
export interface Readings {
  /** Committed partitions without a row in the catalog. */
  readonly pendingRows: number | null;
  /** Events that the endpoint has not acknowledged. */
  readonly undelivered: number | null;
}

export class RunningEra {
  readonly setup: EraSetup;
  readonly log: EraSetup['log'];
  readonly place: ChainPlace & { readonly backup: BackupFolder | null };
  /** Null where no catalog is configured. */
  readonly recorder: CatalogRecorder | null;

  // ── what is open ──

  /** Asked for once, also where the era is started afresh while the first call hangs: it would meet its own lock. */
  locking: Promise<ChainLock> | null = null;
  lock: ChainLock | null = null;
  /** Ends what would be waited for in vain once the chain is closed. */
  closing = new AbortController();
  #staging: StagingSpec | null = null;
  #layout: LakeLayout | null = null;
  /** Builds that were asked for and the opening of the chain, as long as they have not settled; cancelled ones as well. */
  readonly underWay = new Set<Promise<unknown>>();
  /** What ends the present build of each worker. */
  readonly builds = new Map<string, AbortController>();
  /** Builds that were begun. */
  attempts = 0;

  // ── what is known of the chain ──

  /** Whether `_bronze.json` is there, as this run would write it. */
  termsAreFixed = false;
  /** Whether anything may have been written that carries the lock's nonce. */
  isPrepared = false;
  /** Whether it is known what was committed before. */
  isSurveyed = false;
  /** What `storage_path` of the events starts with; null before anything was attested, as far as is known. */
  storagePrefix: string | null = null;
  /** Sealed partitions by their first ledger. */
  readonly ends = new Map<number, Committed>();
  /** Checksums of sealed partitions by their first ledger, until their event is known. */
  readonly checksums = new Map<number, string>();
  /** The manifest that was sealed last, as it stands in the store: its event is derived from it. */
  manifest: { readonly start: number; readonly bytes: Uint8Array } | null = null;
  /** Whether the lake was last found to end before what is committed. */
  isBehind = false;
  /** Events in the chain, by the sequence of the last one; null before they were looked at. */
  events: number | null = null;
  /** The log that they are, where it is signed; made by the survey. */
  tree: EventTree | null = null;
  /** Of how many events a head is known to be there. */
  signedSize = 0;
  /** How many of them were acknowledged; null before the first delivery has looked. */
  delivered: number | null = null;
  /** When rows were last written beside the copying, by the monotonic clock. */
  recordedAt = Number.NEGATIVE_INFINITY;

  constructor(setup: EraSetup) {
    this.setup = setup;
    this.log = setup.log;
    const { store, chain, table, backup, catalog } = setup;
    this.place = { store, chain, table, backup, grid: setup.terms.grid };
    const dataset = { domain: catalog?.domain ?? '', dataset: table, chain };
    const onMoved = (rows: number): void =>
      this.log.warn(
        { component: 'catalog', rows },
        'rows of the catalog name a place where Bronze lay before: reconcile --repair writes them again',
      );
    this.recorder = catalog && new CatalogRecorder({ ...this.place, catalog: catalog.catalog, dataset, onMoved });
  }

  /** Where this run puts what no reader sees yet; known once the lock is taken. */
  get staging(): StagingSpec {
    if (this.#staging === null) throw new BronzeError('INTERNAL', 'the lock was not taken before something was staged');
    return this.#staging;
  }

  set staging(spec: StagingSpec) {
    this.#staging = spec;
  }

  /** How the lake is laid out; known once it is opened. */
  get layout(): LakeLayout {
    if (this.#layout === null) throw new BronzeError('INTERNAL', 'the lake was not opened before it was read');
    return this.#layout;
  }

  set layout(layout: LakeLayout) {
    this.#layout = layout;
  }

  get isLakeOpen(): boolean {
    return this.#layout !== null;
  }

  /** What `closeChain` waits for. */
  track(run: Promise<unknown>): void {
    this.underWay.add(run);
    const settled = () => this.underWay.delete(run);
    run.then(settled, settled);
  }

  noteSealed({ range, data, ledgers }: SealedPartition): void {
    this.checksums.set(range.start, data.checksum);
    this.ends.set(range.start, { range, ledgers });
  }

  /** The catalog gets a row of it. */
  noteAttested(range: LedgerRange, checksum: string, sequence: number): void {
    this.recorder?.note({ range, checksum, eventId: eventId(this.setup.chain, sequence) });
  }

  /** What is left to be recorded and delivered, from memory. */
  readings(): Readings {
    const isKnown = this.setup.delivery !== null && this.events !== null && this.delivered !== null;
    return {
      pendingRows: this.recorder?.known ?? null,
      undelivered: isKnown ? Math.max((this.events ?? 0) - (this.delivered ?? 0), 0) : null,
    };
  }
}
