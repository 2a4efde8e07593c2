/**
 * Runs the production machines as one system by pure transitions: no actor is started, no clock, no I/O.
 * A world is the snapshots of all actors, the messages on their way and the effects that were asked for. The caller
 * says which effect ends how, and in which order.
 */
import type { AnyMachineSnapshot, AnyStateMachine } from 'xstate';
import { courierMachine } from '../../machines/courier.ts';
import { eraMachine } from '../../machines/era.ts';
import { eraActorId } from '../../machines/peers.ts';
import type { EraSpec } from '../../machines/protocol.ts';
import { sequencerMachine } from '../../machines/sequencer.ts';
import { workerMachine } from '../../machines/worker.ts';

// biome-ignore lint/suspicious/noExplicitAny: the actor scope and the inputs of effects have no common exported type
type Loose = any;

export interface PendingEffect {
  readonly actor: string;
  /** The id under which the machine waits for it. */
  readonly id: string;
  readonly name: string;
  readonly input: Loose;
}

interface Message {
  readonly to: string;
  readonly event: { readonly type: string };
}

interface Timer {
  readonly actor: string;
  readonly id: string;
  readonly event: { readonly type: string };
}

/** One system of actors, stepped by hand. */
export class PureSystem {
  readonly snapshots = new Map<string, AnyMachineSnapshot>();
  readonly effects: PendingEffect[] = [];
  readonly timers: Timer[] = [];
  /** Every message that was delivered, in order, for assertions. */
  readonly delivered: Message[] = [];
  /** Messages to actors outside of this system (the supervisor). */
  readonly outside: Message[] = [];
  readonly #logic = new Map<string, AnyStateMachine>();
  readonly #mail: Message[] = [];
  readonly #outsiders: ReadonlySet<string>;

  constructor(outsiders: readonly string[]) {
    this.#outsiders = new Set(outsiders);
  }

  start(id: string, logic: AnyStateMachine, input: unknown): void {
    this.#logic.set(id, logic);
    this.#step(id, (scope) => logic.getInitialSnapshot(scope, input as Loose));
    this.settle();
  }

  send(to: string, event: { readonly type: string }): void {
    this.#mail.push({ to, event });
    this.settle();
  }

  /** Delivers messages until none is left. */
  settle(): void {
    for (let message = this.#mail.shift(); message; message = this.#mail.shift()) {
      const { to, event } = message;
      if (this.#outsiders.has(to)) {
        this.outside.push(message);
        continue;
      }
      const logic = this.#logic.get(to);
      const snapshot = this.snapshots.get(to);
      if (!logic || !snapshot) throw new Error(`a message ${event.type} to ${to}, which is not there`);
      this.delivered.push(message);
      if (snapshot.status !== 'active') continue;
      this.#step(to, (scope) => logic.transition(snapshot, event as Loose, scope));
    }
  }

  pending(name: string, actor?: string): PendingEffect[] {
    return this.effects.filter((effect) => effect.name === name && (actor === undefined || effect.actor === actor));
  }

  resolve(effect: PendingEffect, output: unknown): void {
    this.#take(effect);
    this.send(effect.actor, { type: `xstate.done.actor.${effect.id}`, output, actorId: effect.id } as Loose);
  }

  reject(effect: PendingEffect, error: unknown): void {
    this.#take(effect);
    this.send(effect.actor, { type: `xstate.error.actor.${effect.id}`, error, actorId: effect.id } as Loose);
  }

  fire(timer: Timer): void {
    this.timers.splice(this.timers.indexOf(timer), 1);
    this.send(timer.actor, timer.event);
  }

  value(id: string): unknown {
    return this.snapshots.get(id)?.value;
  }

  context(id: string): Loose {
    return this.snapshots.get(id)?.context;
  }

