/**
 * What one era needs while it runs: its lock, its place in the store, its lake, its state. The effects of its machines
 * are methods here; each is a call into actors/, and none of them decides anything.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { attestPartition, type ChainPlace, placeInChain } from '../actors/audit/chain.ts';
import { restoreCopies } from '../actors/audit/copies.ts';
import { countUndelivered, deliverEvents } from '../actors/audit/deliver.ts';
import { eventId } from '../actors/audit/event.ts';
import { type BackupFolder, OLD_EVENTS } from '../actors/audit/old-chain.ts';
import { bothDone } from '../actors/bounded.ts';
import type { BuildAnswer, BuildTask, CheckSpec, CompressionSpec, Progress } from '../actors/build/spec.ts';
import { CatalogRecorder, committedIn } from '../actors/catalog/recorder.ts';
import { type Adoption, adoptionText, findAdoption } from '../actors/commit/adoption.ts';
import { recordedPrefix } from '../actors/commit/bronze-file.ts';
import {
  assertOnGrid,
  type BronzeFacts,
  expectBronze,
  openBronze,
  rangesFound,
  restoreBronze,
} from '../actors/commit/bronze-json.ts';
import { sealingTime } from '../actors/commit/clock.ts';
import type { MemoryPlace } from '../actors/commit/memories.ts';
import { checkNeighbours, type Neighbour } from '../actors/commit/neighbours.ts';
import { refuseOverlap } from '../actors/commit/overlaps.ts';
import type { CommitPlace } from '../actors/commit/place.ts';
import { publishPartition } from '../actors/commit/publish.ts';
import { resealPartition } from '../actors/commit/reseal.ts';
import { sealPartition } from '../actors/commit/seal.ts';
import { surveyChain } from '../actors/commit/survey.ts';
import { verifySealed } from '../actors/commit/verify-sealed.ts';
import { type FileOps, fileError } from '../actors/files.ts';
import { type ChainName, chainPrefix, dataKey } from '../actors/paths.ts';
import type {
  AuditEndpoint,
  BronzeStore,
  Catalog,
  ChainLock,
  CheckpointStore,
  Delivered,
  DeliveryPointer,
  LakeLayout,
  LakeSource,
  SourceSpec,
  StagingSpec,
  StoreSpec,
} from '../actors/ports.ts';
import { type Committed, committedEnds, compareLake } from '../actors/source/compare-lake.ts';
import { openLakeFor } from '../actors/source/open-lake.ts';
import { acquireLock, type LockOptions } from '../actors/state/lock.ts';
import type { ThreadPool } from '../actors/threads/pool.ts';
import { BronzeError, type Failure, toFailure } from '../machines/errors.ts';
import type {
  Effects,
  EraFacts,
  LakeCompared,
  LedgerRange,
  Mode,
  Pending,
  Recovered,
  StagedPartition,
} from '../machines/protocol.ts';
import { assess } from '../machines/recovery.ts';
import type { Logger } from './log.ts';
import { newNames } from './new-names.ts';
import { PRODUCER } from './version.ts';

/** How long a cancelled effect may take to end before the era is closed without it, ms. */
const CLOSE_PATIENCE_MS = 10_000;
/** Rows that are written beside the copying go out no closer together than this, ms: many cost as much as one. */
const WRITE_BEHIND_MS = 500;
/** How long the catalog is asked, at the end, for what it has not got, ms; without an answer all is counted that may be missing. */
const COUNT_PATIENCE_MS = 15_000;

type Input<K extends keyof Effects> = Effects[K]['input'];
type Output<K extends keyof Effects> = Promise<Effects[K]['output']>;

/** Everything that is fixed for an era before it starts. */
export interface EraSetup {
  readonly chain: ChainName;
  readonly table: string;
  readonly copierId: string;
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
  readonly neighbours: readonly Neighbour[];
  /** How far ahead an era without an end looks for ledgers at once. */
  readonly ledgersAhead: number;
  readonly compression: CompressionSpec;
  readonly checks: CheckSpec;
  /** Null where no copies of events are written. */
  readonly backup: BackupFolder | null;
  /** Where the old program's events are, if it wrote any: they are read when an estate of it is adopted. */
  readonly oldEvents: BackupFolder;
  /** Where something may be remembered of the chain, whatever is switched on. */
  readonly memories: MemoryPlace;
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
  readonly delivery: { readonly endpoint: AuditEndpoint; readonly pointer: DeliveryPointer } | null;
  readonly pool: Pick<ThreadPool, 'run'>;
  readonly log: Logger;
  /** File operations for the lock; the real ones where a test gives none. */
  readonly files?: FileOps;
}

