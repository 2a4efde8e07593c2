/**
 * The actors of a run as they stand: those that live, and machines that have ended (a finished era is to be seen). Ended
 * effects are forgotten, and so is a machine when another one takes its name, so that a run of months does not grow it.
 * It keeps references and converts nothing.
 */
import type { AnyActorRef, InspectionEvent } from 'xstate';

/** An actor as XState has it; what its types leave out is there in all of 5.x. */
export interface SeenActor {
  readonly id: string;
  readonly sessionId: string;
  readonly logic?: { readonly config?: unknown };
  readonly _parent?: SeenActor;
  readonly getSnapshot: () => unknown;
}

export interface Known {
  readonly ref: SeenActor;
  readonly rootId: string;
  readonly isMachine: boolean;
  /** Its first snapshot; undefined before there is one. */
  first: unknown;
}

interface LooseSnapshot {
  readonly status?: string;
  readonly children?: Readonly<Record<string, AnyActorRef | undefined>>;
}

/** Above it effects are compared with their parents: one that was stopped before it started ends without a word. */
const EFFECTS = 500;

const snapshotOf = (ref: SeenActor): LooseSnapshot => (ref.getSnapshot() ?? {}) as LooseSnapshot;

export const isMachine = (ref: SeenActor): boolean =>
  typeof ref.logic?.config === 'object' && ref.logic.config !== null;

export class ActorTree {
  /** By session, in the order of their births: parents come first. */
  readonly #known = new Map<string, Known>();
  /** Machines by name. */
  readonly #named = new Map<string, Known>();
  #effectsAllowed = EFFECTS;
  #sweepIsDue = false;

  get size(): number {
    return this.#known.size;
  }

  get(sessionId: string): Known | undefined {
    return this.#known.get(sessionId);
  }

  /** Null before anything was started. */
  get root(): Known | null {
    return this.#known.values().next().value ?? null;
  }

  /** To be told of every actor and every snapshot. */
  note(event: InspectionEvent): void {
    const ref = event.actorRef as unknown as SeenActor;
    if (event.type === '@xstate.actor') {
      const known = { ref, rootId: event.rootId, isMachine: isMachine(ref), first: undefined };
      this.#known.set(ref.sessionId, known);
      if (known.isMachine) this.#takeName(known);
      else if (this.#known.size - this.#named.size > this.#effectsAllowed) this.#sweepSoon();
      return;
    }
    const known = event.type === '@xstate.snapshot' ? this.#known.get(ref.sessionId) : undefined;
    if (!known || event.type !== '@xstate.snapshot') return;
    known.first ??= event.snapshot;
    if (event.snapshot.status !== 'active' && !known.isMachine) this.#known.delete(ref.sessionId);
  }

  /** Parents first. */
  present(): Known[] {
    this.#sweep();
    return [...this.#known.values()];
  }

  #takeName(known: Known): void {
    const before = this.#named.get(known.ref.id);
    this.#named.set(known.ref.id, known);
    if (before) this.#forget(before);
  }

  #forget(known: Known): void {
    this.#known.delete(known.ref.sessionId);
    if (this.#named.get(known.ref.id) === known) this.#named.delete(known.ref.id);
    for (const other of this.#known.values()) {
      if (other.ref._parent?.sessionId === known.ref.sessionId) this.#forget(other);
    }
  }

  /** Not in the middle of a transition: what it has just spawned does not yet stand in its parent's snapshot. */
  #sweepSoon(): void {
    if (this.#sweepIsDue) return;
    this.#sweepIsDue = true;
    setImmediate(() => {
      this.#sweepIsDue = false;
      this.#sweep();
    });
  }

  #sweep(): void {
    for (const known of this.#known.values()) {
      const { ref } = known;
      if (known.isMachine || !ref._parent) continue;
      const isThere = snapshotOf(ref._parent).children?.[ref.id]?.sessionId === ref.sessionId;
      if (!isThere && known.first === undefined) this.#known.delete(ref.sessionId);
    }
    this.#effectsAllowed = Math.max(EFFECTS, 2 * (this.#known.size - this.#named.size));
  }
}
