/**
 * Whether a run is well, for probes and alerts: it moves, or waits for something outside as it should. It repeats what
 * the machines say (the supervisor's verdicts, the eras' states and waits) and must never judge by a clock of its own:
 * two opinions on what a stall is would be one too many.
 *
 * An era that stood still is unwell from the moment when the circuit breaker acts until something really moves in the
 * fresh one; being started again is no progress yet. A failed era stays unwell to the end of the process.
 */
import type { InspectionEvent } from 'xstate';
import { redactSecrets } from '../config/secrets.ts';
import { eraActorId, SUPERVISOR_ID } from '../machines/actor-ids.ts';
import { behindText, type EraContext, isWaiting, THREAD_WAIT } from '../machines/dispatch.ts';
import type { Failure } from '../machines/errors.ts';
import type { EraEvent, EraSpec, EraSummary, SupervisorEvent } from '../machines/protocol.ts';
import { activePaths } from './diagnostics.ts';
import type { Watcher } from './watcher.ts';

interface EraHealth {
  /** Path of the era's state, as the charts name it; `starting` before there is one. */
  state: string;
  readonly firstLedger: number;
  /** First ledger that is not committed. */
  frontier: number;
  /** Whether `frontier` comes from what was found, and not from the configuration. */
  isSurveyed: boolean;
  /** Whether it ever had its workers. */
  hasBegun: boolean;
  isWaiting: boolean;
  waitsFor: readonly string[];
  holeAt: number | null;
  /** The lake ends before what is committed: why, for people. */
  behind: string | null;
  stalled: string | null;
  failure: Failure | null;
  outcome: EraSummary['outcome'] | null;
}

/** The answer of /health. Everything in it is plain data. */
export interface HealthReport {
  /** `degraded` is well, but somebody should look. */
  readonly status: 'ok' | 'degraded' | 'stalled' | 'failed';
  /** Why it is not `ok`. */
  readonly reason: string | null;
  /** Null where nothing is committed, or where that is not known yet. */
  readonly last_committed_ledger: Readonly<Record<string, number | null>>;
  readonly uptime_seconds: number;
  readonly eras: Readonly<
    Record<string, { readonly state: string; readonly waiting_for: readonly string[]; readonly reason: string | null }>
  >;
}

export interface ReadyReport {
  readonly ready: boolean;
  readonly reason: string | null;
}

/** States of an era in which it has not yet taken its lock, read what is there and opened its lake. */
const STARTING = /^(?:starting|recovering|planning)\b/;

/** What only happens where an era moves: not its recovery, which a fresh start goes through whatever the cause. */
const MOVES: ReadonlySet<string> = new Set([
  'worker.progressed',
  'partition.staged',
  'partition.committed',
  'sequencer.progressed',
  'attempt.failed',
]);

const WELL = { status: 'ok', reason: null } as const;

export class Health implements Watcher {
  readonly #eras = new Map<string, EraHealth>();
  #draining = false;

