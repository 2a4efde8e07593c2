/**
 * Eras of real actors, joined as the program joins them, over effects that only say what they would have done, and a
 * clock that a test turns. Hours take milliseconds.
 */
import { type AnyActorRef, createActor, fromPromise, type InspectionEvent, SimulatedClock } from 'xstate';
import type { Perform, Tools } from '../../actors/effects/effect.ts';
import { supervisor } from '../../actors/supervisor/supervisor.ts';
import { SUPERVISOR_ID } from '../../machines/actor-ids.ts';
import type { EffectInput, EffectName, EffectOutput } from '../../machines/effects.ts';
import { BronzeError } from '../../machines/errors.ts';
import type { AttestedEvent, EraSpec, LedgerRange, SealedPartition } from '../../machines/protocol.ts';
import type { RunSummary } from '../../machines/supervisor.ts';
import { attestedEvent, sealedPartition, stagedPartition } from './pure-values.ts';

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const STALL_TIMEOUT = 5 * MINUTE;

export const specOf = (eraId: string, over: Partial<EraSpec> = {}): EraSpec => ({
  eraId,
  network: 'testnet',
  versionLabel: 'v1',
  grid: { size: 10, origin: 0, ledgerStart: 10, ledgerEnd: 39 },
  stopAfter: null,
  once: false,
  workers: 2,
  queueSize: 4,
  retryAttempts: 3,
  retryBackoffMs: SECOND,
  respawnLimit: 3,
  attests: true,
  catalog: 'none',
  delivery: 'none',
  runId: 'run',
  ...over,
});

/** What is durable about an era, and what was asked of it. */
export interface FakeEra {
  readonly spec: EraSpec;
  readonly sealed: SealedPartition[];
  readonly events: AttestedEvent[];
  /** Names of effects in the order in which they were asked for, with the moment. */
  readonly calls: { readonly name: string; readonly at: number; readonly range?: LedgerRange }[];
  /** Builds under way, and the most there ever were since `mostBuilds` was last set. */
  builds: number;
  mostBuilds: number;
  /** Effects of actors that were stopped. */
  aborted: number;
}

type FakeEffect<K extends EffectName> = (input: EffectInput<K>, tools: Tools) => Promise<EffectOutput<K>>;

/** What stands in the place of effects. */
export type EraEffects = { readonly [K in EffectName]: FakeEffect<K> };

/** Replaces single effects; `usual` is what would have been done. */
export type Override = (era: FakeEra, usual: EraEffects, world: FakeWorld) => Partial<EraEffects>;

/** The actor of this id among an actor and those below it. */
export function actorBelow(from: AnyActorRef, id: string): AnyActorRef | undefined {
  if (from.id === id) return from;
  const children: Readonly<Record<string, AnyActorRef>> = from.getSnapshot()?.children ?? {};
  return Object.values(children).reduce<AnyActorRef | undefined>(
    (found, child) => found ?? actorBelow(child, id),
    undefined,
  );
}

/** Never settles, but for being aborted. */
export const never = (era: FakeEra, signal: AbortSignal | undefined): Promise<never> =>
  new Promise((_, reject) => {
    signal?.addEventListener('abort', () => {
      era.aborted += 1;
      reject(new BronzeError('CANCELLED', 'aborted'));
    });
  });

export class FakeWorld {
  readonly clock = new SimulatedClock();
  readonly eras = new Map<string, FakeEra>();
  /** What the circuit breaker said, in order. */
  readonly stalls: { readonly eraId: string; readonly reason: string; readonly at: number }[] = [];
  summary: RunSummary | null = null;
  readonly #actor: AnyActorRef;

