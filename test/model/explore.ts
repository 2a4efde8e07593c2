/**
 * Breadth first over all states of a world, to exhaustion. States are rows in one array, found again by a hash table;
 * of the edges only the benign ones are kept, for the question whether a finished world can be reached from everywhere.
 */
import type { Configuration } from './configurations.ts';
import { Invariants } from './invariants.ts';
import { forEachMove, isAnythingPending, isOver, type Label, outcomeOf } from './moves.ts';
import { World } from './world.ts';

export interface TraceStep extends Label {
  readonly kind: string;
}

export interface Violation {
  readonly rule: string;
  readonly trace: readonly TraceStep[];
}

export interface Report {
  readonly name: string;
  readonly states: number;
  readonly edges: number;
  readonly depth: number;
  readonly ms: number;
  readonly goals: number;
  readonly moves: ReadonlyMap<string, number>;
  readonly violation: Violation | null;
  /** False where the limit was met before everything was seen. */
  readonly exhausted: boolean;
  /** Durable contents with which runs ended, as text; only where asked for. */
  readonly ends: ReadonlySet<string>;
}

/** Numbers, appended without end. */
class Growing {
  data: Int32Array;
  length = 0;

  constructor(capacity = 1 << 16) {
    this.data = new Int32Array(capacity);
  }

  push(value: number): void {
    if (this.length === this.data.length) this.#grow(this.length + 1);
    this.data[this.length++] = value;
  }

  pushRow(row: Int32Array): void {
    if (this.length + row.length > this.data.length) this.#grow(this.length + row.length);
    this.data.set(row, this.length);
    this.length += row.length;
  }

  #grow(needed: number): void {
    const bigger = new Int32Array(Math.max(this.data.length * 2, needed));
    bigger.set(this.data);
    this.data = bigger;
  }
}

/** Rows by content. */
class Rows {
  readonly rows = new Growing(1 << 20);
  count = 0;
  #table = new Int32Array(1 << 18).fill(-1);

  readonly width: number;

  constructor(width: number) {
    this.width = width;
  }

