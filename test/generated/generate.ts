/**
 * From a model to test cases: the shortest paths of xstate/graph to every situation, and over every transition that can
 * be taken from there. No path is the beginning of another.
 */
import type { ActorLogic, ActorSystem, EventObject, Snapshot } from 'xstate';
import { getAdjacencyMap, getShortestPaths } from 'xstate/graph';
import { contentsOf } from '../support/stepper.ts';
import { keyOf, type Model, type Move, movesOf, type Situation, start, step } from './stepper.ts';

export interface Case {
  readonly moves: readonly Move[];
  /** Where the machine must stand at the start and after each move. */
  readonly expected: readonly Situation[];
}

export interface Generated {
  readonly model: Model;
  readonly situations: number;
  readonly cases: readonly Case[];
}

/** More than this means that a model's key does not keep its promise to be finite. */
const LIMIT = 60_000;

type Logic = ActorLogic<Situation & Snapshot<unknown>, Move & EventObject, unknown, ActorSystem<never>>;

/** Tells apart what a move does from what it does elsewhere: the state, the move, the transitions it takes, the answer. */
const signature = (before: Situation, move: Move, after: Situation): string =>
  JSON.stringify([
    before.snapshot.value,
    move.type,
    after.taken,
    after.snapshot.value,
    after.sent.map((sent) => [sent.to, sent.event.type]),
  ]);

export function generate(model: Model): Generated {
  const initial = start(model);
  const logic = {
    transition: (at: Situation, move: Move) => step(model, at, move),
    getInitialSnapshot: () => initial,
    getPersistedSnapshot: (at: Situation) => at,
  } as unknown as Logic;
  const options = {
    fromState: initial,
    events: (at: Situation) => movesOf(model, at),
    serializeState: (at: Situation) => keyOf(model, at),
    serializeEvent: (move: Move) => move.type,
    limit: LIMIT,
  };
  const paths = getShortestPaths(logic, options as never);
  const adjacency = getAdjacencyMap(logic as never, options as never) as Record<
    string,
    { state: Situation; transitions: Record<string, { event: Move; state: Situation }> }
  >;
  const seen = new Set<string>();
  const found: Move[][] = [];
  for (const path of paths) {
    const moves = path.steps.slice(1).map((taken) => taken.event as Move);
    found.push(moves);
    const here = adjacency[keyOf(model, path.state as Situation)];
    for (const { event, state } of Object.values(here?.transitions ?? {})) {
      const mark = signature((here as { state: Situation }).state, event, state);
      if (seen.has(mark)) continue;
      seen.add(mark);
      found.push([...moves, event]);
    }
  }
  return { model, situations: paths.length, cases: withoutPrefixes(found).map((moves) => follow(model, moves)) };
}

function withoutPrefixes(all: readonly Move[][]): Move[][] {
  const label = (moves: readonly Move[]): string => moves.map((move) => `${move.type}\n`).join('');
  const prefixes = new Set<string>();
  for (const moves of all) for (let n = 0; n < moves.length; n++) prefixes.add(label(moves.slice(0, n)));
  const kept = new Map(all.map((moves) => [label(moves), moves]));
  return [...kept].filter(([name]) => !prefixes.has(name)).map(([, moves]) => moves);
}

function follow(model: Model, moves: readonly Move[]): Case {
  const expected = [start(model)];
  for (const move of moves) expected.push(step(model, expected.at(-1) as Situation, move));
  return { moves, expected };
}

/** What of a machine was reached, over all its models. */
export class Coverage {
  readonly machine: string;
  readonly #all: { states: string[]; transitions: string[] };
  readonly #states = new Set<string>();
  readonly #transitions = new Set<string>();

  constructor(model: Model) {
    this.machine = model.name;
    this.#all = contentsOf(model.machine);
    // Its root and every compound state are entered with their children.
    this.#states.add(model.machine.root.id);
  }

  add(reached: { readonly taken: readonly string[]; readonly visited: readonly string[] }): void {
    for (const name of reached.taken) this.#transitions.add(name);
    for (const name of reached.visited) this.#states.add(name);
  }

  get missing(): string[] {
    return [
      ...this.#all.states.filter((name) => !this.#states.has(name)),
      ...this.#all.transitions.filter((name) => !this.#transitions.has(name)),
    ];
  }

  get row(): { states: string; transitions: string } {
    const count = (all: string[], some: Set<string>) => `${all.filter((name) => some.has(name)).length}/${all.length}`;
    return {
      states: count(this.#all.states, this.#states),
      transitions: count(this.#all.transitions, this.#transitions),
    };
  }
}