type ReadBackReport = (event: 'effect.queued' | 'effect.started' | 'effect.progressed') => void;

export interface BuildListener {
  readonly onQueued: (reason?: string) => void;
  readonly onStarted: () => void;
  readonly onProgress: (progress: Progress) => void;
}

/** What is known without asking anybody; null = not known, or there is nobody to whom it would matter. */
export interface Readings {
  /** Committed partitions without a row in the catalog. */
  readonly pendingRows: number | null;
  /** Events that the endpoint has not acknowledged. */
  readonly undelivered: number | null;
}

/** One era of one process. Methods throw BronzeError. */
export class EraSession {
  readonly #setup: EraSetup;
  readonly #place: ChainPlace & { readonly backup: BackupFolder | null };
  readonly #log: Logger;
  /** Builds that were asked for and the opening of the chain, as long as they have not settled; cancelled ones as well. */
  readonly #underWay = new Set<Promise<unknown>>();
  #locking: Promise<ChainLock> | null = null;
  /** What ends the present build of each worker. */
  readonly #builds = new Map<string, AbortController>();
  #lock: ChainLock | null = null;
  /** Ends what would be waited for in vain once the chain is closed. */
  #closing = new AbortController();
  #staging: StagingSpec | null = null;
  #layout: LakeLayout | null = null;
  #termsAreFixed = false;
  /** What `storage_path` of the events starts with; null before anything was attested, as far as is known. */
  #prefix: string | null = null;
  #attempts = 0;
  /** When rows were last written beside the copying, by the monotonic clock. */
  #behindSince = Number.NEGATIVE_INFINITY;
  readonly #recorder: CatalogRecorder | null;
  /** Whether anything may have been written that carries the lock's nonce. */
  #isPrepared = false;
  /** Whether it is known what was committed before. */
  #isSurveyed = false;
  /** The manifest that was sealed last, as it stands in the store: its event is derived from it. */
  #manifest: { readonly start: number; readonly bytes: Uint8Array } | null = null;
  /** Checksums of sealed partitions by their first ledger, until their event is known. */
  readonly #sealed = new Map<number, string>();
  /** Whether the lake was last found to end before what is committed. */
  #isBehind = false;
  /** Sealed partitions by their first ledger. */
  readonly #ends = new Map<number, Committed>();
  /** Events in the chain, by the sequence of the last one; null before they were looked at. */
  #events: number | null = null;
  /** How many of them were acknowledged; null before the first delivery has looked. */
  #delivered: number | null = null;

