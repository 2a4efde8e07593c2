/**
 * Runs the production machines as one system by pure transitions: no actor is started, no clock, no I/O.
 * A world is the snapshots of all actors, the messages on their way and the effects that were asked for. The caller
 * says which effect ends how, and in which order.
 */
import type { AnyMachineSnapshot, AnyStateMachine } from 'xstate';
import { eraActorId, SUPERVISOR_ID } from '../../machines/actor-ids.ts';
import { courierMachine } from '../../machines/courier.ts';
import { eraMachine } from '../../machines/era.ts';
import type { EraSpec } from '../../machines/protocol.ts';
import { sequencerMachine } from '../../machines/sequencer.ts';
import { workerMachine } from '../../machines/worker.ts';
import { firstStep, type Loose, nextStep, type Output, refTo, type Step } from './stepper.ts';

export interface PendingEffect {
  readonly actor: string;
  /** The id under which the machine waits for it. */
  readonly id: string;
  readonly name: string;
  readonly input: Loose;
}

const MACHINES: Readonly<Record<string, AnyStateMachine>> = {
  era: eraMachine,
  worker: workerMachine,
  sequencer: sequencerMachine,
  courier: courierMachine,
};

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
    this.#take(id, firstStep(logic, id, input));
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
      this.#take(to, nextStep(logic, to, snapshot, event));
    }
  }

  pending(name: string, actor?: string): PendingEffect[] {
    return this.effects.filter((effect) => effect.name === name && (actor === undefined || effect.actor === actor));
  }

  resolve(effect: PendingEffect, output: unknown): void {
    this.#end(effect);
    this.send(effect.actor, { type: `xstate.done.actor.${effect.id}`, output, actorId: effect.id } as Loose);
  }

  reject(effect: PendingEffect, error: unknown): void {
    this.#end(effect);
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

  #end(effect: PendingEffect): void {
    const at = this.effects.indexOf(effect);
    if (at < 0) throw new Error(`effect ${effect.name} of ${effect.actor} is not pending`);
    this.effects.splice(at, 1);
  }

  #take(id: string, { snapshot, outputs }: Step): void {
    this.snapshots.set(id, snapshot);
    for (const output of outputs) this.#perform(id, output);
    if (snapshot.status !== 'active') this.#forget((entry) => entry.actor === id);
  }

  #forget(match: (entry: { actor: string; id: string }) => boolean): void {
    for (const list of [this.effects, this.timers] as { actor: string; id: string }[][]) {
      for (let i = list.length - 1; i >= 0; i--) if (match(list[i]!)) list.splice(i, 1);
    }
  }

  #perform(actor: string, output: Output): void {
    switch (output.kind) {
      case 'send':
        this.#mail.push(output);
        break;
      case 'timer':
        this.timers.push({ actor, id: output.id, event: output.event });
        break;
      case 'cancel':
        this.#forgetTimer(actor, output.id);
        break;
      case 'child':
        this.start(output.id, MACHINES[output.machine] as AnyStateMachine, output.input);
        break;
      case 'effect':
        this.effects.push({ actor, ...output });
        break;
      case 'stop': {
        const { id } = output;
        this.#forget((entry) => (entry.actor === actor && entry.id === id) || entry.actor === id);
        this.snapshots.delete(id);
        this.#logic.delete(id);
      }
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
  const system = new PureSystem([SUPERVISOR_ID]);
  system.start(eraActorId(spec.eraId), eraMachine, { spec, parent: refTo(SUPERVISOR_ID) });
  return system;
};
