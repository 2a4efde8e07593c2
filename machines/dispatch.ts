/**
 * What an era decides with: which partition goes to which worker, what is outstanding, when it is finished.
 * Pure functions over its context; no machine, no effect.
 *
 * Words: a partition is *outstanding* from its dispatch until it is committed. *Building* and *staged* ones of the grid
 * fill the window (`queue_size`); one that has to be done again stands in the *line*, keeps its place in the window
 * and goes before anything new, so a full window can never keep out the one partition that would empty it.
 */

import { workerActorId } from './actor-ids.ts';
import type { Failure } from './errors.ts';
import { lastLedger, MAX_LEDGER, partitionAt, sameRange } from './partitions.ts';
import type {
  AgendaItem,
  CommitFacts,
  EraSpec,
  EraSummary,
  Job,
  LakeHead,
  LedgerRange,
  Parent,
  Recovered,
  SupervisorEvent,
} from './protocol.ts';

/** `agenda`: nothing to build, the sequencer works it off. `line`: to be built (again) before anything new. */
type Phase = 'agenda' | 'line' | 'building' | 'staged';

export interface Outstanding {
  readonly range: LedgerRange;
  readonly phase: Phase;
  /** Whether it takes a place in the window. Work that recovery found does not. */
  readonly counted: boolean;
  readonly restages: number;
}

export interface EraContext {
  readonly spec: EraSpec;
  readonly parent: Parent<SupervisorEvent>;
  readonly recovered: Recovered | null;
  /** First ledger that is not committed. */
  readonly frontier: number;
  /** First ledger that was never dispatched. */
  readonly cursor: number;
  /** Last ledger that this run has to commit; MAX_LEDGER while an unbounded era follows its lake. */
  readonly target: number;
  /** Last ledger known to be in the lake without a gap; MAX_LEDGER for bounded eras, which find out by reading. */
  readonly available: number;
  readonly holeAt: number | null;
  /** The lake was found to end before what is committed. `head`: its last ledger; null = it is empty. */
  readonly behind: { readonly head: number | null } | null;
  /** Whether the lake was held against Bronze since it was last found shorter, or to have grown again. */
  readonly compared: boolean;
  /** The hole has been there for so long that somebody should know. */
  readonly holeOverdue: boolean;
  readonly outstanding: readonly Outstanding[];
  /** The job of each worker; null = idle. */
  readonly workers: Readonly<Record<string, Job | null>>;
  readonly nextTicket: number;
  /** Worker crashes within the last hour. */
  readonly recentCrashes: number;
  /** Who waits for something outside, and what for. */
  readonly waits: Readonly<Record<string, string>>;
  /** Failed attempts of the era's own effect in hand. */
  readonly failures: number;
  /** What the other side asked to wait after the last of them, ms. */
  readonly retryAfterMs: number;
  readonly failure: Failure | null;
  /** Nothing from this ledger on is committed any more, because something there failed; null = no limit. */
  readonly stopBefore: number | null;
  /** A signal asked for the end. */
  readonly draining: boolean;
  readonly spawned: boolean;
  /** Strict: what earlier runs left is recorded and delivered. Always true otherwise. */
  readonly caughtUp: boolean;
  readonly summary: EraSummary;
}

/** What an era has done before it has done anything. */
export const emptySummary = (eraId: string): EraSummary => ({
  eraId,
  outcome: 'done',
  nextLedger: 0,
  partitions: 0,
  partitionsFound: 0,
  ledgers: 0,
  sourceBytes: 0,
  rawBytes: 0,
  bronzeBytes: 0,
  retries: 0,
  restages: 0,
  crashes: 0,
  pending: null,
  failure: null,
});

export const initialContext = ({ spec, parent }: Pick<EraContext, 'spec' | 'parent'>): EraContext => ({
  spec,
  parent,
  recovered: null,
  frontier: spec.grid.ledgerStart,
  cursor: spec.grid.ledgerStart,
  target: lastLedger(spec.grid, spec.stopAfter),
  available: spec.grid.ledgerEnd === null ? 0 : MAX_LEDGER,
  holeAt: null,
  behind: null,
  compared: true,
  holeOverdue: false,
  outstanding: [],
  workers: {},
  nextTicket: 1,
  recentCrashes: 0,
  waits: {},
  failures: 0,
  retryAfterMs: 0,
  failure: null,
  stopBefore: null,
  draining: false,
  spawned: false,
  caughtUp: spec.catalog !== 'strict' && spec.delivery !== 'strict',
  summary: emptySummary(spec.eraId),
});

const isBuiltByWorker = (item: AgendaItem): boolean => item.kind === 'restore' || item.kind === 'copy';

