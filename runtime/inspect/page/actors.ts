/**
 * The actors of a run, as a tree, from the frames. Pure: no element, no clock. It is bounded by what runs: effects that
 * have ended vanish, and an actor that is started again under its name takes the place of the one before.
 */
import { activePaths, leaves } from './chart.ts';
import { at, type Frame, isObject, type Snapshot } from './frames.ts';

export interface Transition {
  readonly from: string;
  readonly to: string;
  /** Type of the event that caused it. */
  readonly event: string;
}

export interface Actor {
  readonly sessionId: string;
  /** `worker:pre_p23:2`; of an effect, the id that XState gave it. */
  readonly name: string;
  readonly parent: Actor | null;
  readonly children: Set<Actor>;
  /** Name of its chart; null = an effect. */
  readonly machine: string | null;
  /** Of an effect, what it does: `buildPartition`. Of a machine, its name. */
  readonly label: string;
  snapshot: Snapshot;
  /** Paths of its active states, outer ones first. */
  active: readonly string[];
  last: Transition | null;
}

/** `stopped`: ended by its parent, or left behind when its parent ended. */
export type Kind = 'running' | 'waiting' | 'idle' | 'done' | 'failed' | 'stopped';

/** What the copier puts in the place of what it left out. */
const CUT = '…';

const KEPT_LABELS = 500;

const WAITS = new Set(['backingOff', 'awaitingLedgers', 'waitingForCatalog', 'waitingForDelivery']);
const FAILURES = new Set(['failed', 'crashed']);

const isActive = (snapshot: Snapshot): boolean => (snapshot.status ?? 'active') === 'active';

/** The innermost active states, for people. */
export const stateText = (actor: Actor): string => leaves(actor.active).join(', ') || (actor.snapshot.status ?? '');

/** Effects by the ids that XState gives them (`0.worker.building`), found in a machine's configuration. */
function effectsOf(definition: string): Map<string, string> {
  const found = new Map<string, string>();
  const visit = (node: unknown, path: readonly string[]): void => {
    const invoke = at(node, 'invoke');
    for (const [i, each] of (Array.isArray(invoke) ? invoke : [invoke]).entries()) {
      const src = at(each, 'src');
      if (typeof src === 'string') found.set(String(at(each, 'id') ?? `${i}.${path.join('.')}`), src);
    }
    const states = at(node, 'states');
    if (isObject(states)) for (const [key, state] of Object.entries(states)) visit(state, [...path, key]);
  };
  try {
    const root: unknown = JSON.parse(definition);
    visit(root, [String(at(root, 'id'))]);
  } catch {
    // A definition that was cut: its effects keep the names that XState gave them.
  }
  return found;
}

export class Actors {
  readonly #all = new Map<string, Actor>();
  /** By machine: they never change within a run. */
  readonly #effects = new Map<string, Map<string, string>>();
  /** Labels of effects that have ended: events that were sent before may come after. The oldest are forgotten. */
  readonly #ended = new Map<string, string>();

