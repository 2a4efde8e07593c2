/**
 * One observer of the whole actor system (XState's `inspect`): it turns events between actors into log lines, progress
 * and timings. The machines know nothing of it, and it never sends an event or changes anything.
 *
 * At level info a partition costs one line; a retry, a restage and a failure one each.
 */
import type { InspectionEvent } from 'xstate';
import { type Failure, toFailure } from '../machines/errors.ts';
import type { CommitFacts, EraEvent, EraSpec, Job, LedgerRange, SupervisorEvent } from '../machines/protocol.ts';
import type { Logger } from './log.ts';

/** What is known of an era while it runs. */
export interface EraProgress {
  readonly eraId: string;
  /** First ledger not committed. */
  nextLedger: number;
  ledgers: number;
  partitions: number;
  rawBytes: number;
  retries: number;
  /** Ledgers read and checked in partitions that are being built. */
  building: Map<number, number>;
  waits: Map<string, string>;
  /** Milliseconds during which at least one of its actors waited for something outside. */
  waitedMs: number;
  waitingSince: number | null;
  startedAt: number;
  endedAt: number | null;
  correlation: Map<number, { id: string; dispatchedAt: number }>;
  /** The last failure of the era's own steps, so that it is not logged for ever. */
  complaint: string | null;
  /** The partition at which the era stopped, and why; null as long as none did. */
  refused: { readonly range: LedgerRange; readonly failure: Failure } | null;
}

const text = (range: LedgerRange): { ledger_start: number; ledger_end: number } => ({
  ledger_start: range.start,
  ledger_end: range.end,
});

function failureFields(failure: Failure): Record<string, unknown> {
  // The range stands in ledger_start and ledger_end already.
  const { message, start: _start, end: _end, ...rest } = failure;
  return { error: message, ...rest };
}

type Seen = EraEvent | SupervisorEvent | { type: 'partition.assigned'; job: Job };

interface ErrorEvent {
  readonly type: string;
  readonly error: unknown;
}

export class Observer {
  readonly eras = new Map<string, EraProgress>();
  readonly #log: Logger;
  readonly #now: () => number;

  /** `now` in ms, monotonic. */
  constructor(specs: readonly EraSpec[], log: Logger, now: () => number = () => performance.now()) {
    this.#log = log;
    this.#now = now;
    for (const spec of specs) {
      this.eras.set(spec.eraId, {
        eraId: spec.eraId,
        nextLedger: spec.grid.ledgerStart,
        ledgers: 0,
        partitions: 0,
        rawBytes: 0,
        retries: 0,
        building: new Map(),
        waits: new Map(),
        waitedMs: 0,
        waitingSince: null,
        startedAt: this.#now(),
        endedAt: null,
        correlation: new Map(),
        complaint: null,
        refused: null,
      });
    }
  }

  /** For `createActor(…, { inspect })`. */
  readonly inspect = (event: InspectionEvent): void => {
    const target = event.actorRef as { id?: string };
    if (event.type === '@xstate.snapshot') {
      this.#seeOwnWait(target.id ?? '', event.snapshot);
      return;
    }
    if (event.type !== '@xstate.event') return;
    this.#see(event.event as unknown as Seen, target.id ?? '');
  };