/** Takes over what recovery decided. */
export function takeOver(context: EraContext, recovered: Recovered): Partial<EraContext> {
  const outstanding = recovered.agenda.map(
    (item): Outstanding => ({
      range: item.range,
      phase: isBuiltByWorker(item) ? 'line' : 'agenda',
      counted: false,
      restages: 0,
    }),
  );
  const copied = recovered.agenda.filter((item) => item.kind === 'copy').map((item) => item.range.end + 1);
  return {
    recovered,
    frontier: recovered.frontier,
    cursor: Math.max(recovered.frontier, ...copied),
    outstanding,
    failures: 0,
    summary: { ...context.summary, nextLedger: recovered.frontier },
  };
}

/** Whether a lake with this head ends before what is committed. */
export function behindBy({ frontier, spec }: EraContext, head: number | null): EraContext['behind'] {
  if (frontier <= spec.grid.ledgerStart) return null;
  return head === null || head < frontier - 1 ? { head } : null;
}

/** A lake that became shorter may be another one, and so may one that grew again from there. */
function takeBehind(context: EraContext, { head }: LakeHead): Pick<EraContext, 'behind' | 'compared'> {
  const behind = behindBy(context, head);
  const isSame = behind === null ? context.behind === null : context.behind?.head === behind.head;
  return { behind, compared: context.compared && isSame };
}

/** For people: that a lake with this head ends before the first ledger that is not committed. */
export const behindText = (frontier: number, head: number | null): string =>
  `${head === null ? 'the lake is empty' : `the lake ends at ledger ${head}`}, and ledgers up to ${frontier - 1} are committed`;

/** There is something to copy, and the lake ends before it. */
export const lakeBehind = (frontier: number, head: number | null): Failure => ({
  code: 'LAKE_BEHIND',
  message: `${behindText(frontier, head)}: there is nothing to copy from ledger ${frontier} on`,
  retryable: false,
  ledger: frontier,
  expected: `ledger ${frontier}`,
  found: head === null ? 'no ledger' : `ledger ${head}, the last one`,
  hint: 'docs/runbook.md, "The lake was reset or is behind"',
});

/** What a look at the head of the lake changes. An era that runs once fixes its target at the first look. */
export function takeHead(context: EraContext, head: LakeHead): Partial<EraContext> {
  const { spec } = context;
  const { once } = spec;
  // A run that goes only to the present head does not wait for a hole to fill: it finds it by reading, and fails.
  const available = once && head.holeAt !== null ? Math.max(head.head ?? 0, head.contiguousTo) : head.contiguousTo;
  const holeOverdue = head.holeAt === null ? false : context.holeOverdue && head.holeAt === context.holeAt;
  if (!once || context.target !== lastLedger(spec.grid, spec.stopAfter)) {
    return { available, holeAt: head.holeAt, holeOverdue, failures: 0, ...takeBehind(context, head) };
  }
  let target = context.cursor - 1;
  for (let next = partitionAt(spec.grid, target + 1); next && next.end <= available; ) {
    target = next.end;
    next = partitionAt(spec.grid, target + 1);
  }
  return {
    available,
    holeAt: head.holeAt,
    holeOverdue,
    failures: 0,
    ...takeBehind(context, head),
    target: Math.min(target, lastLedger(spec.grid, spec.stopAfter)),
  };
}

/** The next partition that has never been dispatched and may be; null where there is none (yet). */
export function nextOfGrid(context: EraContext): LedgerRange | null {
  if (context.cursor > context.target) return null;
  const range = partitionAt(context.spec.grid, context.cursor);
  return range && range.end <= context.available ? range : null;
}

const inWindow = (context: EraContext): number => context.outstanding.filter((entry) => entry.counted).length;

const mayGoOn = (context: EraContext, range: LedgerRange): boolean =>
  !context.draining && (context.stopBefore === null || range.start < context.stopBefore);

/** An unbounded era is patient with the last partitions before the head: their files may be half written. */
const isAtHead = ({ spec, available }: EraContext, range: LedgerRange): boolean =>
  spec.grid.ledgerEnd === null && !spec.once && range.end + spec.grid.size > available;

interface Assignment {
  readonly workerId: string;
  readonly job: Job;
}

