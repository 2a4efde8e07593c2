/**
 * What the hosted inspector is given: frames, earlier ones first. Until it is there they are kept: of each actor that is
 * known its actor frame and its last snapshot, and the last few hundred frames. Pure: it sends nothing by itself, and
 * nothing at all before the hosted page has said that it is connected.
 */
import type { ActorFrame, Frame, SnapshotFrame } from './frames.ts';

const KEPT_FRAMES = 300;
/** Actors, ended effects among them, before the ended ones are forgotten. */
const KEPT_ACTORS = 500;

interface Known {
  actor: ActorFrame;
  snapshot: SnapshotFrame | null;
}

export class Relay {
  readonly #isThere: (sessionId: string) => boolean;
  readonly #known = new Map<string, Known>();
  #recent: Frame[] = [];
  #send: ((frame: Frame) => void) | null = null;

  /** `isThere`: whether an actor is one of those that the page shows. */
  constructor(isThere: (sessionId: string) => boolean) {
    this.#isThere = isThere;
  }

  /** Of another run nothing is told. */
  clear(): void {
    this.#known.clear();
    this.#recent = [];
    this.#send = null;
  }

  take(frame: Frame): void {
    const { sessionId } = frame;
    if (frame.type === '@xstate.actor') this.#known.set(sessionId, { actor: frame, snapshot: null });
    const known = this.#known.get(sessionId);
    if (frame.type === '@xstate.snapshot' && known) known.snapshot = frame;
    if (this.#known.size > KEPT_ACTORS) this.#forgetEnded();
    this.#recent.push(frame);
    // In steps, so that not every frame moves the whole list.
    if (this.#recent.length >= 2 * KEPT_FRAMES) this.#recent = this.#recent.slice(-KEPT_FRAMES);
    this.#send?.(frame);
  }

  /** It is there, perhaps not for the first time: gets what was kept, then every frame. */
  connect(send: (frame: Frame) => void): void {
    this.#forgetEnded();
    const recent = this.#recent.slice(-KEPT_FRAMES);
    const comes = new Set(recent);
    const told = new Set<string>();
    for (const [sessionId, { actor, snapshot }] of this.#known) {
      told.add(sessionId);
      if (!comes.has(actor)) send(actor);
      if (snapshot !== null && !comes.has(snapshot) && !comes.has(actor)) send(snapshot);
    }
    for (const frame of recent) {
      if (frame.type === '@xstate.actor') told.add(frame.sessionId);
      // About an effect that ended long ago: it would be nobody's.
      if (told.has(frame.sessionId)) send(frame);
    }
    this.#send = send;
  }

  #forgetEnded(): void {
    for (const sessionId of this.#known.keys()) if (!this.#isThere(sessionId)) this.#known.delete(sessionId);
  }
}