  #see(event: Seen, target: string): void {
    if (event.type === 'era.finished' || event.type === 'era.crashed') {
      const { failure } = event.summary;
      const fields = { component: 'era', era_id: event.eraId };
      if (failure) this.#log.error({ ...fields, ...failureFields(failure) }, 'era failed');
      else this.#log.info({ ...fields, next_ledger: event.summary.nextLedger }, `era ${event.summary.outcome}`);
      return;
    }
    const [kind, eraId = '', n] = target.split(':');
    const era = this.eras.get(eraId);
    if (!era) return;
    const log = this.#log;
    const base = { component: kind, era_id: eraId };
    switch (event.type) {
      case 'partition.assigned': {
        const { job } = event;
        era.correlation.set(job.range.start, {
          id: job.correlationId,
          dispatchedAt: era.correlation.get(job.range.start)?.dispatchedAt ?? this.#now(),
        });
        log.debug(
          { ...base, worker_id: n, correlation_id: job.correlationId, ...text(job.range) },
          'partition dispatched',
        );
        return;
      }
      case 'worker.progressed':
        era.building.set(event.range.start, event.ledgers);
        return;
      case 'worker.released':
        this.#forgetWait(era, event.workerId);
        return;
      case 'partition.staged':
        if (kind !== 'era') return;
        this.#forgetWait(era, event.workerId);
        log.debug(
          { ...base, ...this.#correlate(era, event.staged.range), ...text(event.staged.range) },
          'partition staged',
        );
        return;
      case 'attempt.failed':
        era.retries += 1;
        era.building.delete(event.range.start);
        log.warn(
          {
            ...base,
            component: 'worker',
            ...this.#correlate(era, event.range),
            ...text(event.range),
            ...failureFields(event.failure),
          },
          'attempt failed',
        );
        return;
      case 'sequencer.progressed':
        log.debug(
          { ...base, component: 'sequencer', ...this.#correlate(era, event.range), ...text(event.range) },
          event.step,
        );
        return;
      case 'partition.committed':
        this.#commit(era, event.facts);
        return;
      case 'restage.requested':
        log.warn(
          { ...base, component: 'sequencer', ...this.#correlate(era, event.range), ...text(event.range) },
          'what was staged has vanished: building it again',
        );
        return;
      case 'partition.failed':
      case 'sequencer.failed':
        era.refused ??= { range: event.range, failure: event.failure };
        log.error(
          {
            ...base,
            component: event.type === 'partition.failed' ? 'worker' : 'sequencer',
            ...this.#correlate(era, event.range),
            ...text(event.range),
            ...failureFields(event.failure),
          },
          'partition failed',
        );
        return;
      case 'wait.declared':
        this.#declareWait(era, event.actorId, event.reason);
        return;
      case 'wait.ended':
        this.#forgetWait(era, event.actorId);
        return;
      case 'hole.overdue':
        log.warn({ ...base }, 'the lake has had a hole for more than ten minutes although later ledgers are there');
        return;
      default:
        if (event.type.startsWith('xstate.error.actor.')) this.#seeError(era, target, event as unknown as ErrorEvent);
    }
  }

  /** An effect of the era or its sequencer failed, or a child crashed. What workers do is told by `attempt.failed`. */
  #seeError(era: EraProgress, target: string, { type, error }: ErrorEvent): void {
    const [component] = target.split(':');
    const child = type.slice('xstate.error.actor.'.length);
    const base = { component, era_id: era.eraId };
    if (/^(?:worker|sequencer|courier):/.test(child)) {
      this.#log.error({ ...base, actor: child, error: String(error) }, 'an actor crashed');
      return;
    }
    if (component === 'worker') return;
    const failure = toFailure(error);
    // A lake whose head cannot be looked at is asked again and again: it is said once, until something changes.
    const complaint = `${child} ${failure.code}`;
    if (complaint === era.complaint) return;
    era.complaint = complaint;
    this.#log.warn({ ...base, ...failureFields(failure) }, 'a step failed');
  }

  /** Called when an era is over, with its summary's outcome. */
  finish(eraId: string): void {
    const era = this.eras.get(eraId);
    if (!era || era.endedAt !== null) return;
    era.waits.clear();
    this.#endWait(era);
    era.building.clear();
    era.endedAt = this.#now();
  }

  /** An era tells nobody of its own waits (for ledgers, after a failed start): they stand in its context only. */
  #seeOwnWait(id: string, snapshot: unknown): void {
    const era = id.startsWith('era:') ? this.eras.get(id.slice('era:'.length)) : undefined;
    if (!era || era.endedAt !== null) return;
    const { context } = snapshot as { context?: { waits?: Readonly<Record<string, string>> } };
    const reason = context?.waits?.era;
    if (era.waits.get(id) === reason) return;
    if (reason !== undefined) this.#declareWait(era, id, reason);
    else if (era.waits.delete(id)) this.#endWait(era);
  }

  #declareWait(era: EraProgress, actorId: string, reason: string): void {
    if (era.waits.size === 0) era.waitingSince = this.#now();
    era.waits.set(actorId, reason);
    const [component] = actorId.split(':');
    this.#log.debug({ component, era_id: era.eraId, waiting: actorId }, reason);
  }

  #forgetWait(era: EraProgress, actorId: string): void {
    era.waits.delete(actorId);
    this.#endWait(era);
  }

  #endWait(era: EraProgress): void {
    if (era.waits.size > 0 || era.waitingSince === null) return;
    era.waitedMs += this.#now() - era.waitingSince;
    era.waitingSince = null;
  }

  #correlate(era: EraProgress, range: LedgerRange): { correlation_id?: string } {
    const known = era.correlation.get(range.start);
    return known ? { correlation_id: known.id } : {};
  }

  #commit(era: EraProgress, facts: CommitFacts): void {
    const known = era.correlation.get(facts.range.start);
    era.correlation.delete(facts.range.start);
    era.building.delete(facts.range.start);
    era.complaint = null;
    era.nextLedger = Math.max(era.nextLedger, facts.range.end + 1);
    if (!facts.alreadyThere) {
      era.partitions += 1;
      era.ledgers += facts.rows;
    }
    era.rawBytes += facts.rawBytes;
    this.#log.info(
      {
        component: 'sequencer',
        era_id: era.eraId,
        ...(known ? { correlation_id: known.id, duration_ms: Math.round(this.#now() - known.dispatchedAt) } : {}),
        ...text(facts.range),
        bytes: facts.bronzeBytes,
        ...(facts.retries > 0 ? { attempt: facts.retries + 1 } : {}),
      },
      facts.alreadyThere ? 'partition was there already' : 'partition committed',
    );
  }
}