  #take(effect: PendingEffect): void {
    const at = this.effects.indexOf(effect);
    if (at < 0) throw new Error(`effect ${effect.name} of ${effect.actor} is not pending`);
    this.effects.splice(at, 1);
  }

  #step(id: string, run: (scope: Loose) => Loose): void {
    const actions: Loose[] = [];
    const known = (other: string) => this.#logic.has(other) || this.#outsiders.has(other) || other === id;
    const stub = (other: string) => ({ id: other, sessionId: other, send() {}, getSnapshot() {} });
    // Children that this very step spawns can be addressed by a later action of the same step.
    const spawned = new Set<string>();
    const system: Loose = {
      get: (other: string) => (known(other) || spawned.has(other) ? stub(other) : undefined),
      getAll: () => ({}),
      _bookId: () => id,
      _register() {},
      _unregister() {},
      _set: (other: string) => void spawned.add(other),
      _sendInspectionEvent() {},
      _relay() {},
      _snapshot: { _scheduledEvents: {} },
      _clock: { setTimeout() {}, clearTimeout() {} },
      _logger() {},
      scheduler: { schedule() {}, cancel() {}, cancelAll() {} },
    };
    const self: Loose = { ...stub(id), system };
    const scope = {
      self,
      id,
      sessionId: id,
      system,
      logger() {},
      defer() {},
      emit() {},
      stopChild() {},
      actionExecutor: (action: Loose) => void actions.push(action),
    };
    const next = run(scope);
    this.snapshots.set(id, next);
    if (next.status === 'error') throw next.error;
    for (const action of actions) this.#perform(id, action);
    if (next.status !== 'active') this.#forget((entry) => entry.actor === id);
  }

  #forget(match: (entry: { actor: string; id: string }) => boolean): void {
    for (const list of [this.effects, this.timers] as { actor: string; id: string }[][]) {
      for (let i = list.length - 1; i >= 0; i--) if (match(list[i]!)) list.splice(i, 1);
    }
  }

  #perform(actor: string, action: Loose): void {
    const { type, params } = action;
    if (type === 'xstate.sendTo') {
      this.#mail.push({ to: params.to.id, event: params.event });
    } else if (type === 'xstate.raise') {
      this.timers.push({ actor, id: params.id ?? params.event.type, event: params.event });
    } else if (type === 'xstate.cancel') {
      this.#forgetTimer(actor, params.sendId ?? params);
    } else if (type === 'xstate.spawnChild') {
      const logic = { worker: workerMachine, sequencer: sequencerMachine, courier: courierMachine, era: eraMachine }[
        params.src as 'worker'
      ];
      if (logic) this.start(params.id, logic as Loose, params.input);
      else this.effects.push({ actor, id: params.id, name: params.src, input: params.input });
    } else if (type === 'xstate.stopChild') {
      const child = typeof params === 'string' ? params : (params?.actorRef?.id ?? params?.id);
      this.#forget((entry) => (entry.actor === actor && entry.id === child) || entry.actor === child);
      this.snapshots.delete(child);
      this.#logic.delete(child);
    }
  }

  #forgetTimer(actor: string, id: string): void {
    const at = this.timers.findIndex((timer) => timer.actor === actor && timer.id === id);
    if (at >= 0) this.timers.splice(at, 1);
  }
}

/** An era as the tests use it: ledgers 10 to 49 in four partitions of ten, two workers. */
export function eraSpec(changes: Partial<EraSpec> = {}): EraSpec {
  return {
    eraId: 'a',
    network: 'test',
    versionLabel: 'v1',
    grid: { size: 10, origin: 0, ledgerStart: 10, ledgerEnd: 49 },
    stopAfter: null,
    once: false,
    workers: 2,
    queueSize: 4,
    retryAttempts: 3,
    retryBackoffMs: 1000,
    respawnLimit: 5,
    attests: true,
    catalog: 'none',
    delivery: 'none',
    runId: 'run',
    ...changes,
  };
}

export const startEra = (spec: EraSpec): PureSystem => {
  const system = new PureSystem(['supervisor']);
  system.start(eraActorId(spec.eraId), eraMachine as Loose, { spec });
  return system;
};
