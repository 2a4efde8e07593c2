/**
 * One observer of the whole actor system (XState's `inspect`): it turns events between actors into log lines, progress
 * and timings. The machines know nothing of it, and it never sends an event or changes anything.
 *
 * At level info a partition costs one line; a retry, a restage and a failure one each, and failures that repeat
 * themselves are said now and then. At debug one sees the partition's way step by step, under one `correlation_id`.
 */
import type { InspectionEvent } from 'xstate';
import { SUPERVISOR_ID } from '../machines/actor-ids.ts';
import { THREAD_WAIT } from '../machines/dispatch.ts';
import { type Failure, toFailure } from '../machines/errors.ts';
import type {
  CommitFacts,
  EraEvent,
  EraSpec,
  EraSummary,
  Job,
  LedgerRange,
  SupervisorEvent,
  WorkerEvent,
} from '../machines/protocol.ts';
import { EraProgress } from './era-progress.ts';
import { failureFields, traceOf } from './failure-fields.ts';
import type { Logger } from './log.ts';
import { Seldom } from './seldom.ts';

/** A partition from its dispatch to its commit. */
interface Tracked {
  readonly range: LedgerRange;
  readonly correlationId: string;
  readonly dispatchedAt: number;
  ticket: number;
  workerId: string;
  /** The one under way, from 1. */
  attempt: number;
  attemptAt: number;
  /** Where the last error of its worker was thrown. */
  trace: string;
}

/** An era, with what is needed to tell of it. */
interface Watched {
  readonly progress: EraProgress;
  readonly log: Logger;
  readonly seldom: Seldom;
  readonly tracked: Map<number, Tracked>;
  /** The present job of each worker. */
  readonly jobs: Map<string, Tracked>;
  /** What the sequencer works on. */
  inHand: LedgerRange | null;
  isCopying: boolean;
  /** Missing in the lake although later ones are there. */
  holeAt: number | null;
  /** The last failure of a step, so that it is not logged for ever. */
  complaint: string | null;
}

type Seen = EraEvent | SupervisorEvent | WorkerEvent;

interface ErrorEvent {
  readonly type: string;
  readonly error: unknown;
}

interface Snapshot {
  readonly value?: unknown;
  readonly context?: {
    readonly waits?: Readonly<Record<string, string>>;
    readonly frontier?: number;
    readonly available?: number;
    readonly holeAt?: number | null;
    readonly spec?: EraSpec;
    readonly eras?: Readonly<Record<string, { readonly summary: EraSummary | null }>>;
  };
}

const text = (range: LedgerRange): { ledger_start: number; ledger_end: number } => ({
  ledger_start: range.start,
  ledger_end: range.end,
});

/** `worker:pre_p23:2` → `2` */
const numberOf = (workerId: string): string => workerId.slice(workerId.lastIndexOf(':') + 1);

/** `0.sequencer.publishing.writing`, an effect, → `publishing`; of an era the innermost state says more. */
function stepOf(child: string): string {
  const path = child.split('.').slice(2);
  return (path[0] === 'recovering' || path[0] === 'planning' ? path.at(-1) : path[0]) ?? child;
}

export class Observer {
  /** By era_id. */
  readonly eras: ReadonlyMap<string, EraProgress>;
  readonly #eras = new Map<string, Watched>();
  readonly #now: () => number;