  /** The row's index, and whether it is new. */
  add(row: Int32Array): { index: number; fresh: boolean } {
    if (this.count * 2 > this.#table.length) this.#rehash();
    const mask = this.#table.length - 1;
    for (let at = hash(row, 0, this.width) & mask; ; at = (at + 1) & mask) {
      const index = this.#table[at] as number;
      if (index < 0) {
        this.#table[at] = this.count;
        this.rows.pushRow(row);
        return { index: this.count++, fresh: true };
      }
      if (this.#equals(index, row)) return { index, fresh: false };
    }
  }

  #equals(index: number, row: Int32Array): boolean {
    const { data } = this.rows;
    const from = index * this.width;
    for (let i = 0; i < this.width; i++) if (data[from + i] !== row[i]) return false;
    return true;
  }

  #rehash(): void {
    const table = new Int32Array(this.#table.length * 2).fill(-1);
    const mask = table.length - 1;
    for (let index = 0; index < this.count; index++) {
      let at = hash(this.rows.data, index * this.width, this.width) & mask;
      while ((table[at] as number) >= 0) at = (at + 1) & mask;
      table[at] = index;
    }
    this.#table = table;
  }
}

function hash(data: Int32Array, from: number, width: number): number {
  let h = 0x811c9dc5;
  for (let i = from; i < from + width; i++) {
    h = Math.imul(h ^ (data[i] as number), 0x9e3779b1);
    h ^= h >>> 15;
  }
  return h >>> 0;
}

/** Every run is over, and nothing that was asked for is left, not even for the next run. */
function isGoal(world: World): boolean {
  const { config } = world;
  if (config.goal) return config.goal(world);
  for (let copier = 0; copier < config.copiers; copier++) {
    if (!isOver(world, copier)) return false;
    const outcome = outcomeOf(world, copier);
    if (outcome !== 'done' && !config.staysFailed) return false;
  }
  return config.staysFailed === true || !isAnythingPending(world);
}

/** Everything durable that readers see, as text. */
function endOf(world: World): string {
  const outcomes = Array.from({ length: world.config.copiers }, (_, copier) => outcomeOf(world, copier));
  const chains = world.config.eras.map((_, era) => {
    const { data, manifests, events } = world.chain(era);
    return { data, manifests, events };
  });
  return JSON.stringify([outcomes, chains]);
}

export function explore(config: Configuration, options: { limit?: number; collectEnds?: boolean } = {}): Report {
  const started = performance.now();
  const limit = options.limit ?? 5_000_000;
  const world = new World(config);
  const invariants = new Invariants(world);
  const table = new Rows(world.width);
  const parents = new Growing();
  const edges = { from: new Growing(), to: new Growing() };
  const goals: number[] = [];
  const moves = new Map<string, number>();
  const ends = new Set<string>();
  let edgeCount = 0;
  let depth = 0;

  const report = (violation: Violation | null, exhausted = true): Report => ({
    name: config.name,
    states: table.count,
    edges: edgeCount,
    depth,
    ms: Math.round(performance.now() - started),
    goals: goals.length,
    moves,
    violation,
    exhausted,
    ends,
  });
  const broken = (rule: string, index: number, last?: { row: Int32Array; kind: string }): Report =>
    report({ rule, trace: traceTo(world, table, parents.data, index, last) });

  world.begin();
  const first = world.problem ?? invariants.state();
  table.add(world.row);
  parents.push(-1);
  if (first) return broken(first, 0);

  let levelEnd = 1;
  for (let at = 0; at < table.count; at++) {
    if (at === levelEnd) {
      depth++;
      levelEnd = table.count;
    }
    world.load(table.rows.data, at);
    const durable = invariants.durable();
    const goal = isGoal(world);
    if (goal) {
      goals.push(at);
      if (options.collectEnds) ends.add(endOf(world));
    }
    let benign = 0;
    let failed: Report | null = null;
    // Rows may move to a bigger array while moves are made.
    const rows = table.rows.data;
    forEachMove(world, rows, at, (move) => {
      if (failed) return;
      edgeCount++;
      moves.set(move.kind, (moves.get(move.kind) ?? 0) + 1);
      const rule = world.problem ?? invariants.change(durable, move.mover, move.kind);
      if (rule) {
        failed = broken(rule, at, { row: world.row.slice(), kind: move.kind });
        return;
      }
      const { index, fresh } = table.add(world.row);
      if (fresh) {
        parents.push(at);
        const state = invariants.state();
        if (state) {
          failed = broken(state, index);
          return;
        }
      }
      if (move.benign) {
        if (index !== at) benign++;
        edges.from.push(at);
        edges.to.push(index);
      }
    });
    if (failed) return failed;
    if (benign === 0 && !goal) return broken('deadlock: the run is not over and nothing can happen any more', at);
    if (table.count > limit) return report(null, false);
  }
  const stuck = unreachable(table.count, goals, edges);
  if (stuck >= 0) return broken('no finished world can be reached from here, whatever happens', stuck);
  return report(null);
}

/** The first state from which no goal can be reached by benign moves; -1 = none. Backward closure from the goals. */
function unreachable(count: number, goals: readonly number[], edges: { from: Growing; to: Growing }): number {
  const starts = new Int32Array(count + 1);
  for (let i = 0; i < edges.to.length; i++)
    starts[(edges.to.data[i] as number) + 1] = (starts[(edges.to.data[i] as number) + 1] as number) + 1;
  for (let i = 0; i < count; i++) starts[i + 1] = (starts[i + 1] as number) + (starts[i] as number);
  const filled = starts.slice();
  const sources = new Int32Array(edges.to.length);
  for (let i = 0; i < edges.to.length; i++) {
    const to = edges.to.data[i] as number;
    const at = filled[to] as number;
    sources[at] = edges.from.data[i] as number;
    filled[to] = at + 1;
  }
  const reached = new Uint8Array(count);
  const stack = [...goals];
  for (const goal of goals) reached[goal] = 1;
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    for (let i = starts[at] as number; i < (starts[at + 1] as number); i++) {
      const from = sources[i] as number;
      if (reached[from]) continue;
      reached[from] = 1;
      stack.push(from);
    }
  }
  return reached.indexOf(0);
}

/** The shortest way to a state, told again from the start. */
function traceTo(
  world: World,
  table: Rows,
  parents: Int32Array,
  index: number,
  last?: { row: Int32Array; kind: string },
): TraceStep[] {
  const path: number[] = [];
  for (let at = index; at >= 0; at = parents[at] as number) path.unshift(at);
  const rows = table.rows.data;
  const steps: TraceStep[] = [];
  const find = (from: number, matches: (kind: string) => boolean): void => {
    let found = false;
    forEachMove(world, rows, from, ({ kind, label }) => {
      if (found || !matches(kind)) return;
      found = true;
      steps.push({ kind, ...label() });
    });
  };
  const isNow = (row: Int32Array): boolean => row.every((value, i) => value === world.row[i]);
  for (let i = 0; i + 1 < path.length; i++) {
    const to = path[i + 1] as number;
    const row = rows.slice(to * world.width, (to + 1) * world.width);
    find(path[i] as number, () => isNow(row));
  }
  if (last) find(index, (kind) => kind === last.kind && isNow(last.row));
  return steps;
}