  constructor(specs: readonly EraSpec[]) {
    for (const { eraId, grid } of specs) {
      this.#eras.set(eraId, {
        state: 'starting',
        firstLedger: grid.ledgerStart,
        frontier: grid.ledgerStart,
        isSurveyed: false,
        hasBegun: false,
        isWaiting: false,
        waitsFor: [],
        holeAt: null,
        behind: null,
        stalled: null,
        failure: null,
        outcome: null,
      });
    }
  }

  readonly inspect = (event: InspectionEvent): void => {
    const { id } = event.actorRef as { id?: string };
    if (id === SUPERVISOR_ID) this.#seeSupervisor(event);
    else if (id?.startsWith(eraActorId(''))) this.#seeEra(id.slice(eraActorId('').length), event);
  };

  async close(): Promise<void> {}

  #seeSupervisor(event: InspectionEvent): void {
    if (event.type === '@xstate.event') {
      const seen = event.event as SupervisorEvent;
      if (seen.type === 'drain.requested') this.#draining = true;
      const era = seen.type === 'stall.detected' ? this.#eras.get(seen.eraId) : undefined;
      if (era) era.stalled = 'nothing moved for longer than perf.stall_timeout_ms, and nothing is waited for';
      return;
    }
    if (event.type !== '@xstate.snapshot') return;
    const { context } = event.snapshot as unknown as { context: SupervisorView };
    for (const [eraId, { summary }] of Object.entries(context.eras)) {
      const era = this.#eras.get(eraId);
      if (!era || !summary || era.outcome) continue;
      era.outcome = summary.outcome;
      era.failure = summary.failure;
      era.state = summary.outcome;
      era.frontier = Math.max(era.frontier, summary.nextLedger);
      era.isWaiting = false;
      era.waitsFor = [];
      if (summary.outcome !== 'failed') era.stalled = null;
    }
  }

  #seeEra(eraId: string, event: InspectionEvent): void {
    const era = this.#eras.get(eraId);
    if (!era || era.outcome) return;
    if (event.type === '@xstate.event') {
      const seen = event.event as EraEvent;
      // Only a thread is waited for: it may be one that hangs.
      const waits = seen.type === 'wait.declared' && seen.reason !== THREAD_WAIT;
      if (waits || MOVES.has(seen.type)) era.stalled = null;
      return;
    }
    if (event.type !== '@xstate.snapshot') return;
    const { context, value } = event.snapshot as unknown as { context: EraContext; value: unknown };
    era.state = activePaths(value).at(-1) ?? era.state;
    era.hasBegun ||= context.spawned;
    // A fresh start knows nothing until it has looked.
    if (context.recovered) {
      era.isSurveyed = true;
      era.frontier = Math.max(era.frontier, context.frontier);
    }
    era.failure = context.failure;
    era.isWaiting = isWaiting(context);
    era.waitsFor = [...new Set(Object.values(context.waits))];
    era.behind = context.behind === null ? null : behindText(context.frontier, context.behind.head);
    era.holeAt = context.holeOverdue ? context.holeAt : null;
    if (era.state.startsWith('awaitingLedgers')) era.stalled = null;
  }

  /** False where the era stands still or has failed. */
  isWell(eraId: string): boolean {
    const era = this.#eras.get(eraId);
    return era !== undefined && isOk(verdict(eraId, era).status);
  }

  /** Whether something outside is waited for. */
  isWaiting(eraId: string): boolean {
    return this.#eras.get(eraId)?.isWaiting ?? false;
  }

  /** `ok`: whether a probe is to be content. */
  report(): { ok: boolean; body: HealthReport } {
    const verdicts = [...this.#eras].map(([eraId, era]) => ({ eraId, era, ...verdict(eraId, era) }));
    const worst =
      verdicts.find(({ status }) => status === 'failed') ??
      verdicts.find(({ status }) => status === 'stalled') ??
      verdicts.find(({ status }) => status === 'degraded') ??
      WELL;
    const reasons = verdicts.flatMap(({ reason }) => (reason === null ? [] : [reason]));
    return {
      ok: isOk(worst.status),
      body: {
        status: worst.status,
        reason: reasons.length > 0 ? reasons.join('; ') : null,
        last_committed_ledger: Object.fromEntries(verdicts.map(({ eraId, era }) => [eraId, lastCommitted(era)])),
        uptime_seconds: Math.round(process.uptime()),
        eras: Object.fromEntries(
          verdicts.map(({ eraId, era, reason }) => [eraId, { state: era.state, waiting_for: era.waitsFor, reason }]),
        ),
      },
    };
  }

  /** Ready: every era has its lock, knows what is committed and has opened its lake; or had, and is over already. */
  readiness(): ReadyReport {
    if (this.#draining) return { ready: false, reason: 'draining: the process is about to end' };
    for (const [eraId, { failure, hasBegun }] of this.#eras) {
      if (failure && !hasBegun) return { ready: false, reason: `${eraId} did not begin: ${failureText(failure)}` };
    }
    const starting = [...this.#eras].filter(([, { state }]) => STARTING.test(state)).map(([eraId]) => eraId);
    if ([...this.#eras.values()].every(({ outcome }) => outcome !== null)) {
      return { ready: false, reason: 'the run is over' };
    }
    if (starting.length === 0) return { ready: true, reason: null };
    return { ready: false, reason: `starting: ${starting.join(', ')}` };
  }
}

interface SupervisorView {
  readonly eras: Readonly<Record<string, { readonly summary: EraSummary | null }>>;
}

const isOk = (status: HealthReport['status']): boolean => status === 'ok' || status === 'degraded';

const lastCommitted = ({ isSurveyed, frontier, firstLedger }: EraHealth): number | null =>
  isSurveyed && frontier > firstLedger ? frontier - 1 : null;

/** Anybody may ask: what others' libraries put into their messages is not known here. */
const failureText = ({ code, message }: Failure): string => `${code}: ${redactSecrets(message)}`;

function verdict(eraId: string, era: EraHealth): Pick<HealthReport, 'status' | 'reason'> {
  if (era.outcome === 'failed') {
    const { failure } = era;
    return { status: 'failed', reason: `${eraId} failed${failure ? `: ${failureText(failure)}` : ''}` };
  }
  // What it does before it ends with a failure may take long, and somebody should know now.
  if (era.failure) return { status: 'failed', reason: `${eraId} is failing: ${failureText(era.failure)}` };
  if (era.stalled) return { status: 'stalled', reason: `${eraId} stalled: ${era.stalled}` };
  // A restart does not help.
  if (era.behind !== null && era.outcome === null) {
    return { status: 'degraded', reason: `${eraId}: lake behind: ${era.behind}` };
  }
  if (era.holeAt !== null) {
    return {
      status: 'degraded',
      reason: `${eraId}: ledger ${era.holeAt} has been missing in the lake for more than ten minutes although later ones are there`,
    };
  }
  return WELL;
}
