/**
 * One machine, stepped by XState's own `transition()`: a snapshot and an event give the next snapshot and, in order, what
 * the machine asks of the world, as data. No actor is started and nothing of the machine is re-modelled. The explorer
 * (test/model), the generated tests and the tests of an era by hand (pure.ts) all step with this.
 */
import {
  type AnyActorRef,
  type AnyMachineSnapshot,
  type AnyStateMachine,
  getInitialMicrosteps,
  getMicrosteps,
  getNextTransitions,
  getStateNodes,
  initialTransition,
  transition,
} from 'xstate';
import { evaluateGuard } from 'xstate/guards';
import type { EffectName } from '../../machines/effects.ts';

export interface Message {
  readonly type: string;
}

// biome-ignore lint/suspicious/noExplicitAny: inputs, actions and machines of any kind have no common type
export type Loose = any;

/** What a step asks of the world. */
export type Output =
  | { readonly kind: 'send'; readonly to: string; readonly event: Message }
  | { readonly kind: 'timer'; readonly id: string; readonly event: Message; readonly delay: number }
  | { readonly kind: 'cancel'; readonly id: string }
  | { readonly kind: 'child'; readonly id: string; readonly machine: string; readonly input: Loose }
  | { readonly kind: 'effect'; readonly id: string; readonly name: EffectName; readonly input: Loose }
  | { readonly kind: 'stop'; readonly id: string };

export interface Step {
  readonly snapshot: AnyMachineSnapshot;
  readonly outputs: readonly Output[];
}

const CHILD_MACHINES: ReadonlySet<string> = new Set(['era', 'worker', 'sequencer', 'courier']);
export const isChildMachine = (name: string): boolean => CHILD_MACHINES.has(name);

const references = new Map<string, AnyActorRef>();

/** What stands for an actor in contexts and inputs: the same object for the same id, whoever holds it. */
export function refTo(id: string): AnyActorRef {
  const known = references.get(id);
  if (known) return known;
  const made = { id, sessionId: id, send() {}, getSnapshot() {}, toJSON: () => ({ xstate$$type: 1, id }) } as Loose;
  references.set(id, made);
  return made;
}

const isRef = (value: Loose): value is AnyActorRef => typeof value?.send === 'function';

/** Where a machine hands itself on, it hands on what stands for it; `transition()` gives it another self each time. */
const withSelf = (input: Loose, self: string): Loose =>
  input === null || typeof input !== 'object'
    ? input
    : Object.fromEntries(
        Object.entries(input).map(([key, value]) => [
          key,
          isRef(value) && references.get(value.id) !== value ? refTo(self) : value,
        ]),
      );

function outputOf({ type, params }: Loose, self: string): Output[] {
  switch (type) {
    case 'xstate.sendTo':
      return [{ kind: 'send', to: params.to.id, event: params.event }];
    case 'xstate.raise':
      return [{ kind: 'timer', id: params.id ?? params.event.type, event: params.event, delay: params.delay }];
    case 'xstate.cancel':
      return [{ kind: 'cancel', id: params.sendId ?? params }];
    case 'xstate.spawnChild': {
      const { id, src } = params;
      const input = withSelf(params.input, self);
      return [
        isChildMachine(src) ? { kind: 'child', id, machine: src, input } : { kind: 'effect', id, name: src, input },
      ];
    }
    case 'xstate.stopChild':
      return [{ kind: 'stop', id: params?.id ?? params }];
    default:
      return [];
  }
}

function stepTo([snapshot, actions]: [AnyMachineSnapshot, readonly Loose[]], self: string): Step {
  if (snapshot.status === 'error') throw snapshot.error;
  return { snapshot, outputs: actions.flatMap((action) => outputOf(action, self)) };
}

/** `self`: the id of the actor. Throws what the machine throws. */
export const firstStep = (machine: AnyStateMachine, self: string, input: unknown): Step =>
  stepTo(initialTransition(machine, input as Loose) as Loose, self);

export const nextStep = (machine: AnyStateMachine, self: string, before: AnyMachineSnapshot, event: Message): Step =>
  stepTo(transition(machine, before, event as Loose) as Loose, self);

/** Whether the present state, or one around it, has a handler for an event of this type, whatever its guards say. */
export const handles = (at: AnyMachineSnapshot, type: string): boolean =>
  getNextTransitions(at).some(({ eventType }) =>
    eventType.endsWith('.*') ? type.startsWith(eventType.slice(0, -1)) : eventType === type,
  );

// ── what a step went through ─────────────────────────────────────────────────────────────────────────────────────

type Node = AnyStateMachine['root'];
type Transition = ReturnType<typeof getNextTransitions>[number];

const everyTransition = (node: Node): Transition[] => [
  ...[...node.transitions.values()].flat(),
  ...(node.always ?? []),
];

/** `worker.building: work.cancelled`, with the guard's place where an event has several. */
function transitionName(taken: Transition): string {
  const { source, eventType } = taken;
  const all = everyTransition(source).filter((other) => other.eventType === eventType);
  return `${source.id}: ${eventType || 'always'}${all.length > 1 ? ` [${all.indexOf(taken)}]` : ''}`;
}

/** Names of all state nodes and transitions of a machine. */
export function contentsOf(machine: AnyStateMachine): { states: string[]; transitions: string[] } {
  const nodes = (node: Node): Node[] => [node, ...Object.values(node.states).flatMap(nodes)];
  const all = nodes(machine.root);
  return { states: all.map(({ id }) => id), transitions: all.flatMap(everyTransition).map(transitionName) };
}

/** The transition without an event that is taken next: the innermost state's first whose guard holds. */
const eventless = (at: AnyMachineSnapshot, event: Message): Transition | undefined =>
  getNextTransitions(at).find(
    ({ eventType, guard }) =>
      eventType === '' && (guard === undefined || evaluateGuard(guard as Loose, at.context, event, at)),
  );

export interface Way {
  /** Names of the transitions that were taken. */
  readonly taken: readonly string[];
  /** Ids of the states that were active in between and at the end. */
  readonly visited: readonly string[];
}

/** No machine raises an event without a delay: after the first transition only those without an event follow. */
function wayThrough(
  machine: AnyStateMachine,
  first: readonly Transition[],
  passed: readonly Loose[],
  event: Message,
): Way {
  const snapshots = passed.map(([snapshot]) => snapshot as AnyMachineSnapshot);
  const followed = snapshots.slice(0, -1).map((at) => eventless(at, event) as Transition);
  return {
    taken: [...first, ...followed].map(transitionName),
    visited: snapshots.flatMap(({ value }) => getStateNodes(machine.root, value).map(({ id }) => id)),
  };
}

export const firstWay = (machine: AnyStateMachine, input: unknown): Way =>
  wayThrough(machine, [], getInitialMicrosteps(machine, input as Loose), { type: 'xstate.init' });

export const wayOf = (machine: AnyStateMachine, before: AnyMachineSnapshot, event: Message): Way =>
  wayThrough(
    machine,
    machine.getTransitionData(before, event as Loose) as Transition[],
    getMicrosteps(machine, before, event as Loose),
    event,
  );