/** Hands out work until there are no idle workers, no work, or no room. The line goes first, in ledger order. */
export function plan(context: EraContext): { assignments: Assignment[]; changes: Partial<EraContext> } {
  const assignments: Assignment[] = [];
  let state = context;
  for (const workerId of Object.keys(context.workers)) {
    if (state.workers[workerId] !== null) continue;
    const waiting = state.outstanding
      .filter((entry) => entry.phase === 'line' && mayGoOn(state, entry.range))
      .sort((a, b) => a.range.start - b.range.start)[0];
    const fresh = waiting ? null : nextOfGrid(state);
    const room = inWindow(state) < state.spec.queueSize;
    const range = waiting?.range ?? (fresh && room && mayGoOn(state, fresh) && state.failure === null ? fresh : null);
    if (!range) break;
    const job: Job = {
      range,
      ticket: state.nextTicket,
      correlationId: `${state.spec.runId}-${state.spec.eraId}-${range.start}`,
      patient: isAtHead(state, range),
    };
    assignments.push({ workerId, job });
    state = {
      ...state,
      nextTicket: state.nextTicket + 1,
      cursor: waiting ? state.cursor : range.end + 1,
      workers: { ...state.workers, [workerId]: job },
      outstanding: waiting
        ? state.outstanding.map((entry) => (sameRange(entry.range, range) ? { ...entry, phase: 'building' } : entry))
        : [...state.outstanding, { range, phase: 'building', counted: true, restages: 0 }],
    };
  }
  const { nextTicket, cursor, workers, outstanding } = state;
  return { assignments, changes: { nextTicket, cursor, workers, outstanding } };
}

export const setPhase = (context: EraContext, range: LedgerRange, phase: Phase): readonly Outstanding[] =>
  context.outstanding.map((entry) => (sameRange(entry.range, range) ? { ...entry, phase } : entry));

export const without = <T>(record: Readonly<Record<string, T>>, key: string): Readonly<Record<string, T>> => {
  const { [key]: _gone, ...rest } = record;
  return rest;
};

/** Stops everything from `from` on. The earliest failure is the one that counts. */
export function stopAt(context: EraContext, from: number, failure: Failure): Partial<EraContext> {
  if (context.stopBefore !== null && context.stopBefore <= from) return {};
  return { stopBefore: from, failure };
}

/** Workers whose job can no longer be committed. */
export const pointlessWorkers = (context: EraContext): string[] =>
  Object.entries(context.workers)
    .filter(([, job]) => job !== null && !mayGoOn(context, job.range))
    .map(([workerId]) => workerId);

const anyBusy = (context: EraContext): boolean => Object.values(context.workers).some((job) => job !== null);

/** The reason that is declared while a build or a read-back waits for a thread. */
export const THREAD_WAIT = 'waiting for a thread';

/**
 * Whether the era waits for something outside of it. Waiting for a thread counts only while nobody in the era holds one:
 * builds that hang on the threads must not be taken for a queue.
 */
export function isWaiting(context: EraContext): boolean {
  const reasons = Object.values(context.waits);
  if (reasons.some((reason) => reason !== THREAD_WAIT)) return true;
  const busy = Object.entries(context.workers).filter(([, job]) => job !== null);
  return reasons.length > 0 && busy.every(([workerId]) => workerId in context.waits);
}

/** Everything that was asked for is committed. */
export const isFinished = (context: EraContext): boolean =>
  context.frontier > context.target && context.outstanding.length === 0 && context.caughtUp;

/** Nothing more will come from the workers that the sequencer could still commit. */
export function isSettled(context: EraContext): boolean {
  if (anyBusy(context)) return false;
  if (context.draining) return true;
  // With all workers given up, what stands in the line is built by nobody, and nothing after it can be committed.
  const line = context.outstanding.filter((entry) => entry.phase === 'line').map((entry) => entry.range.start);
  const stuckAt = Object.keys(context.workers).length > 0 ? MAX_LEDGER : Math.min(MAX_LEDGER, ...line);
  return context.outstanding.every((entry) => !mayGoOn(context, entry.range) || entry.range.start >= stuckAt);
}

/** `partition.committed`: the frontier moves, a place in the window becomes free. */
export function takeCommit(context: EraContext, facts: CommitFacts): Partial<EraContext> {
  const { summary } = context;
  const frontier = facts.range.start === context.frontier ? facts.range.end + 1 : context.frontier;
  return {
    frontier,
    outstanding: context.outstanding.filter((entry) => !sameRange(entry.range, facts.range)),
    summary: {
      ...summary,
      nextLedger: frontier,
      partitions: summary.partitions + (facts.alreadyThere ? 0 : 1),
      partitionsFound: summary.partitionsFound + (facts.alreadyThere ? 1 : 0),
      ledgers: summary.ledgers + (facts.alreadyThere ? 0 : facts.rows),
      sourceBytes: summary.sourceBytes + facts.sourceBytes,
      rawBytes: summary.rawBytes + facts.rawBytes,
      bronzeBytes: summary.bronzeBytes + (facts.alreadyThere ? 0 : facts.bronzeBytes),
    },
  };
}

/** How often what was staged may vanish before the era gives up on a partition. */
export const RESTAGE_LIMIT = 5;

export const workerIds = (spec: EraSpec): string[] =>
  Array.from({ length: spec.workers }, (_, n) => workerActorId(spec.eraId, n + 1));
