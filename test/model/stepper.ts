/**
 * One production machine, stepped and memoised: a snapshot (a number) and an event (a number) give the next snapshot and
 * what the machine asks of the world. Snapshots are interned, so equal ones are the same number.
 */
import type { AnyMachineSnapshot, AnyStateMachine } from 'xstate';
import {
  type Output as Asked,
  firstStep,
  handles,
  type Message,
  nextStep,
  type Step as Stepped,
} from '../support/stepper.ts';
import { canonical, Interner } from './intern.ts';

export const MACHINES = ['supervisor', 'era', 'sequencer', 'courier', 'worker'] as const;
export type MachineName = (typeof MACHINES)[number];

export interface MachineEvent extends Message {
  readonly [key: string]: unknown;
}

/** What a step asks of the world, in order; messages are numbers. */
export type Output =
  | { readonly kind: 'send'; readonly to: string; readonly message: number }
  | { readonly kind: 'timer'; readonly id: string; readonly name: string; readonly message: number }
  | Exclude<Asked, { readonly kind: 'send' | 'timer' }>;

export interface Step {
  readonly snapshot: number;
  readonly outputs: readonly Output[];
  /** Set where the machine threw, which would crash its actor, or has no handler where the event may come. */
  readonly error: string | null;
}

/** The name of a delayed event's delay: that of an `after`, or the event's own type. */
const timerName = (type: string): string => /^xstate\.after\.([^.]+)\./.exec(type)?.[1] ?? type;

export class Stepper {
  readonly #snapshots = new Interner<AnyMachineSnapshot>();
  readonly #memo = new Map<number, Step>();
  readonly #initial = new Map<string, Step>();

  readonly actorId: string;
  readonly logic: AnyStateMachine;
  readonly messages: Interner<MachineEvent>;

  constructor(actorId: string, logic: AnyStateMachine, messages: Interner<MachineEvent>) {
    this.actorId = actorId;
    this.logic = logic;
    this.messages = messages;
  }

  get size(): number {
    return this.#snapshots.size;
  }

  snapshot(id: number): AnyMachineSnapshot {
    return this.#snapshots.value(id);
  }

  init(input: unknown): Step {
    const key = canonical(input);
    const known = this.#initial.get(key);
    if (known) return known;
    const step = this.#run(-1, () => firstStep(this.logic, this.actorId, input));
    this.#initial.set(key, step);
    return step;
  }

  step(snapshot: number, message: number): Step {
    const key = snapshot * 0x100_0000 + message;
    const known = this.#memo.get(key);
    if (known) return known;
    const event = this.messages.value(message);
    const before = this.snapshot(snapshot);
    const step = !handles(before, event.type)
      ? { snapshot, outputs: [], error: `nothing handles ${event.type} in ${JSON.stringify(before.value)}` }
      : this.#run(snapshot, () => nextStep(this.logic, this.actorId, before, event));
    this.#memo.set(key, step);
    return step;
  }

  #run(before: number, run: () => Stepped): Step {
    let next: Stepped;
    try {
      next = run();
    } catch (error) {
      return { snapshot: before, outputs: [], error: error instanceof Error ? error.message : String(error) };
    }
    const { status, value, context, children } = next.snapshot;
    const key = canonical([status, value, context, Object.keys(children).sort()]);
    const snapshot = this.#snapshots.id(next.snapshot, key);
    return { snapshot, outputs: next.outputs.map((output) => this.#numbered(output)), error: null };
  }

  #numbered(output: Asked): Output {
    if (output.kind !== 'send' && output.kind !== 'timer') return output;
    const message = this.messages.id({ ...output.event });
    if (output.kind === 'send') return { kind: 'send', to: output.to, message };
    return { kind: 'timer', id: output.id, name: timerName(output.event.type), message };
  }
}
