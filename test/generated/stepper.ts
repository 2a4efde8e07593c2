/**
 * One machine alone, stepped by pure transitions: what it would have sent, asked for and timed is collected as data.
 * A *situation* is everything that the next move can depend on; a *move* is one thing that the world does to it.
 * It never starts an actor. Children that are machines themselves are stand-ins here (see replay.ts for the real ones).
 */
import type { AnyMachineSnapshot, AnyStateMachine, StateNode } from 'xstate';
import type { EffectName } from '../../machines/effects.ts';
import { BronzeError, type ErrorCode } from '../../machines/errors.ts';

// biome-ignore lint/suspicious/noExplicitAny: scope, actions and inputs of XState have no exported common type
export type Loose = any;

export interface Message {
  readonly type: string;
}

/** One thing that happens to a machine. `type` is its name for people and is unique among the moves of a situation. */
export type Move =
  | { readonly type: string; readonly kind: 'send'; readonly event: Message }
  | { readonly type: string; readonly kind: 'resolve'; readonly effect: EffectName; readonly output: unknown }
  | { readonly type: string; readonly kind: 'reject'; readonly effect: EffectName; readonly error: BronzeError }
  /** A child actor throws. */
  | { readonly type: string; readonly kind: 'crash'; readonly child: string }
  /** Time passes until the next timer is due. */
  | { readonly type: string; readonly kind: 'wait' };

export const send = (event: Message, name: string = event.type): Move => ({ type: name, kind: 'send', event });
export const crash = (child: string): Move => ({ type: `${child} crashes`, kind: 'crash', child });

/** How an effect may end. */
export type Outcome = { readonly name: string; readonly output: unknown } | { readonly error: ErrorCode };

export interface Asked {
  /** Under which the machine waits for it. */
  readonly id: string;
  readonly name: EffectName;
  readonly input: Loose;
}

interface Timer {
  readonly id: string;
  readonly event: Message;
  readonly due: number;
}

export interface Sent {
  readonly to: string;
  readonly event: Message;
}

export interface Situation {
  readonly status: AnyMachineSnapshot['status'];
  readonly output: undefined;
  readonly error: undefined;
  readonly snapshot: AnyMachineSnapshot;
  /** Milliseconds; every move takes one, so that no two timers are due together. */
  readonly now: number;
  readonly timers: readonly Timer[];
  readonly effects: readonly Asked[];
  /** Ids of the children that are machines. */
  readonly children: readonly string[];
  /** What the last move did. */
  readonly sent: readonly Sent[];
  readonly taken: readonly string[];
  readonly visited: readonly string[];
}

/** A machine with everything that is needed to explore it. */
export interface Model {
  /** Of the machine. */
  readonly name: string;
  readonly scenario: string;
  readonly machine: AnyStateMachine;
  /** Its system id. */
  readonly id: string;
  readonly input: unknown;
  /** System ids of those whom it talks to and did not spawn. */
  readonly peers: readonly string[];
  /** Ends of its effects; `context` is the machine's. */
  outcomes(asked: Asked, context: Loose): readonly Outcome[];
  /** Messages and crashes that may arrive. */
  moves(at: Situation): readonly Move[];
  /** What of the context tells situations apart. Must make the number of situations finite. */
  key(context: Loose): unknown;
}

const CHILD_MACHINES: ReadonlySet<string> = new Set(['worker', 'sequencer', 'courier', 'era']);
export const isChildMachine = (name: string): boolean => CHILD_MACHINES.has(name);

interface Transition {
  readonly source: StateNode;
  readonly eventType: string;
}

const siblings = (transition: Transition): readonly unknown[] => {
  const { source, eventType } = transition;
  return (eventType === '' ? source.always : source.transitions.get(eventType)) ?? [];
};

