/**
 * The metrics of a run, from what passes between its actors (XState's `inspect`), from what threads count while they
 * read the lake, and from what running eras know. Counters move as events pass; gauges are read from the last snapshots
 * when somebody asks. It sends no event, throws nothing into the actors, and keeps nothing that grows with the number
 * of partitions.
 *
 * What inspection shows of an effect (XState 5.33): an invoked promise is announced by `@xstate.actor`, with the effect's
 * name as `src` of the actor; its end comes as the event `xstate.done.actor.<id>` or `xstate.error.actor.<id>` to its
 * parent, with the promise as source, and before the parent has taken it: a parent that is busy takes it later. What the
 * parent made of it stands in its snapshot that names that event. Of an effect that was stopped neither comes; of a
 * machine that threw no snapshot does.
 */

import type { AnyActorRef, InspectionEvent } from 'xstate';
import type { ChainName } from '../../actors/bronze/names.ts';
import type { RunningEra } from '../../actors/effects/running-era.ts';
import type { SourceSpec } from '../../actors/ports/source.ts';
import type { StoreSpec } from '../../actors/ports/store.ts';
import type { QueueReadings } from '../../actors/queue/readings.ts';
import type { ReadCounts } from '../../actors/source/meter.ts';
import type { EffectName } from '../../machines/effects.ts';
import { type Failure, toFailure } from '../../machines/errors.ts';
import type {
  CommitFacts,
  EraEvent,
  EraFacts,
  EraSpec,
  LakeHead,
  SupervisorEvent,
  WorkerEvent,
} from '../../machines/protocol.ts';
import { lostLines } from '../streams.ts';
import type { Watcher } from '../watcher.ts';
import { Ask } from './ask.ts';
import { blameFor, EFFECTS, isEffect, SOURCE_REQUEST } from './blame.ts';
import type { MetricName } from './definitions.ts';
import { Disk } from './disks.ts';
import { EraWatch, type SeenSnapshot } from './era-watch.ts';
import { Gauges, statePath } from './gauges.ts';
import { openRegistry, type Metrics as Registered } from './registry.ts';

/** What is told of the queue of remote workers. */
export interface WatchedQueue {
  readonly readings: () => Promise<QueueReadings>;
  /** Tasks that were taken from a silent worker so far. */
  readonly stalled: () => number;
}

export interface MetricsOptions {
  readonly specs: readonly EraSpec[];
  readonly running: ReadonlyMap<string, Pick<RunningEra, 'readings'>>;
  readonly sourceSpec: SourceSpec;
  readonly storeSpec: StoreSpec;
  /** Absolute path of the folder of checkpoints. */
  readonly stateDir: string;
  /** What /health says of an era. */
  readonly isHealthy: (eraId: string) => boolean;
  /** Told once of the first bug in here, which must not reach the actors. */
  readonly onProblem: (error: unknown) => void;
  /** Null where no remote workers build. */
  readonly queue?: WatchedQueue | null;
  /** Ms, monotonic. */
  readonly now?: () => number;
  /** Unix time, ms. */
  readonly wallClock?: () => number;
}

/** Metrics of a run that has not begun. Loads prom-client. */
export async function openMetrics(options: MetricsOptions): Promise<Metrics> {
  const { specs, running, storeSpec, stateDir, isHealthy, now = () => performance.now() } = options;
  const eras = new Map(specs.map((spec) => [spec.eraId, new EraWatch(spec, now())]));
  const disks = {
    ...(storeSpec.backend === 'local' ? { bronze: new Disk(storeSpec.root) } : {}),
    state: new Disk(stateDir),
  };
  const queue = options.queue ? new Ask(options.queue.readings) : null;
  const gauges = new Gauges({ eras, running, disks, queue, isHealthy, now });
  const reads = () => [...eras.values()];
  return new Metrics({ ...options, now }, eras, gauges, await openRegistry({ gauges: gauges.fills(), reads }));
}

interface SeenRef {
  readonly id: string;
  readonly sessionId: string;
  readonly src: unknown;
}

type Seen = EraEvent | SupervisorEvent | WorkerEvent;

/** States in which what failed is tried again, after a pause. */
const TRIED_AGAIN = new Set(['backingOff', 'waitingForCatalog', 'waitingForDelivery', 'sleeping']);

