// The real actors under the real supervisor, through random interleavings with failures. A failing run prints its seed
// and path, which SCHEDULE_SEED and SCHEDULE_PATH take to run it again; SCHEDULE_RUNS says how many.
import fc, { type Scheduler } from 'fast-check';
import { expect, it, vi } from 'vitest';
import { type AnyStateMachine, createActor, fromPromise, SimulatedClock } from 'xstate';
import { SUPERVISOR_ID } from '../../machines/actor-ids.ts';
import { courierMachine } from '../../machines/courier.ts';
import type { EffectName } from '../../machines/effects.ts';
import { eraMachine } from '../../machines/era.ts';
import type { EraSpec, EraSummary, Mode } from '../../machines/protocol.ts';
import { sequencerMachine } from '../../machines/sequencer.ts';
import { type RunSummary, supervisorMachine } from '../../machines/supervisor.ts';
import { workerMachine } from '../../machines/worker.ts';
import { actorBelow } from '../support/fake-eras.ts';
import { eraSpec } from '../support/pure.ts';
import { type Fault, type Plan, STALL_MS, World } from './world.ts';

// biome-ignore lint/suspicious/noExplicitAny: machines are given their effects by name
type Loose = any;

const seed = Number(process.env.SCHEDULE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const path = process.env.SCHEDULE_PATH;
const numRuns = Number(process.env.SCHEDULE_RUNS ?? 2_000);

/** The world of the run under way; runs follow one another. */
let world: World;

const CHILDREN: Readonly<Record<string, boolean>> = { worker: true, sequencer: true, courier: true, era: true };

/** A machine whose effects are the world's and that throws when it is told to crash. */
function inWorld(machine: AnyStateMachine, children: Record<string, AnyStateMachine> = {}): AnyStateMachine {
  const names = Object.keys((machine as Loose).implementations.actors).filter((name) => !CHILDREN[name]);
  const effects = names.map((name) => [
    name,
    fromPromise(({ input }: Loose) => world.run(name as EffectName, input as never)),
  ]);
  const provided = (machine as Loose).provide({ actors: { ...Object.fromEntries(effects), ...children } });
  return Object.create(provided, {
    transition: {
      value: (snapshot: Loose, event: Loose, scope: Loose) => {
        if (event.type === 'crash') throw new Error('crash');
        return provided.transition(snapshot, event, scope);
      },
    },
  });
}

const era = inWorld(eraMachine as Loose, {
  worker: inWorld(workerMachine),
  sequencer: inWorld(sequencerMachine),
  courier: inWorld(courierMachine),
});
const supervisor = supervisorMachine.provide({ actors: { era: era as Loose }, delays: { stallTimeout: STALL_MS } });

/** Lets everything that is settled be seen. */
async function settle(): Promise<void> {
  for (let i = 0; i < 12; i++) await null;
}

/** Milliseconds to the next timer that is no watchdog, or null. */
function untilNext(clock: SimulatedClock): number | null {
  const timers: { start: number; timeout: number }[] = [...(clock as Loose).timeouts.values()];
  const due = timers.filter(({ timeout }) => timeout < STALL_MS).map(({ start, timeout }) => start + timeout);
  return due.length === 0 ? null : Math.max(Math.min(...due) - clock.now(), 0);
}

interface Run {
  readonly plan: Plan;
  readonly specs: readonly EraSpec[];
}

async function live(scheduler: Scheduler, { plan, specs }: Run): Promise<RunSummary> {
  const clock = new SimulatedClock();
  world = new World(scheduler, plan, specs);
  const problems: unknown[] = [];
  const root = createActor(supervisor, {
    clock,
    id: SUPERVISOR_ID,
    input: { eras: specs },
    inspect: (inspected: Loose) => {
      if (inspected.type === '@xstate.snapshot')
        checkWindow(inspected.actorRef.id, inspected.snapshot, specs, problems);
    },
  });
  world.hands = {
    crash: (id) => actorBelow(root, id)?.send({ type: 'crash' }),
    drain: () => root.send({ type: 'drain.requested' }),
    pass: (ms) => clock.increment(ms),
  };
  root.subscribe({ error: (error) => problems.push(error) });
  root.start();
  for (let n = 0; root.getSnapshot().status === 'active' && problems.length === 0; n++) {
    if (n > 5_000) throw new Error('it goes on and on');
    await settle();
    if (root.getSnapshot().status !== 'active') break;
    if (scheduler.count() > 0) {
      await scheduler.waitOne();
      continue;
    }
    const ms = untilNext(clock);
    if (ms === null) throw new Error(`deadlock: ${states(root)}`);
    clock.increment(ms);
  }
  // What an actor asked for before it ended may still land.
  await scheduler.waitAll();
  root.stop();
  if (problems.length > 0) throw problems[0];
  return root.getSnapshot().output as RunSummary;
}

const states = (root: Loose): string =>
  JSON.stringify(
    Object.fromEntries(
      Object.values(root.getSnapshot().children as Record<string, Loose>).flatMap((child) => [
        [child.id, child.getSnapshot().value],
        ...Object.values(child.getSnapshot().children as Record<string, Loose>).map((inner) => [
          inner.id,
          inner.getSnapshot().value,
        ]),
      ]),
    ),
  );

/** Neither the sequencer's buffer nor what is outstanding grows beyond the window. */
function checkWindow(id: string, snapshot: Loose, specs: readonly EraSpec[], problems: unknown[]): void {
  const { context, status } = snapshot;
  if (!context || status === 'error') return;
  const spec = specs.find(({ eraId }) => eraId === (context.eraId ?? context.spec?.eraId));
  if (!spec) return;
  const waiting = id.startsWith('sequencer:') ? context.buffer.length : 0;
  const counted = id.startsWith('era:') ? context.outstanding.filter((entry: Loose) => entry.counted).length : 0;
  if (Math.max(waiting, counted) > spec.queueSize) {
    problems.push(new Error(`${id} holds ${waiting} buffered, ${counted} outstanding: more than ${spec.queueSize}`));
  }
}

const LAST = 49;

/** What must hold of an era when all is over. */
function judge(summary: EraSummary, spec: EraSpec, plan: Plan): void {
  const chain = world.chain(spec.eraId);
  const kinds = new Set<Fault>(chain.faults);
  const everywhere = new Set<Fault>(plan.faults.map((fault) => fault.kind));
  const { published, sealed, events } = chain;
  expect(published.length - sealed.length).toBeLessThanOrEqual(1);
  expect(sealed.length - events.length).toBeLessThanOrEqual(1);
  const next = (events.at(-1)?.range.end ?? 9) + 1;
  // A commit is announced after its checkpoint: what was killed just before is found by the next run.
  expect(next - summary.nextLedger).toBeGreaterThanOrEqual(0);
  if (!kinds.has('sequencer crashes') && !kinds.has('era crashes') && !everywhere.has('stall')) {
    expect(summary.partitions + summary.partitionsFound).toBe((summary.nextLedger - 10) / 10);
  }
  switch (summary.outcome) {
    case 'done':
      expect(summary).toMatchObject({ nextLedger: LAST + 1, failure: null });
      expect(chain.checkpoint).toEqual({ start: LAST - 9, end: LAST });
      expect([published, sealed, events].map((list) => list.length)).toEqual([4, 4, 4]);
      if (spec.catalog === 'strict') expect(chain.rows.size).toBe(4);
      if (spec.delivery === 'strict') expect(chain.delivered).toBe(4);
      // What a lenient catalog or endpoint was not told is counted; a late answer may leave less.
      if (summary.pending !== null) {
        expect(summary.pending.rows).toBeGreaterThanOrEqual(4 - chain.rows.size);
        expect(summary.pending.events).toBeGreaterThanOrEqual(4 - chain.delivered);
      }
      break;
    case 'drained':
      expect(everywhere).toContain('drain');
      expect(summary.failure).toBeNull();
      break;
    default:
      expect(summary.failure).not.toBeNull();
      // Eras are isolated: only what hit this one can have failed it, but for time, which passes for all.
      expect(kinds.size + Number(everywhere.has('stall'))).toBeGreaterThan(0);
      break;
  }
  if (![...everywhere].some((kind) => kind === 'drain' || kind === 'stall') && kinds.size === 0) {
    expect(summary.outcome).toBe('done');
  }
  if (chain.faults.every((kind) => kind === 'lasting' || kind === 'pause') && !everywhere.has('drain')) {
    const [first] = chain.lost.toSorted((a, b) => a - b);
    const isAllOfThem = chain.faults.filter((kind) => kind === 'lasting').length === chain.lost.length;
    if (first !== undefined && isAllOfThem && !everywhere.has('stall')) {
      expect(summary).toMatchObject({ outcome: 'failed', nextLedger: first });
      expect(summary.failure?.code).toBe('LEDGER_MISSING');
    }
  }
}

const fault = fc.record({
  at: fc.integer({ min: 1, max: 50 }),
  kind: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom<Fault>('passing', 'unanswered', 'vanished', 'worker crashes') },
    { weight: 2, arbitrary: fc.constantFrom<Fault>('lasting', 'pause', 'drain') },
    { weight: 1, arbitrary: fc.constantFrom<Fault>('sequencer crashes', 'era crashes', 'stall') },
  ),
});