  constructor(setup: EraSetup) {
    this.#setup = setup;
    this.#log = setup.log;
    const { store, chain, table, backup } = setup;
    this.#place = { store, chain, table, backup, grid: setup.terms.grid };
    const { catalog } = setup;
    const dataset = { domain: catalog?.domain ?? '', dataset: table, chain };
    const onMoved = (rows: number): void =>
      this.#log.warn(
        { component: 'catalog', rows },
        'rows of the catalog name a place where Bronze lay before: reconcile --repair writes them again',
      );
    this.#recorder = catalog && new CatalogRecorder({ ...this.#place, catalog: catalog.catalog, dataset, onMoved });
  }

  /** Takes the lock (kept from an earlier start of this era in this process) and compares `_bronze.json`; writes nothing else. */
  openChain(signal: AbortSignal): Output<'openChain'> {
    const opening = this.#open(signal);
    // A drain may come before the lock is taken, which has to be given back all the same.
    this.#track(opening);
    return opening;
  }

  async #open(signal: AbortSignal): Output<'openChain'> {
    const { stateDir, chain, copierId, store, files } = this.#setup;
    // Asked for once, also where the era is started afresh while the first call hangs: it would meet its own lock.
    this.#locking ??= acquireLock({
      dir: stateDir,
      chain,
      copierId,
      ...(files ? { files } : {}),
      signal: this.#closing.signal,
      ...this.#lockWords(),
    });
    const lock = await this.#locking.catch((error: unknown) => {
      this.#locking = null;
      throw error;
    });
    this.#lock = lock;
    // Names the owner of whatever is staged from here on, manifests and events included.
    this.#staging = store.stagingSpec(chainPrefix(chain), lock.nonce);
    // Before anything is read from it: what is no store at all would give a page of something else for an object.
    await store.check(signal);
    this.#termsAreFixed = await expectBronze(this.#place, this.#setup.terms, signal);
    return { created: this.#termsAreFixed };
  }

  /**
   * Makes ready what is written to. Only once what is remembered was held against what is there: a mount that is absent is
   * an empty folder.
   */
  async #prepare(signal: AbortSignal): Promise<void> {
    const { chain, store } = this.#setup;
    this.#isPrepared = true;
    const lock = this.#lock;
    await store.prepare();
    // Also where nobody is known to have died here: what is older than a day may be of a machine that is gone.
    const removed = await store.sweep(chainPrefix(chain), lock?.orphaned ?? [], signal);
    if (lock !== null && lock.orphaned.length > 0) await lock.swept();
    if (removed > 0) this.#log.info({ component: 'store', removed }, 'removed what an earlier run had staged');
    if (!this.#termsAreFixed) {
      for (const notice of await newNames(this.#setup, chain)) this.#log.warn({ component: 'store' }, notice);
    }
    const conditions = await store.conditions();
    if (conditions !== null && !(conditions.create && conditions.publish)) {
      this.#log.warn(
        { component: 'store', store: store.uri, ...conditions },
        'the store does not refuse to overwrite by itself: uploads are fenced; no second copier should work on this chain',
      );
    }
    await this.#openCatalog(signal);
  }

  #lockWords(): Pick<LockOptions, 'onWatch' | 'onMark'> {
    const component = 'lock';
    return {
      onWatch: (holder, upToMs) =>
        this.#log.warn(
          { component, found: holder, wait_seconds: Math.ceil(upToMs / 1_000) },
          'the chain is locked by a process that cannot be looked up from here: its lock is watched for signs of life',
        ),
      onMark: {
        onProblem: (failures, error) => {
          if (failures === 0) this.#log.info({ component }, 'the lock is renewed again');
          else {
            const { message } = toFailure(fileError('state', 'renew the lock in', this.#setup.stateDir, error));
            this.#log.warn({ component, error: message }, 'the lock cannot be renewed; the work goes on');
          }
        },
        onRestored: () => this.#log.warn({ component }, 'somebody removed the lock of this run: it is written again'),
      },
    };
  }

  /** Strict, it has to answer now; lenient, rows wait for it. What no retry helps against ends the era in both modes. */
  async #openCatalog(signal: AbortSignal): Promise<void> {
    try {
      await this.#recorder?.prepare(signal);
    } catch (error) {
      const { retryable, code, message } = toFailure(error);
      if (!retryable || this.#setup.catalog?.mode === 'strict') throw error;
      this.#log.warn({ component: 'catalog', code, error: message }, 'the catalog cannot be reached: rows are pending');
    }
  }

  /**
   * What is durable, and, unless recovery will refuse it, what has to be there before anything is committed. `onProgress`
   * tells that it is alive: of an estate of the old program something of every file is read.
   */
  async surveyChain(signal: AbortSignal, onProgress: () => void = () => undefined): Output<'surveyChain'> {
    const { checkpoint, memories, terms, attests } = this.#setup;
    const onProblem = (problem: string, isOld: boolean): void =>
      this.#log[isOld ? 'info' : 'warn']({ component: 'checkpoint' }, problem);
    const facts = await surveyChain({ ...this.#place, checkpoint, memories, onProblem, onProgress }, signal);
    this.#prefix = facts.events.at(-1)?.storagePrefix ?? null;
    const adoption = this.#termsAreFixed ? null : await this.#findTerms(facts, signal, onProgress);
    // Where the era ends plays no part in what is committed.
    const judged = assess(facts, { ...terms.grid, ledgerEnd: null }, attests);
    this.#events = facts.events.reduce((count, { sequence }) => Math.max(count, sequence + 1), 0);
    // The era fails by the same judgement: nothing is written, and nothing is recorded.
    if ('failure' in judged) return facts;
    await this.#prepare(signal);
    if (!this.#termsAreFixed) await this.#restoreTerms(facts, adoption, signal);
    await this.#restoreCopies(facts, signal, onProgress);
    this.#noteCommitted(facts, judged.recovered);
    this.#ends.clear();
    for (const one of committedEnds(facts)) this.#ends.set(one.range.start, one);
    return facts;
  }

  async #restoreCopies({ events }: EraFacts, signal: AbortSignal, onProgress: () => void): Promise<void> {
    const { backup, store } = this.#setup;
    if (backup === null) return;
    const placeOf = placeInChain(this.#place, events.at(-1)?.sequence ?? -1, signal);
    const { written, old } = await restoreCopies(backup, store, events, signal, onProgress, placeOf);
    if (old > 0)
      this.#log.info({ component: 'audit', events: old }, `events of version 1.1 are kept in ${OLD_EVENTS}/`);
    if (written > 0) this.#log.info({ component: 'audit', written }, 'wrote copies of events that were missing');
  }

  /** What earlier runs committed. */
  #noteCommitted(facts: EraFacts, recovered: Recovered): void {
    for (const partition of committedIn(this.#setup.chain, facts, recovered)) this.#recorder?.note(partition);
    this.#isSurveyed = true;
  }

  /** What is to be adopted, where `_bronze.json` is not there; throws where what is there does not fit the configuration. */
  async #findTerms(facts: EraFacts, signal: AbortSignal, onProgress: () => void): Promise<Adoption | null> {
    const { chain, terms, oldEvents } = this.#setup;
    const adoption = await findAdoption(this.#place, oldEvents, signal, onProgress);
    assertOnGrid(chain, terms, rangesFound(facts), adoption);
    return adoption;
  }

  /** Lost, and there is Bronze that only it protects from another grid; or the partitions are the old program's. */
  async #restoreTerms(facts: EraFacts, adoption: Adoption | null, signal: AbortSignal): Promise<void> {
    const { terms } = this.#setup;
    this.#termsAreFixed = await restoreBronze(this.#place, terms, facts, adoption, signal);
    if (!this.#termsAreFixed) return;
    if (adoption === null) this.#log.warn({ component: 'store' }, '_bronze.json was missing and is written again');
    else this.#log.info({ component: 'store', ...adoption.record }, `adopting ${adoptionText(adoption)}`);
    for (const warning of adoption?.warnings ?? []) this.#log.warn({ component: 'audit' }, warning);
  }

  async openLake(signal: AbortSignal): Output<'openLake'> {
    const { source, passphrase } = this.#setup;
    const layout = await openLakeFor(source, { network: this.#setup.chain.network, passphrase }, signal);
    if (layout.networkPassphrase === null || passphrase === null) {
      this.#log.warn(
        { component: 'source', source: source.uri },
        layout.networkPassphrase === null
          ? 'the lake has no .config.json: its network was not compared'
          : 'source.network_passphrase is not set: the network of the lake was not compared',
      );
    }
    this.#layout = layout;
    return { source: source.uri };
  }

  /** What Bronze says of the edges of its partitions, held against the lake. */
  async compareLake(_: Input<'compareLake'>, signal: AbortSignal): Output<'compareLake'> {
    const { source } = this.#setup;
    const onUnreadable = ({ code, message }: Failure): void =>
      this.#log.warn({ component: 'source', code, error: message }, 'a ledger of the lake could not be compared');
    const committed = [...this.#ends.values()].sort((a, b) => a.range.start - b.range.start);
    const lake = { source, layout: this.#openedLayout(), onUnreadable };
    const compared = await compareLake(lake, committed, signal);
    this.#tellBehind(compared);
    return compared;
  }

  /** Once when it begins and once when it is over: the lake is compared whenever that changes. */
  #tellBehind({ behind }: LakeCompared): void {
    const isBehind = behind !== null;
    if (isBehind === this.#isBehind) return;
    this.#isBehind = isBehind;
    const { uri } = this.#setup.source;
    if (isBehind) {
      this.#log.warn(
        { component: 'source', source: uri, lake_head: behind.head, committed_to: this.#committedTo() },
        'the lake ends before what is committed: it was reset or cut, or is another one that is behind; nothing is copied until it has grown',
      );
    } else this.#log.info({ component: 'source', source: uri }, 'the lake reaches as far as what is committed again');
  }

  #committedTo(): number {
    let last = 0;
    for (const { range } of this.#ends.values()) last = Math.max(last, range.end);
    return last;
  }

  async findHead({ from }: Input<'findHead'>, signal: AbortSignal): Output<'findHead'> {
    this.#lock?.assertHeld();
    return this.#setup.source.head(this.#openedLayout(), from, signal, this.#setup.ledgersAhead);
  }

  /** Highest ledger in the lake at present, for those who watch; null where it is empty, or was not opened yet. */
  async lakeHead(from: number, signal: AbortSignal): Promise<number | null> {
    if (this.#layout === null) return null;
    return (await this.#setup.source.head(this.#layout, from, signal, this.#setup.ledgersAhead)).head;
  }

  /** Runs in a thread. Cancelled: settles once the thread has removed what it had written. */
  async buildPartition(
    { workerId, job, retries }: Input<'buildPartition'>,
    listener: BuildListener,
    signal: AbortSignal,
  ): Output<'buildPartition'> {
    this.#lock?.assertHeld();
    const { chain, table, sourceSpec, source, compression, checks, pool } = this.#setup;
    const task: BuildTask = {
      kind: 'build',
      chain,
      range: job.range,
      source: sourceSpec,
      layout: this.#openedLayout(),
      staging: this.#stagingSpec(),
      key: dataKey(chain, table, job.range),
      attempt: `${job.range.start}-${job.range.end}.${++this.#attempts}`,
      compression,
      checks,
    };
    // XState does not abort the effects of an actor that threw: its successor under the same id ends what is left.
    this.#builds.get(workerId)?.abort();
    const own = new AbortController();
    this.#builds.set(workerId, own);
    const either = AbortSignal.any([signal, own.signal]);
    const run = pool.run(task, { signal: either, ...listener });
    this.#track(run);
    const answer: BuildAnswer = await run;
    if (either.aborted) {
      // The answer was on its way when the cancel came: nobody will take it.
      await this.#setup.store.discard([answer.handle]);
      throw new BronzeError('CANCELLED', 'the work was cancelled');
    }
    const staged: StagedPartition = {
      ...answer,
      range: job.range,
      ticket: job.ticket,
      correlationId: job.correlationId,
      source: source.uri,
      retries,
    };
    return staged;
  }

  async stagePartition({ staged }: Input<'stagePartition'>, signal: AbortSignal): Output<'stagePartition'> {
    await this.#setup.store.stage(staged.handle, staged.data.byteSize, signal);
    return staged;
  }

  /** `report` tells how the read-back of a partition goes, which can take long. */
  async verifySealed(
    { sealed }: Input<'verifySealed'>,
    signal: AbortSignal,
    report: ReadBackReport,
  ): Output<'verifySealed'> {
    const verified = await verifySealed(this.#reading(report), sealed, signal);
    this.#sealed.set(verified.range.start, verified.data.checksum);
    return verified;
  }

  async publishPartition(
    input: Input<'publishPartition'>,
    signal: AbortSignal,
    report: ReadBackReport,
  ): Output<'publishPartition'> {
    this.#lock?.assertHeld();
    // What is published has to be sealed, and could not be.
    if (input.attested === null) sealingTime(input.staged.range);
    // Not before something is published: a first try with a wrong configuration must not fix anything.
    if (!this.#termsAreFixed) {
      await openBronze(this.#place, this.#setup.terms, signal);
      this.#termsAreFixed = true;
    }
    return publishPartition(this.#reading(report), input, signal);
  }

  async checkNeighbours(input: Input<'checkNeighbours'>, signal: AbortSignal): Output<'checkNeighbours'> {
    const { store, chain, neighbours } = this.#setup;
    return checkNeighbours({ store, chain, others: neighbours }, input, signal);
  }

  async sealPartition(
    input: Input<'sealPartition'>,
    signal: AbortSignal,
    report: ReadBackReport,
  ): Output<'sealPartition'> {
    // Two copiers of different ends that published at the same moment: whoever looks later sees the other. Both have made
    // visible what they have before they look, and neither attests before it has looked.
    const about = input.published?.range ?? input.attested?.range;
    if (about === undefined) throw new BronzeError('INTERNAL', 'a partition is to be sealed, and nothing says as what');
    const [sealed] = await bothDone(this.#seal(input, signal, report), refuseOverlap(this.#place, about, signal));
    this.#sealed.set(sealed.range.start, sealed.data.checksum);
    const { range, data, ledgers } = sealed;
    this.#ends.set(range.start, { range, ledgers });
    // Restored: it has its event already.
    if (input.attested) this.#note(range, data.checksum, input.attested.sequence);
    return sealed;
  }

  async #seal(
    { published, attested }: Input<'sealPartition'>,
    signal: AbortSignal,
    report: ReadBackReport,
  ): Output<'sealPartition'> {
    if (published !== null) {
      const keep = (bytes: Uint8Array): void => {
        this.#manifest = { start: published.range.start, bytes };
      };
      const sealer = { producer: PRODUCER, now: () => sealingTime(published.range), keep };
      return sealPartition(this.#place, sealer, { published, attested }, signal);
    }
    if (attested === null) throw new BronzeError('INTERNAL', 'a partition is to be sealed, and nothing says as what');
    const sealed = await resealPartition(
      { ...this.#reading(report), source: this.#setup.source.uri },
      attested,
      signal,
    );
    this.#log.warn({ component: 'store', ...sealed.range }, 'a manifest was missing and is written again as attested');
    return sealed;
  }

  async attestPartition(input: Input<'attestPartition'>, signal: AbortSignal): Output<'attestPartition'> {
    this.#lock?.assertHeld();
    const storagePrefix = await this.#storagePrefix(signal);
    const known = this.#manifest?.start === input.range.start ? this.#manifest.bytes : null;
    const answer = await attestPartition(this.#place, { ...input, storagePrefix }, signal, known);
    this.#events = Math.max(this.#events ?? 0, answer.sequence + 1);
    const checksum = input.expected?.data.checksum ?? this.#sealed.get(input.range.start);
    if (answer.attested && checksum !== undefined) this.#note(input.range, checksum, answer.sequence);
    return answer;
  }

  /** What `storage_path` of new events starts with: a fact of the chain, wherever it was moved since it began. */
  async #storagePrefix(signal: AbortSignal): Promise<string> {
    this.#prefix ??= (await recordedPrefix(this.#place, signal)) ?? this.#setup.store.prefix;
    return this.#prefix;
  }

  #note(range: LedgerRange, checksum: string, sequence: number): void {
    this.#recorder?.note({ range, checksum, eventId: eventId(this.#setup.chain, sequence) });
  }

  async recordPartition({ range }: Input<'recordPartition'>, signal: AbortSignal): Output<'recordPartition'> {
    const recorder = this.#catalogRecorder();
    const checksum = this.#sealed.get(range.start);
    if (!this.#setup.attests && checksum !== undefined) recorder.note({ range, checksum, eventId: null });
    // Opening a file takes longer than writing many rows: the courier writes what came together meanwhile, at once.
    if (this.#setup.catalog?.writesBehind) return { pending: true };
    return recorder.record(range, signal);
  }

  /** `onProgress` after every transaction, and below after every event: there may be thousands of them. */
  async recordPending(
    _: Input<'recordPending'>,
    signal: AbortSignal,
    onProgress?: () => void,
  ): Output<'recordPending'> {
    if (this.#setup.catalog?.writesBehind) {
      const due = this.#behindSince + WRITE_BEHIND_MS - performance.now();
      await sleep(Math.max(0, due), null, { signal });
    }
    const answer = await this.#catalogRecorder().recordMissing(signal, onProgress);
    this.#behindSince = performance.now();
    return answer;
  }

  async deliverPending(
    _: Input<'deliverPending'>,
    signal: AbortSignal,
    onProgress?: () => void,
  ): Output<'deliverPending'> {
    const { delivery, store, chain, table } = this.#setup;
    if (delivery === null) throw new BronzeError('INTERNAL', 'events are to be delivered, and there is no endpoint');
    const onProblem = (problem: string): void => this.#log.warn({ component: 'audit' }, problem);
    const note = (delivered: Delivered | null): void => {
      this.#delivered = delivered === null ? 0 : delivered.sequence + 1;
    };
    const onDelivered = (delivered: Delivered): void => {
      note(delivered);
      onProgress?.();
    };
    await deliverEvents({ store, chain, table, ...delivery, onProblem, onBegin: note, onDelivered }, signal);
    return null;
  }

  /** What is left to be recorded and delivered, from memory: no I/O. */
  readings(): Readings {
    const isKnown = this.#setup.delivery !== null && this.#events !== null && this.#delivered !== null;
    return {
      pendingRows: this.#recorder?.known ?? null,
      undelivered: isKnown ? Math.max((this.#events ?? 0) - (this.#delivered ?? 0), 0) : null,
    };
  }

  /** The quality row of a partition that was refused. It is told on, not a decision: failing at it is only logged. */
  async recordFailure(range: LedgerRange, failure: Failure): Promise<void> {
    try {
      const message = `${failure.code}: ${failure.message}`;
      await this.#recorder?.recordFailure(range, message, AbortSignal.timeout(COUNT_PATIENCE_MS));
    } catch (error) {
      this.#log.warn({ component: 'catalog', error: toFailure(error).message }, 'a failure could not be recorded');
    }
  }

  async writeCheckpoint({ range, checksum }: Input<'writeCheckpoint'>): Output<'writeCheckpoint'> {
    this.#lock?.assertHeld();
    await this.#setup.checkpoint?.write(range, checksum);
    return null;
  }

  async discardStaged({ handles }: Input<'discardStaged'>, signal: AbortSignal): Output<'discardStaged'> {
    await this.#setup.store.discard(handles, signal);
    return null;
  }

  /** Waits for what was cancelled to end, removes what this run staged, gives the lock back. */
  async closeChain(signal?: AbortSignal): Output<'closeChain'> {
    for (const build of this.#builds.values()) build.abort();
    this.#builds.clear();
    this.#closing.abort();
    this.#closing = new AbortController();
    // What hangs must not keep the process from ending: the next run takes over from a dead holder.
    const patience = new AbortController();
    const ended = Promise.allSettled(this.#underWay).finally(() => patience.abort());
    await Promise.race([ended, sleep(CLOSE_PATIENCE_MS, null, { signal: patience.signal }).catch(() => null)]);
    const lock = this.#lock;
    if (lock === null) return null;
    const { store, chain } = this.#setup;
    try {
      await store.sweep(chainPrefix(chain), [lock.nonce], signal);
    } catch (error) {
      this.#log.warn(
        { component: 'store', error: error instanceof Error ? error.message : String(error) },
        'what this run staged could not be removed; the next run does it',
      );
      // The journal keeps the nonce: releasing would lose it.
      return null;
    }
    const pending = await this.#pending();
    await lock.release(!this.#isPrepared);
    this.#lock = null;
    this.#locking = null;
    return pending;
  }

  /** Null where it cannot be told. Never throws: the lock has to be given back. */
  async #pending(): Promise<Pending | null> {
    const { delivery, store, chain, table } = this.#setup;
    if (!this.#isSurveyed) return null;
    try {
      const rows = (await this.#recorder?.pending(AbortSignal.timeout(COUNT_PATIENCE_MS))) ?? 0;
      const patience = AbortSignal.timeout(COUNT_PATIENCE_MS);
      const events = delivery && (await countUndelivered({ store, chain, table, ...delivery }, patience));
      return { rows, events: events ?? 0 };
    } catch (error) {
      this.#log.warn({ component: 'audit', error: toFailure(error).message }, 'what is undelivered cannot be counted');
      return null;
    }
  }

  /** A nonce for a new copier of this process. */
  static runId(): string {
    return randomBytes(4).toString('hex');
  }

  /** Where commits happen, with a way to read partitions back in a thread. */
  #reading(report: ReadBackReport): CommitPlace {
    const { storeSpec, checks, pool } = this.#setup;
    return {
      ...this.#place,
      checks,
      readBack: (task, signal) =>
        pool.run(
          { ...task, kind: 'readback', store: storeSpec },
          {
            onQueued: () => report('effect.queued'),
            onStarted: () => report('effect.started'),
            onProgress: () => report('effect.progressed'),
            ...(signal ? { signal } : {}),
          },
        ),
    };
  }

  #track(run: Promise<unknown>): void {
    this.#underWay.add(run);
    const settled = () => this.#underWay.delete(run);
    run.then(settled, settled);
  }

  #catalogRecorder(): CatalogRecorder {
    if (this.#recorder === null) throw new BronzeError('INTERNAL', 'a row is to be written, and there is no catalog');
    return this.#recorder;
  }

  #openedLayout(): LakeLayout {
    if (this.#layout === null) throw new BronzeError('INTERNAL', 'the lake was not opened before it was read');
    return this.#layout;
  }

  #stagingSpec(): StagingSpec {
    if (this.#staging === null) throw new BronzeError('INTERNAL', 'the lock was not taken before something was staged');
    return this.#staging;
  }
}

/** What the machines of an era are given: the methods of its session. */
export type EraEffects = Pick<EraSession, Exclude<keyof EraSession, 'recordFailure' | 'readings' | 'lakeHead'>>;
