/**
 * One machine alone, stepped by pure transitions: what it would have sent, asked for and timed is collected as data.
 * A *situation* is everything that the next move can depend on; a *move* is one thing that the world does to it.
 * It never starts an actor. Children that are machines themselves are stand-ins here (see replay.ts for the real ones).
 */
import type { AnyMachineSnapshot, AnyStateMachine } from 'xstate';
import type { EffectName } from '../../machines/effects.ts';
import { BronzeError, type ErrorCode } from '../../machines/errors.ts';
import { firstStep, firstWay, type Loose, type Message, nextStep, type Output, wayOf } from '../support/stepper.ts';

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
  /** Of the actor. */
  readonly id: string;
  /** `parent`, where it has one, is what stands for it. */
  readonly input: Readonly<Record<string, unknown>>;
  /** Ends of its effects; `context` is the machine's. */
  outcomes(asked: Asked, context: Loose): readonly Outcome[];
  /** Messages and crashes that may arrive. */
  moves(at: Situation): readonly Move[];
  /** What of the context tells situations apart. Must make the number of situations finite. */
  key(context: Loose): unknown;
}

interface Effects {
  readonly timers: Timer[];
  readonly effects: Asked[];
  readonly children: string[];
  readonly sent: Sent[];
}

function perform(output: Output, now: number, on: Effects): void {
  const remove = (list: { id: string }[], id: string): void => {
    const at = list.findIndex((entry) => entry.id === id);
    if (at >= 0) list.splice(at, 1);
  };
  switch (output.kind) {
    case 'send':
      on.sent.push({ to: output.to, event: output.event });
      break;
    case 'timer':
      on.timers.push({ id: output.id, event: output.event, due: now + output.delay });
      break;
    case 'cancel':
      remove(on.timers, output.id);
      break;
    case 'child':
      on.children.push(output.id);
      break;
    case 'effect':
      on.effects.push({ id: output.id, name: output.name, input: output.input });
      break;
    case 'stop': {
      remove(on.effects, output.id);
      const at = on.children.indexOf(output.id);
      if (at >= 0) on.children.splice(at, 1);
    }
  }
}

function run(model: Model, before: Situation | null, now: number, event: Message | null): Situation {
  const { machine, id, input } = model;
  const isFirst = before === null || event === null;
  const { snapshot, outputs } = isFirst ? firstStep(machine, id, input) : nextStep(machine, id, before.snapshot, event);
  const next = {
    timers: [...(before?.timers ?? [])],
    effects: [...(before?.effects ?? [])],
    children: [...(before?.children ?? [])],
    sent: [] as Sent[],
  };
  for (const output of outputs) perform(output, now, next);
  const isOver = snapshot.status !== 'active';
  return {
    status: snapshot.status,
    output: undefined,
    error: undefined,
    snapshot,
    now,
    ...next,
    ...(isOver ? { timers: [], effects: [], children: [] } : {}),
    ...(isFirst ? firstWay(machine, input) : wayOf(machine, before.snapshot, event)),
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