/** What makes an era stop at a partition. */
const STOPS = /^(?:partition\.failed|sequencer\.failed|restage\.requested|xstate\.error\.actor\.worker:)/;

export class Metrics implements Watcher {
  readonly #options: MetricsOptions & { readonly now: () => number };
  readonly #eras: ReadonlyMap<string, EraWatch>;
  readonly #gauges: Gauges;
  readonly #registered: Registered;
  /** When the effects began whose time is of interest, ms. */
  readonly #began = new WeakMap<object, number>();
  /** The last failed effect of each actor: what it made of it is not known yet, and it may report it later. */
  readonly #failed = new WeakMap<
    object,
    { readonly type: string; readonly effect: EffectName; readonly failure: Failure }
  >();
  /** Lines, and tasks of silent workers, that are counted already. */
  #lost = 0;
  #stalled = 0;
  #hasProblem = false;

  constructor(
    options: MetricsOptions & { readonly now: () => number },
    eras: ReadonlyMap<string, EraWatch>,
    gauges: Gauges,
    registered: Registered,
  ) {
    this.#options = options;
    this.#eras = eras;
    this.#gauges = gauges;
    this.#registered = registered;
    this.#setToZero();
  }

  /** For `Content-Type`. */
  get contentType(): string {
    return this.#registered.registry.contentType;
  }

  /** Everything in the text form of Prometheus. Takes a second where a disk or the queue does not answer. */
  text(): Promise<string> {
    const lost = lostLines();
    this.#registered.counters.log_lines_lost_total.inc(lost - this.#lost);
    this.#lost = lost;
    const stalled = this.#options.queue?.stalled() ?? 0;
    this.#registered.counters.queue_stalled_total.inc(stalled - this.#stalled);
    this.#stalled = stalled;
    return this.#registered.registry.metrics();
  }

  async close(): Promise<void> {
    this.#registered.registry.clear();
  }

  /** What a thread has read from a lake since it last said so; for the pool's `onReads`. */
  readonly addReads = ({ eraId, network }: ChainName, reads: ReadCounts): void => {
    const era = this.#eras.get(eraId);
    if (!era) return;
    era.addReads(reads);
    const { source_bytes_total, retry_attempts_total } = this.#registered.counters;
    source_bytes_total.inc({ ...era.labels }, reads.bytes);
    if (reads.retries > 0) retry_attempts_total.inc({ network, operation: SOURCE_REQUEST }, reads.retries);
  };

  /** What somebody has seen of a lake's head. */
  noteHead(eraId: string, head: number): void {
    const era = this.#eras.get(eraId);
    if (era) era.head = Math.max(era.head ?? 0, head);
  }

  /** First ledger of an era that is not committed, as far as it is known. */
  frontierOf(eraId: string): number {
    const era = this.#eras.get(eraId);
    return (era?.lastCommitted() ?? (era?.spec.grid.ledgerStart ?? 1) - 1) + 1;
  }

  readonly inspect = (event: InspectionEvent): void => {
    try {
      this.#inspect(event);
    } catch (error) {
      if (!this.#hasProblem) this.#options.onProblem(error);
      this.#hasProblem = true;
    }
  };

  #inspect(event: InspectionEvent): void {
    const ref = event.actorRef as AnyActorRef & SeenRef;
    if (event.type === '@xstate.actor') {
      this.#begin(ref);
    } else if (event.type === '@xstate.event') {
      this.#see(event.event as Seen, ref, event.sourceRef as (AnyActorRef & SeenRef) | undefined);
    } else if (event.type === '@xstate.snapshot') {
      const snapshot = event.snapshot as unknown as SeenSnapshot & { readonly machine?: unknown };
      if (event.rootId === ref.sessionId) this.#gauges.seeSupervisor(snapshot);
      else if (snapshot.machine !== undefined) this.#seeSnapshot(ref, event.event.type, snapshot);
    }
  }

