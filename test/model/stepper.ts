/**
 * One production machine, stepped purely and memoised: a snapshot (a number) and an event (a number) give the next
 * snapshot and what the machine asks of the world. Nothing of the machine is re-modelled and no actor is started.
 * Snapshots are interned, so equal ones are the same number.
 */
import type { AnyMachineSnapshot, AnyStateMachine } from 'xstate';
import type { EffectName } from '../../machines/effects.ts';
import { canonical, Interner } from './intern.ts';

export const MACHINES = ['supervisor', 'era', 'sequencer', 'courier', 'worker'] as const;
export type MachineName = (typeof MACHINES)[number];

export interface MachineEvent {
  readonly type: string;
  readonly [key: string]: unknown;
}

/** What a step asks of the world, in order. */
export type Output =
  | { readonly kind: 'send'; readonly to: string; readonly message: number }
  | { readonly kind: 'timer'; readonly id: string; readonly name: string; readonly message: number }
  | { readonly kind: 'cancel'; readonly id: string }
  | { readonly kind: 'child'; readonly id: string; readonly input: unknown }
  | { readonly kind: 'effect'; readonly id: string; readonly name: EffectName; readonly input: unknown }
  | { readonly kind: 'stop'; readonly id: string };

export interface Step {
  readonly snapshot: number;
  readonly outputs: readonly Output[];
  /** Set where the machine threw: that would crash its actor. */
  readonly error: string | null;
}

// biome-ignore lint/suspicious/noExplicitAny: XState exports no types for what a pure actor scope and its actions are
type Loose = any;

const stub = (id: string): Loose => ({ id, sessionId: id, send() {}, getSnapshot() {} });

/** Everything that a machine may touch while it is stepped, inert; `actions` collects what it wants done. */
function inertScope(id: string, actions: Loose[]): Loose {
  const system: Loose = {
    // Whether the addressed actor is there is judged by the world, which knows.
    get: stub,
    getAll: () => ({}),
    _bookId: () => id,
    _register() {},
    _unregister() {},
    _set() {},
    _sendInspectionEvent() {},
    _relay() {},
    _snapshot: { _scheduledEvents: {} },
    _clock: { setTimeout() {}, clearTimeout() {} },
    _logger() {},
    scheduler: { schedule() {}, cancel() {}, cancelAll() {} },
  };
  return {
    self: { ...stub(id), system },
    id,
    sessionId: id,
    system,
    logger() {},
    defer() {},
    emit() {},
    stopChild() {},
    actionExecutor: (action: Loose) => void actions.push(action),
  };
}

/** The name of a delayed event's delay: that of an `after`, or the event's own type. */
const timerName = (type: string): string => /^xstate\.after\.([^.]+)\./.exec(type)?.[1] ?? type;

export class Stepper {
  readonly #scope: Loose;
  readonly #actions: Loose[] = [];
  readonly #snapshots = new Interner<AnyMachineSnapshot>();
  readonly #memo = new Map<number, Step>();
  readonly #initial = new Map<string, Step>();
  readonly #children: ReadonlySet<string>;

  readonly actorId: string;
  readonly logic: AnyStateMachine;
  readonly messages: Interner<MachineEvent>;

  constructor(actorId: string, logic: AnyStateMachine, messages: Interner<MachineEvent>) {
    this.actorId = actorId;
    this.logic = logic;
    this.messages = messages;
    this.#scope = inertScope(actorId, this.#actions);
    this.#children = new Set<string>(MACHINES);
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
    const step = this.#run(-1, () => this.logic.getInitialSnapshot(this.#scope, input as Loose));
    this.#initial.set(key, step);
    return step;
  }

  step(snapshot: number, message: number): Step {
    const key = snapshot * 0x100_0000 + message;
    const known = this.#memo.get(key);
    if (known) return known;
    const event = this.messages.value(message) as Loose;
    const step = this.#run(snapshot, () => this.logic.transition(this.snapshot(snapshot), event, this.#scope));
    this.#memo.set(key, step);
    return step;
  }

  #run(before: number, run: () => Loose): Step {
    this.#actions.length = 0;
    let next: AnyMachineSnapshot;
    try {
      next = run();
    } catch (error) {
      return { snapshot: before, outputs: [], error: error instanceof Error ? error.message : String(error) };
    }
    const outputs = this.#actions.flatMap((action) => this.#output(action));
    const key = canonical([next.status, next.value, next.context, Object.keys(next.children).sort()]);
    const snapshot = this.#snapshots.id(next, key);
    const error = next.status === 'error' ? String(next.error) : null;
    return { snapshot, outputs, error };
  }

  #output({ type, params }: Loose): Output[] {
    switch (type) {
      case 'xstate.sendTo':
        return [{ kind: 'send', to: params.to.id, message: this.messages.id(params.event) }];
      case 'xstate.raise': {
        const id = params.id ?? params.event.type;
        return [{ kind: 'timer', id, name: timerName(params.event.type), message: this.messages.id(params.event) }];
      }
      case 'xstate.cancel':
        return [{ kind: 'cancel', id: typeof params === 'string' ? params : params.sendId }];
      case 'xstate.spawnChild':
        return this.#children.has(params.src)
          ? [{ kind: 'child', id: params.id, input: params.input }]
          : [{ kind: 'effect', id: params.id, name: params.src, input: params.input }];
      case 'xstate.stopChild':
        return [{ kind: 'stop', id: typeof params === 'string' ? params : (params?.actorRef?.id ?? params?.id) }];
      default:
        return [];
    }
  }
}