/** `worker.building: work.cancelled`, with the guard's place where an event has several. */
function transitionName(transition: Transition): string {
  const all = siblings(transition);
  const index = all.indexOf(transition);
  const on = transition.eventType === '' ? 'always' : transition.eventType;
  return `${transition.source.id}: ${on}${all.length > 1 ? ` [${index}]` : ''}`;
}

/** Names of all state nodes and transitions of a machine. */
export function contentsOf(machine: AnyStateMachine): { states: string[]; transitions: string[] } {
  const states: string[] = [];
  const transitions: string[] = [];
  const walk = (node: StateNode<Loose, Loose>): void => {
    states.push(node.id);
    for (const list of [...node.transitions.values(), node.always ?? []]) {
      for (const transition of list) transitions.push(transitionName(transition as Loose));
    }
    for (const child of Object.values(node.states)) walk(child);
  };
  walk(machine.root as Loose);
  return { states, transitions };
}

/** Transitions taken and states entered, from what XState reports of a step. */
export function noteMicrostep(event: Loose, taken: string[], visited: string[]): void {
  if (event.type !== '@xstate.microstep') return;
  for (const transition of event._transitions) {
    if (!transition.source || transition.eventType === 'xstate.init') continue;
    taken.push(transitionName(transition));
    visited.push(transition.source.id);
  }
  for (const node of event.snapshot._nodes) visited.push(node.id);
}

interface Effects {
  readonly timers: Timer[];
  readonly effects: Asked[];
  readonly children: string[];
  readonly sent: Sent[];
}

function perform(action: Loose, now: number, on: Effects): void {
  const { type, params } = action;
  const remove = (list: { id: string }[], id: string): void => {
    const at = list.findIndex((entry) => entry.id === id);
    if (at >= 0) list.splice(at, 1);
  };
  if (type === 'xstate.sendTo') {
    on.sent.push({ to: params.to.id, event: params.event });
  } else if (type === 'xstate.raise') {
    on.timers.push({ id: params.id ?? params.event.type, event: params.event, due: now + params.delay });
  } else if (type === 'xstate.cancel') {
    remove(on.timers, params.sendId ?? params);
  } else if (type === 'xstate.spawnChild') {
    if (isChildMachine(params.src)) on.children.push(params.id);
    else on.effects.push({ id: params.id, name: params.src, input: params.input });
  } else if (type === 'xstate.stopChild') {
    const id = typeof params === 'string' ? params : (params?.actorRef?.id ?? params?.id);
    remove(on.effects, id);
    const at = on.children.indexOf(id);
    if (at >= 0) on.children.splice(at, 1);
  }
}

/** Runs one transition in a scope of stand-ins. */
function run(model: Model, before: Situation | null, now: number, event: Message | null): Situation {
  const actions: Loose[] = [];
  const taken: string[] = [];
  const visited: string[] = [];
  const spawned = new Set<string>(before?.children);
  const known = (id: string): boolean => id === model.id || model.peers.includes(id) || spawned.has(id);
  const stub = (id: string) => ({ id, sessionId: id, send() {}, getSnapshot() {} });
  const system: Loose = {
    get: (id: string) => (known(id) ? stub(id) : undefined),
    getAll: () => ({}),
    _bookId: () => model.id,
    _register() {},
    _unregister() {},
    _set: (id: string) => void spawned.add(id),
    _sendInspectionEvent: (inspected: Loose) => noteMicrostep(inspected, taken, visited),
    _relay() {},
    _snapshot: { _scheduledEvents: {} },
    _clock: { setTimeout() {}, clearTimeout() {} },
    _logger() {},
    scheduler: { schedule() {}, cancel() {}, cancelAll() {} },
  };
  const scope: Loose = {
    self: { ...stub(model.id), system },
    id: model.id,
    sessionId: model.id,
    system,
    logger() {},
    defer() {},
    emit() {},
    stopChild() {},
    actionExecutor: (action: Loose) => void actions.push(action),
  };
  const snapshot: AnyMachineSnapshot =
    before === null
      ? model.machine.getInitialSnapshot(scope, model.input as Loose)
      : model.machine.transition(before.snapshot, event as Loose, scope);
  if (snapshot.status === 'error') throw snapshot.error;
  const next = {
    timers: [...(before?.timers ?? [])],
    effects: [...(before?.effects ?? [])],
    children: [...(before?.children ?? [])],
    sent: [] as Sent[],
  };
  for (const action of actions) perform(action, now, next);
  const isOver = snapshot.status !== 'active';
  return {
    status: snapshot.status,
    output: undefined,
    error: undefined,
    snapshot,
    now,
    ...next,
    ...(isOver ? { timers: [], effects: [], children: [] } : {}),
    taken,
    visited: [...visited, ...snapshot._nodes.map((node) => node.id)],
  };
}