  #begin(ref: AnyActorRef & SeenRef): void {
    if (ref.src === 'buildPartition' || ref.src === 'stagePartition') this.#began.set(ref, this.#options.now());
    else if (ref.src === 'era') this.#eras.get(nameOf(ref.id).eraId)?.begin(ref);
  }

  #seeSnapshot(ref: SeenRef, eventType: string, snapshot: SeenSnapshot): void {
    const { kind, eraId } = nameOf(ref.id);
    const era = this.#eras.get(eraId);
    if (!era) return;
    const failed = this.#failed.get(ref);
    if (failed?.type === eventType && isTriedAgain(kind, snapshot)) this.#countRetry(era, failed.effect);
    if (kind !== 'era') this.#gauges.see(ref, kind, eraId, snapshot);
    else if (era.isPresent(ref)) this.#seeEra(era, eventType, snapshot);
  }

  #seeEra(era: EraWatch, eventType: string, snapshot: SeenSnapshot): void {
    const before = era.failure;
    const context = era.see(snapshot);
    const { counters } = this.#registered;
    const found = era.takeFound(context);
    if (found > 0) counters.partitions_skipped_total.inc({ ...era.labels }, found);
    // Every snapshot of one failure holds the same object.
    const failure = context.failure === before ? null : context.failure;
    if (failure === null) {
      if (eventType === 'restage.requested') this.#countRetry(era, 'publishPartition');
    } else if (STOPS.test(eventType)) {
      counters.partitions_failed_total.inc({ ...era.labels, error_type: failure.code });
    } else if (eventType.startsWith(DONE)) {
      // What the survey found cannot be gone on from: no effect has failed.
      this.#countError(era, failure, 'surveyChain');
    }
  }

  #see(event: Seen, ref: SeenRef, source: (AnyActorRef & SeenRef) | undefined): void {
    if (event.type === 'stall.detected') {
      const era = this.#eras.get(event.eraId);
      if (era) this.#registered.counters.circuit_breaker_trips_total.inc({ ...era.labels });
      return;
    }
    const { kind, eraId } = nameOf(ref.id);
    const era = this.#eras.get(eraId);
    if (source && event.type.startsWith(FAILED)) {
      this.#seeError(event as unknown as ErrorEvent, ref, source, era);
      return;
    }
    if (!era) return;
    const now = this.#options.now();
    switch (event.type) {
      case 'build.started':
        era.started.set(ref.id, now);
        return;
      case 'partition.assigned':
        era.reported.set(ref.id, 0);
        return;
      case 'attempt.failed':
        era.reported.set(event.workerId, 0);
        return;
      case 'worker.progressed':
        era.progressed(event.workerId, event.ledgers, now);
        return;
      case 'partition.staged':
        // The era passes it on, with no word of the worker.
        if (kind === 'era') era.progressed(event.workerId, event.staged.data.rowCount, now);
        return;
      case 'sequencer.progressed':
        if (event.step === 'publishing') era.publishing = { start: event.range.start, at: now };
        return;
      case 'partition.committed':
        this.#commit(era, event.facts, now);
        return;
      case 'sequencer.failed':
        // A link between partitions that the sequencer has found broken: no effect has failed.
        if (source && !isSame(this.#failed.get(source)?.failure, event.failure)) {
          this.#countError(era, event.failure, 'publishPartition');
        }
        return;
      default:
        if (source && isEffect(source.src) && event.type.startsWith(DONE)) this.#seeDone(era, source, ref, event, now);
    }
  }

  #seeDone(era: EraWatch, source: SeenRef, parent: SeenRef, event: object, now: number): void {
    const { histograms, counters } = this.#registered;
    const { output } = event as { readonly output: unknown };
    const began = this.#began.get(source) ?? now;
    switch (source.src) {
      case 'buildPartition': {
        // Not the time in which it waited for a thread.
        const from = Math.max(began, era.started.get(parent.id) ?? began);
        histograms.partition_build_duration_seconds.observe({ ...era.labels }, (now - from) / 1000);
        return;
      }
      case 'stagePartition':
        histograms.partition_upload_duration_seconds.observe({ ...era.labels }, (now - began) / 1000);
        return;
      case 'attestPartition':
        if ((output as { attested: boolean } | undefined)?.attested)
          counters.pas_events_emitted_total.inc({ ...era.labels });
        return;
      case 'surveyChain':
        era.facts = output as EraFacts;
        return;
      case 'findHead':
        era.head = (output as LakeHead).head ?? era.head;
    }
  }

  #seeError({ type, error }: ErrorEvent, parent: SeenRef, source: SeenRef, era: EraWatch | undefined): void {
    if (!isEffect(source.src)) {
      // A machine that threw.
      this.#gauges.forget(source);
      const { kind, eraId } = nameOf(source.id);
      const lost = kind === 'era' ? this.#eras.get(eraId) : undefined;
      if (lost?.isPresent(source)) lost.lose();
      return;
    }
    if (!era) return;
    const failure = toFailure(error);
    this.#failed.set(parent, { type, effect: source.src, failure });
    this.#countError(era, failure, source.src);
  }

  #commit(era: EraWatch, facts: CommitFacts, now: number): void {
    const { counters, histograms } = this.#registered;
    const labels = { ...era.labels };
    const { publishing } = era;
    era.publishing = null;
    era.committedAt = (this.#options.wallClock?.() ?? Date.now()) / 1000;
    if (facts.alreadyThere) {
      if (!era.isOwn(facts.range)) counters.partitions_skipped_total.inc(labels);
      return;
    }
    counters.partitions_processed_total.inc(labels);
    counters.ledgers_processed_total.inc(labels, facts.rows);
    counters.bronze_bytes_total.inc(labels, facts.bronzeBytes);
    histograms.partition_rows.observe(labels, facts.rows);
    histograms.partition_bytes.observe(labels, facts.bronzeBytes);
    if (publishing?.start === facts.range.start) {
      histograms.partition_commit_duration_seconds.observe(labels, (now - publishing.at) / 1000);
    }
  }

  #countRetry({ spec: { network } }: EraWatch, operation: EffectName): void {
    this.#registered.counters.retry_attempts_total.inc({ network, operation });
  }

  #countError({ spec: { network } }: EraWatch, { code }: Failure, effect: EffectName): void {
    const { counters } = this.#registered;
    const { sourceSpec, storeSpec } = this.#options;
    switch (blameFor(code, effect)) {
      case 'source':
        counters.source_errors_total.inc({ network, source_type: sourceType(sourceSpec) });
        return;
      case 'storage':
        counters.storage_errors_total.inc({ network, backend: storeSpec.backend });
        return;
      case 'metadata':
        counters.metadata_errors_total.inc({ network });
        return;
      case 'pas':
        counters.pas_errors_total.inc({ network });
    }
  }

  /** A counter that appears with its first event has no increase for Prometheus: all but the codes of failures are there at once. */
  #setToZero(): void {
    const { counters, histograms } = this.#registered;
    const { sourceSpec, storeSpec } = this.#options;
    for (const { labels, spec } of this.#eras.values()) {
      for (const name of ERA_COUNTERS) counters[name].inc({ ...labels }, 0);
      for (const histogram of Object.values(histograms)) histogram.zero({ ...labels });
      const { network } = spec;
      counters.pas_errors_total.inc({ network }, 0);
      counters.metadata_errors_total.inc({ network }, 0);
      counters.source_errors_total.inc({ network, source_type: sourceType(sourceSpec) }, 0);
      counters.storage_errors_total.inc({ network, backend: storeSpec.backend }, 0);
      for (const operation of [...EFFECTS, SOURCE_REQUEST])
        counters.retry_attempts_total.inc({ network, operation }, 0);
    }
  }
}