/** Early enough to hit builds: several partitions of one era that cannot be built. */
const loss = fc.record({ at: fc.integer({ min: 4, max: 12 }), kind: fc.constant<Fault>('lasting') });

const spec = (eraId: string) =>
  fc
    .record({
      workers: fc.integer({ min: 1, max: 3 }),
      queueSize: fc.integer({ min: 1, max: 4 }),
      retryAttempts: fc.integer({ min: 1, max: 4 }),
      respawnLimit: fc.integer({ min: 0, max: 2 }),
      catalog: fc.constantFrom<Mode>('none', 'lenient', 'strict'),
      delivery: fc.constantFrom<Mode>('none', 'lenient', 'strict'),
      isFollowing: fc.boolean(),
    })
    .map(({ isFollowing, ...rest }) =>
      eraSpec({
        ...rest,
        eraId,
        stopAfter: isFollowing ? LAST : null,
        grid: { size: 10, origin: 0, ledgerStart: 10, ledgerEnd: isFollowing ? null : LAST },
      }),
    );

const run = fc.record({
  plan: fc.record({
    faults: fc.oneof(
      { weight: 4, arbitrary: fc.array(fault, { maxLength: 6 }) },
      { weight: 1, arbitrary: fc.array(loss, { minLength: 1, maxLength: 3 }) },
    ),
  }),
  specs: fc.oneof(fc.tuple(spec('a')), fc.tuple(spec('a'), spec('b'))),
});

it(`${numRuns} interleavings of real actors, with failures`, { timeout: 600_000 }, async () => {
  // XState's development build tells of every message to an actor that has ended; here that is what is tested.
  vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  console.info(`interleavings: SCHEDULE_SEED=${seed}, ${numRuns} runs`);
  const outcomes: Record<string, number> = {};
  const property = fc.asyncProperty(fc.scheduler(), run, async (scheduler, one) => {
    const { outcome, eras, breakerTrips } = await live(scheduler, one);
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    for (const [n, summary] of eras.entries()) judge(summary, one.specs[n] as EraSpec, one.plan);
    const kinds = one.plan.faults.map((entry) => entry.kind);
    if (!kinds.includes('stall')) expect(breakerTrips).toBe(0);
    const has = (ended: string): boolean => eras.some((summary) => summary.outcome === ended);
    expect(outcome).toBe(has('failed') ? 'failed' : has('drained') ? 'stopped' : 'done');
  });
  await fc.assert(property, { seed, numRuns, ...(path === undefined ? {} : { path }) });
  console.info(`interleavings: ${JSON.stringify(outcomes)}`);
});