  /** `now` in ms, monotonic. */
  constructor(specs: readonly EraSpec[], log: Logger, now: () => number = () => performance.now()) {
    this.#now = now;
    for (const spec of specs) {
      const { eraId, versionLabel, network } = spec;
      this.#eras.set(eraId, {
        progress: new EraProgress(spec, now()),
        log: log.child({ era_id: eraId, version_label: versionLabel, network }),
        seldom: new Seldom(),
        tracked: new Map(),
        jobs: new Map(),
        inHand: null,
        isCopying: false,
        holeAt: null,
        complaint: null,
      });
    }
    this.eras = new Map([...this.#eras].map(([eraId, { progress }]) => [eraId, progress]));
  }

  /** For `createActor(…, { inspect })`. */
  readonly inspect = (event: InspectionEvent): void => {
    const id = (event.actorRef as { id?: string }).id ?? '';
    if (event.type === '@xstate.snapshot') this.#readSnapshot(id, event.snapshot as Snapshot);
    else if (event.type === '@xstate.event') this.#see(event.event as unknown as Seen, id);
  };

  /** What no event says: where an era is, what it waits for, how it ended. */
  #readSnapshot(id: string, { value, context }: Snapshot): void {
    if (id === SUPERVISOR_ID) {
      for (const [eraId, { summary }] of Object.entries(context?.eras ?? {})) {
        const era = this.#eras.get(eraId);
        if (summary && era && era.progress.outcome === null) this.#end(era, summary);
      }
      return;
    }
    const era = id.startsWith('era:') ? this.#eras.get(id.slice('era:'.length)) : undefined;
    if (!era || !context || era.progress.outcome !== null) return;
    const { progress } = era;
    const state = typeof value === 'string' ? value : (Object.keys(value ?? {})[0] ?? progress.state);
    if (state === 'recovering' && progress.state !== state) {
      progress.startAfresh(this.#now());
      era.jobs.clear();
      era.inHand = null;
    }
    progress.state = state;
    era.holeAt = context.holeAt ?? null;
    progress.nextLedger = Math.max(progress.nextLedger, context.frontier ?? 0);
    if (context.spec?.grid.ledgerEnd === null && context.available) progress.available = context.available;
    if (context.waits && context.waits !== progress.waits) this.#takeWaits(era, context.waits);
    if (state === 'copying' && !era.isCopying) {
      era.isCopying = true;
      era.log.info({ component: 'era', next_ledger: progress.nextLedger }, 'era started');
    }
  }

  #see(event: Seen, target: string): void {
    const [kind = '', eraId = ''] = target.split(':');
    if (event.type === 'era.crashed') {
      const era = this.#eras.get(event.eraId);
      const { failure } = event.summary;
      era?.log.error({ component: 'era', ...(failure ? failureFields(failure) : {}) }, 'era crashed');
      return;
    }
    const era = this.#eras.get(eraId);
    if (!era) return;
    switch (event.type) {
      case 'partition.assigned':
        this.#dispatch(era, target, event.job);
        return;
      case 'build.queued':
      case 'build.started': {
        const job = era.jobs.get(target);
        if (job?.ticket !== event.ticket) return;
        job.attemptAt = this.#now();
        era.log.debug(
          { component: kind, ...this.#of(job) },
          event.type === 'build.queued' ? 'build queued' : 'build started',
        );
        return;
      }
      case 'worker.progressed':
        era.progress.read(event.range.start, event, this.#now());
        return;
      case 'worker.released': {
        const job = era.jobs.get(event.workerId);
        if (!job) return;
        era.progress.read(job.range.start, null, this.#now());
        era.log.debug({ component: 'worker', ...this.#of(job) }, 'build cancelled');
        return;
      }
      case 'partition.staged': {
        if (kind !== 'era') return;
        const { range, data } = event.staged;
        const fields = {
          component: 'worker',
          ...this.#at(era, range),
          ...this.#took(era, range),
          bytes: data.byteSize,
        };
        era.log.debug(fields, 'partition staged');
        return;
      }
      case 'attempt.failed':
        this.#failAttempt(era, event.range, event.failure);
        return;
      case 'sequencer.progressed':
        era.inHand = event.range;
        if (event.step === 'still at it') return;
        era.log.debug({ component: 'sequencer', ...this.#at(era, event.range) }, event.step);
        return;
      case 'partition.committed':
        this.#commit(era, event.facts);
        return;
      case 'restage.requested':
        this.#warn(
          era,
          { component: 'sequencer', ...this.#at(era, event.range) },
          'what was staged has vanished: building it again',
        );
        return;
      case 'partition.failed':
      case 'sequencer.failed': {
        era.progress.refused ??= { range: event.range, failure: event.failure };
        const isWorker = event.type === 'partition.failed';
        const fields = {
          component: isWorker ? 'worker' : 'sequencer',
          ...this.#at(era, event.range),
          ...(isWorker ? this.#took(era, event.range) : {}),
          ...failureFields(event.failure),
        };
        const trace = era.tracked.get(event.range.start)?.trace ?? '';
        era.log.error({ ...fields, ...this.#trace(era, event.failure, trace) }, 'partition failed');
        era.progress.read(event.range.start, null, this.#now());
        return;
      }
      case 'wait.declared': {
        const job = era.jobs.get(event.actorId);
        // `build queued` has said it.
        if (job && event.reason === THREAD_WAIT) return;
        const where = job
          ? this.#of(job)
          : event.actorId.startsWith('sequencer:') && era.inHand
            ? this.#at(era, era.inHand)
            : {};
        const [component] = event.actorId.split(':');
        era.log.debug({ component, ...where, waiting: event.actorId }, event.reason);
        return;
      }
      case 'hole.overdue':
        era.log.warn(
          { component: 'era', ledger: era.holeAt },
          `ledger ${era.holeAt} has been missing in the lake for more than ten minutes although later ones are there`,
        );
        return;
      default:
        if (event.type.startsWith('xstate.error.actor.')) this.#seeError(era, target, event as unknown as ErrorEvent);
    }
  }

  #dispatch(era: Watched, workerId: string, { range, ticket, correlationId }: Job): void {
    const now = this.#now();
    // The clock of the rates begins with the first one.
    if (!era.progress.building.has(range.start)) era.progress.read(range.start, { ledgers: 0, rawBytes: 0 }, now);
    const known = era.tracked.get(range.start);
    const job: Tracked = {
      range,
      correlationId,
      dispatchedAt: known?.dispatchedAt ?? now,
      ticket,
      workerId,
      attempt: (known?.attempt ?? 0) + 1,
      attemptAt: now,
      trace: '',
    };
    era.tracked.set(range.start, job);
    era.jobs.set(workerId, job);
    era.log.debug({ component: 'worker', ...this.#of(job) }, 'partition dispatched');
  }

  #failAttempt(era: Watched, range: LedgerRange, failure: Failure): void {
    era.progress.retries += 1;
    era.progress.read(range.start, null, this.#now());
    const job = era.tracked.get(range.start);
    const fields = {
      component: 'worker',
      ...this.#at(era, range),
      ...this.#took(era, range),
      ...failureFields(failure),
      ...this.#trace(era, failure, job?.trace ?? ''),
    };
    this.#warn(era, fields, 'attempt failed', failure.code);
    if (!job) return;
    job.attempt += 1;
    job.attemptAt = this.#now();
  }

  /** An effect of the era or its sequencer failed, or a child crashed. What workers do is told by `attempt.failed`. */
  #seeError(era: Watched, target: string, { type, error }: ErrorEvent): void {
    const [component] = target.split(':');
    const child = type.slice('xstate.error.actor.'.length);
    if (/^(?:worker|sequencer|courier):/.test(child)) {
      const job = era.jobs.get(child);
      const fields = { component, ...(job ? this.#of(job) : {}), actor: child, error: toFailure(error).message };
      era.log.error({ ...fields, trace: traceOf(error) }, 'an actor crashed');
      return;
    }
    if (component === 'worker') {
      const job = era.jobs.get(target);
      if (job) job.trace = traceOf(error);
      return;
    }
    const failure = toFailure(error);
    // A lake whose head cannot be looked at is asked again and again: it is said once, until something changes.
    const complaint = `${child} ${failure.code}`;
    if (complaint === era.complaint) return;
    era.complaint = complaint;
    const fields = {
      component,
      ...(component === 'sequencer' && era.inHand ? this.#at(era, era.inHand) : {}),
      step: stepOf(child),
      ...failureFields(failure),
      ...this.#trace(era, failure, traceOf(error)),
    };
    // What ends the era is said by the era itself, right after it.
    if (component === 'era' && !failure.retryable) era.log.debug(fields, 'a step failed');
    else this.#warn(era, fields, 'a step failed', failure.code);
  }

  #commit(era: Watched, facts: CommitFacts): void {
    const now = this.#now();
    const known = era.tracked.get(facts.range.start);
    era.tracked.delete(facts.range.start);
    era.complaint = null;
    era.inHand = null;
    era.progress.commit(facts, known !== undefined, now);
    const fields = {
      component: 'sequencer',
      ...(known ? { correlation_id: known.correlationId, duration_ms: Math.round(now - known.dispatchedAt) } : {}),
      ...text(facts.range),
      bytes: facts.bronzeBytes,
      ...(known && known.attempt > 1 ? { attempt: known.attempt } : {}),
    };
    era.log.info(fields, facts.alreadyThere ? 'partition was there already' : 'partition committed');
  }

  #end(era: Watched, summary: EraSummary): void {
    const { outcome, nextLedger, failure } = summary;
    era.progress.end(summary, this.#now());
    const fields = { component: 'era', next_ledger: nextLedger };
    if (!failure) {
      era.log.info(fields, `era ${outcome}`);
      return;
    }
    const { start, end } = failure;
    const range = start === undefined || end === undefined ? {} : text({ start, end });
    era.log.error({ ...fields, ...range, ...failureFields(failure) }, 'era failed');
  }

  #takeWaits(era: Watched, waits: Readonly<Record<string, string>>): void {
    // Its actors announce their waits by events. For its own waits there is no event, so they are logged here.
    if (waits.era !== undefined && waits.era !== era.progress.waits.era) {
      era.log.debug({ component: 'era', waiting: `era:${era.progress.eraId}` }, waits.era);
    }
    era.progress.takeWaits(waits, this.#now());
  }

  /** Said now and then where it repeats itself; at debug always. */
  #warn(era: Watched, fields: Record<string, unknown>, message: string, kind = ''): void {
    const leftOut = era.seldom.ask(`${message} ${kind}`, this.#now());
    if (leftOut === null) era.log.debug(fields, message);
    else era.log.warn({ ...fields, ...(leftOut > 0 ? { left_out: leftOut } : {}) }, message);
  }

  #of(job: Tracked) {
    const { correlationId, workerId, attempt, range } = job;
    return { correlation_id: correlationId, worker_id: numberOf(workerId), attempt, ...text(range) };
  }

  /** A partition, with what is known of it. */
  #at(era: Watched, range: LedgerRange) {
    const known = era.tracked.get(range.start);
    return { ...(known ? { correlation_id: known.correlationId } : {}), ...text(range) };
  }

  /** By whom it is built, and for how long. */
  #took(era: Watched, range: LedgerRange) {
    const job = era.tracked.get(range.start);
    if (!job) return {};
    const { workerId, attempt, attemptAt } = job;
    return { worker_id: numberOf(workerId), attempt, duration_ms: Math.round(this.#now() - attemptAt) };
  }

  /** Where it was thrown: of a bug always, of what may happen only for those who look closely. */
  #trace(era: Watched, { code }: Failure, trace: string): { trace?: string } {
    return trace !== '' && (code === 'INTERNAL' || era.log.isLevelEnabled('debug')) ? { trace } : {};
  }
}