interface ErrorEvent {
  readonly type: string;
  readonly error: unknown;
}

const DONE = 'xstate.done.actor.';
const FAILED = 'xstate.error.actor.';

const ERA_COUNTERS = [
  'ledgers_processed_total',
  'partitions_processed_total',
  'partitions_skipped_total',
  'pas_events_emitted_total',
  'source_bytes_total',
  'bronze_bytes_total',
  'circuit_breaker_trips_total',
] as const satisfies readonly MetricName<'counter'>[];

/** `worker:pre_p23:2` */
function nameOf(id: string): { readonly kind: string; readonly eraId: string } {
  const [kind = '', eraId = ''] = id.split(':');
  return { kind, eraId };
}

const sourceType = (spec: SourceSpec): string => (spec.mode === 'local' ? 'local' : spec.address.protocol);

const isSame = (a: Failure | undefined, b: Failure): boolean => a?.code === b.code && a.message === b.message;

/** Whether an actor whose effect has just failed will try it again. A courier tries all of it again, unless it is to end. */
function isTriedAgain(kind: string, { value, status, context }: SeenSnapshot): boolean {
  if (kind !== 'courier') return TRIED_AGAIN.has(statePath(value).split('.').at(-1) ?? '');
  return status === 'active' && value !== 'failed' && !(context as { readonly draining: boolean }).draining;
}