  /** The next event of this type never reaches the actor, as a bug would have it. Both ends believe that it did. */
  swallow(id: string, type: string): void {
    const ref = actorBelow(this.#actor, id) as unknown as { _send(event: { type: string }): void };
    const send = ref._send.bind(ref);
    let left = 1;
    ref._send = (event) => {
      if (event.type === type && left > 0) left -= 1;
      else send(event);
    };
  }

  /** `inspect`: is told what passes between the actors. */
  constructor(
    specs: readonly EraSpec[],
    overrides: Readonly<Record<string, Override>> = {},
    inspect: (event: InspectionEvent) => void = () => {},
  ) {
    const effects = new Map<string, EraEffects>();
    for (const spec of specs) {
      const era: FakeEra = { spec, sealed: [], events: [], calls: [], builds: 0, mostBuilds: 0, aborted: 0 };
      this.eras.set(spec.eraId, era);
      const usual = this.#usual(era);
      effects.set(spec.eraId, { ...usual, ...overrides[spec.eraId]?.(era, usual, this) });
    }
    const tuning = { pollInterval: 5 * SECOND, stallTimeout: STALL_TIMEOUT, headPatience: 10 * MINUTE };
    const machine = supervisor(this.#perform(effects), tuning, (eraId, reason) =>
      this.stalls.push({ eraId, reason, at: this.clock.now() }),
    );
    const actor = createActor(machine, {
      id: SUPERVISOR_ID,
      input: { eras: specs },
      clock: this.clock,
      inspect,
    });
    actor.subscribe({
      next: ({ status, output }) => {
        if (status === 'done') this.summary = output;
      },
      error: (error) => {
        throw error;
      },
    });
    this.#actor = actor;
    actor.start();
  }

  era(eraId: string): FakeEra {
    const era = this.eras.get(eraId);
    if (!era) throw new Error(`there is no era ${eraId}`);
    return era;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.clock.setTimeout(resolve, ms));
  }

  /** Lets time pass, in steps short enough that whatever a timer starts has its own timers in order. */
  async pass(ms: number, step = 5 * SECOND): Promise<void> {
    for (let passed = 0; passed < ms && !this.summary; passed += step) {
      await settle();
      this.clock.increment(Math.min(step, ms - passed));
    }
    await settle();
  }

  drain(): void {
    this.#actor.send({ type: 'drain.requested' });
  }

  stop(): void {
    this.#actor.stop();
  }

  /** Whatever the program would do, these do in its place. */
  #perform(effects: ReadonlyMap<string, EraEffects>): Perform {
    return (name) =>
      fromPromise(({ input, signal }) => {
        const { range } = (input as { job?: { range: LedgerRange } }).job ?? {};
        this.era(input.eraId).calls.push({ name, at: this.clock.now(), ...(range ? { range } : {}) });
        const effect = effects.get(input.eraId)?.[name] as FakeEffect<typeof name>;
        return effect(input, { signal });
      });
  }

  #usual(era: FakeEra): EraEffects {
    return {
      openChain: async () => ({ created: era.sealed.length === 0 }),
      surveyChain: async () => ({
        partitions: era.sealed.map((manifest) => ({
          range: manifest.range,
          dataBytes: manifest.data.byteSize,
          hasManifest: true,
          manifest,
        })),
        events: era.events,
        checkpoint: null,
        rederived: [],
        memories: [],
        oldChain: null,
      }),
      openLake: async () => ({ source: 'file:///lake' }),
      compareLake: async () => ({ behind: null }),
      findHead: async () => ({ head: 9, contiguousTo: 9, holeAt: null }),
      buildPartition: async ({ job, retries }, { signal }) => {
        era.builds += 1;
        era.mostBuilds = Math.max(era.mostBuilds, era.builds);
        try {
          await Promise.race([this.sleep(SECOND), never(era, signal)]);
        } finally {
          era.builds -= 1;
        }
        return stagedPartition(job, retries);
      },
      stagePartition: async ({ staged }) => staged,
      verifySealed: async ({ sealed }) => sealed,
      publishPartition: async ({ staged }) => ({
        range: staged.range,
        data: staged.data,
        ledgers: staged.ledgers,
        writer: staged.writer,
        checks: staged.checks,
        source: staged.source,
        found: false,
      }),
      checkNeighbours: async () => null,
      sealPartition: async ({ published, attested }) => {
        const sealed = sealedPartition((published ?? attested)?.range as LedgerRange);
        era.sealed.push(sealed);
        return sealed;
      },
      attestPartition: async ({ range, chain }) => {
        const event = attestedEvent(chain.nextSequence, range, chain.prevEventHash);
        era.events.push(event);
        return { attested: true, sequence: event.sequence, eventHash: event.eventHash };
      },
      recordPartition: async () => ({ pending: false }),
      recordPending: async () => ({ left: 0 }),
      deliverPending: async () => null,
      writeCheckpoint: async () => null,
      discardStaged: async () => null,
      closeChain: async () => null,
    };
  }
}

/** Until everything that is ready has happened; promises only, no time passes. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