  get roots(): Actor[] {
    return [...this.#all.values()].filter((actor) => actor.parent === null);
  }

  /** Parents before their children. */
  get all(): Iterable<Actor> {
    return this.#all.values();
  }

  get(sessionId: string): Actor | undefined {
    return this.#all.get(sessionId);
  }

  named(name: string): Actor | undefined {
    for (const actor of this.#all.values()) if (actor.name === name) return actor;
    return undefined;
  }

  /** For people: the name of a machine, what an effect does. */
  labelOf(sessionId: string): string {
    return this.#all.get(sessionId)?.label ?? this.#ended.get(sessionId) ?? sessionId;
  }

  /** The copier was started again: what was known is another run's. */
  clear(): void {
    this.#all.clear();
    this.#ended.clear();
  }

  /** Answers the transition that the frame tells of; null where no state was left. */
  apply(frame: Frame): Transition | null {
    if (frame.type === '@xstate.actor') {
      this.#add(frame.sessionId, frame.name ?? frame.sessionId, frame.parentId, frame.snapshot ?? {}, frame.definition);
      return null;
    }
    const actor = this.#all.get(frame.sessionId);
    if (!actor || frame.type === '@xstate.event') return null;
    return this.#take(actor, frame.snapshot, frame.event?.type ?? '');
  }

  #add(
    sessionId: string,
    name: string,
    parentId: string | undefined,
    snapshot: Snapshot,
    definition: string | undefined,
  ): void {
    const known = this.#all.get(sessionId);
    if (known) {
      this.#take(known, snapshot, '');
      return;
    }
    const parent = (parentId !== undefined && this.#all.get(parentId)) || null;
    const machine = snapshot.value === undefined ? null : (name.split(':')[0] ?? name);
    if (machine !== null && definition !== undefined && !this.#effects.has(machine)) {
      this.#effects.set(machine, effectsOf(definition));
    }
    for (const former of parent?.children ?? []) if (former.name === name) this.#remove(former);
    const actor: Actor = {
      sessionId,
      name,
      parent,
      children: new Set(),
      machine,
      label: machine === null ? (this.#effects.get(parent?.machine ?? '')?.get(name) ?? name) : name,
      snapshot,
      active: activePaths(snapshot.value),
      last: null,
    };
    // Told of after its end: only machines stay.
    if (machine === null && !isActive(snapshot)) {
      this.#noteEnd(actor);
      return;
    }
    this.#all.set(sessionId, actor);
    parent?.children.add(actor);
  }

  #take(actor: Actor, snapshot: Snapshot, event: string): Transition | null {
    if (actor.machine === null) {
      if (!isActive(snapshot)) this.#remove(actor);
      return null;
    }
    const before = stateText(actor);
    actor.snapshot = snapshot;
    if (snapshot.value !== undefined) actor.active = activePaths(snapshot.value);
    this.#dropEnded(actor);
    const after = stateText(actor);
    if (before === after || event === '') return null;
    actor.last = { from: before, to: after, event };
    return actor.last;
  }

  /** An effect that was cancelled says nothing; its parent no longer has it. */
  #dropEnded(actor: Actor): void {
    const { children, context } = actor.snapshot;
    // Of a frame that was too large, or had too many children, not all of them are told.
    if (!isObject(children) || CUT in children || context === CUT) return;
    for (const child of actor.children) if (child.machine === null && !(child.name in children)) this.#remove(child);
  }

  #remove(actor: Actor): void {
    for (const child of actor.children) this.#remove(child);
    actor.parent?.children.delete(actor);
    this.#all.delete(actor.sessionId);
    if (actor.machine === null) this.#noteEnd(actor);
  }

  #noteEnd({ sessionId, label }: Actor): void {
    this.#ended.set(sessionId, label);
    const [oldest] = this.#ended.keys();
    if (this.#ended.size > KEPT_LABELS && oldest !== undefined) this.#ended.delete(oldest);
  }
}

/** Whether it came to its end, well or badly. */
export const isOver = (actor: Actor): boolean => !isActive(actor.snapshot);

/** What the supervisor knows of an era's end; an era that was given up cannot say it itself. */
const outcomeOf = (actor: Actor): unknown =>
  actor.machine === 'era'
    ? at(actor.parent?.snapshot.context, 'eras', actor.name.slice('era:'.length), 'summary', 'outcome')
    : undefined;

export function kindOf(actor: Actor): Kind {
  const states = actor.active.flatMap((path) => path.split('.'));
  if (actor.snapshot.status === 'error' || outcomeOf(actor) === 'failed') return 'failed';
  if (states.some((state) => FAILURES.has(state))) return 'failed';
  if (isOver(actor)) return states.includes('orphaned') || actor.snapshot.status === 'stopped' ? 'stopped' : 'done';
  for (let above = actor.parent; above !== null; above = above.parent) if (isOver(above)) return 'stopped';
  if (states.some((state) => WAITS.has(state))) return 'waiting';
  if (actor.machine === 'era' && at(actor.snapshot.context, 'waits', 'era') !== undefined) return 'waiting';
  return states.includes('idle') || states.includes('waiting') ? 'idle' : 'running';
}

/** Whether it, or any machine below it, has failed. */
export function hasFailure(actor: Actor): boolean {
  if (actor.machine === null) return false;
  if (kindOf(actor) === 'failed') return true;
  for (const child of actor.children) if (hasFailure(child)) return true;
  return false;
}

/** What it waits for outside, in its own words, if it said so to its era. */
export function waitOf(actor: Actor): string | null {
  const era = actor.machine === 'era' ? actor : actor.parent;
  const reason = at(era?.snapshot.context, 'waits', actor.machine === 'era' ? 'era' : actor.name);
  return typeof reason === 'string' && !isOver(actor) ? reason : null;
}