const cache = new WeakMap<Situation, Map<string, Situation>>();

/** Where the machine stands after a move. */
export function step(model: Model, at: Situation, move: Move): Situation {
  const known = cache.get(at) ?? new Map<string, Situation>();
  cache.set(at, known);
  const found = known.get(move.type);
  if (found) return found;
  const next = stepOnce(model, at, move);
  known.set(move.type, next);
  return next;
}

function stepOnce(model: Model, at: Situation, move: Move): Situation {
  const now = at.now + 1;
  switch (move.kind) {
    case 'send':
      return run(model, at, now, move.event);
    case 'crash': {
      const error = new Error(`${move.child} crashed`);
      const event = { type: `xstate.error.actor.${move.child}`, error, actorId: move.child };
      return run(model, { ...at, children: at.children.filter((id) => id !== move.child) }, now, event);
    }
    case 'wait': {
      const timer = nextTimer(at) as Timer;
      return run(model, { ...at, timers: at.timers.filter((other) => other !== timer) }, timer.due, timer.event);
    }
    default: {
      const asked = at.effects.find((effect) => effect.name === move.effect) as Asked;
      const ended =
        move.kind === 'resolve'
          ? { type: `xstate.done.actor.${asked.id}`, output: move.output, actorId: asked.id }
          : { type: `xstate.error.actor.${asked.id}`, error: move.error, actorId: asked.id };
      return run(model, { ...at, effects: at.effects.filter((effect) => effect !== asked) }, now, ended);
    }
  }
}

export const start = (model: Model): Situation => run(model, null, 0, null);

const nextTimer = (at: Situation): Timer | undefined => [...at.timers].sort((a, b) => a.due - b.due)[0];

/** Everything that may happen now. */
export function movesOf(model: Model, at: Situation): readonly Move[] {
  if (at.status !== 'active') return [];
  const ends = at.effects.flatMap((asked) =>
    model.outcomes(asked, at.snapshot.context).map((outcome): Move => {
      const { name: effect } = asked;
      if ('error' in outcome) {
        const { error } = outcome;
        return { type: `${effect} fails: ${error}`, kind: 'reject', effect, error: new BronzeError(error, error) };
      }
      const { name, output } = outcome;
      return { type: `${effect} answers${name ? `: ${name}` : ''}`, kind: 'resolve', effect, output };
    }),
  );
  const timer = nextTimer(at);
  const wait: Move[] = timer ? [{ type: `time passes: ${timer.event.type}`, kind: 'wait' }] : [];
  const all = [...ends, ...wait, ...model.moves(at)];
  const names = new Set(all.map((move) => move.type));
  if (names.size < all.length) {
    throw new Error(`two moves of one name in ${model.name}: ${all.map((move) => move.type).join('; ')}`);
  }
  return all;
}

/** Two situations with the same key are the same to the explorer. */
export function keyOf(model: Model, at: Situation): string {
  const timers = [...at.timers].sort((a, b) => a.due - b.due).map((timer) => `${timer.id} ${timer.event.type}`);
  const { value, context, status } = at.snapshot;
  return JSON.stringify([status, value, model.key(context), timers, at.children]);
}
