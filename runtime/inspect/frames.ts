/**
 * From inspection events to the frames of Stately's inspector, as `@statelyai/inspect` makes them. Its adapter makes JSON
 * of whole snapshots, so it is only given copies that are small and without secrets already, and nothing at all while
 * nobody listens.
 *
 * A run must not be slowed by who watches it: frames are made in short turns, for at most a hundredth of the time of one
 * core on the whole. What comes faster waits in a short list. What does not fit into that, or waits there for two seconds,
 * is thinned out: births, and of each actor the last snapshot. So a listener always ends up with the true state, and a
 * frame `inspector.skipped` says how much it did not see.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { createInspector, type StatelyInspectionEvent } from '@statelyai/inspect';
import type { InspectionEvent } from 'xstate';
import { plain } from './plain.ts';
import type { ActorTree, Known, SeenActor } from './tree.ts';

/** Takes one frame, as JSON text. `isPresent`: it is one of those that say how things stood when it began to listen. */
export type Sink = (text: string, isPresent: boolean) => void;

/** Share of one core on the average. */
const SHARE = 0.01;
/** Ms of work that may be used at once after a quiet time; short runs are seen in full. */
const SAVED_MS = 50;
/** More than a frame costs; where it takes longer, somebody else has the processor. */
const FRAME_MS = 0.3;
/**
 * Ms of work that are paid back at the most, in less than LATE_MS: who opens the page on a busy machine is neither to wait
 * for half a minute, nor to miss what happens right after.
 */
const DEBT_MS = 15;
/** Ms between turns, and of preparing frames in one turn. */
const PAUSE_MS = 10;
const TURN_MS = 1;
const LONGEST_PAUSE_MS = 1_000;
/** Events that wait in full. Not many: what stays in memory for long is dear to collect. */
const WAITING = 200;
/** Ms after which what waits is thinned out: who watches wants to see the present. */
const LATE_MS = 2_000;
/** Of them at the end of a run, between two writes to the sockets. */
const AT_ONCE = 25;

/** Characters as JSON of the parts of a frame, together below FRAME. */
const CONTEXT = 14_000;
const EVENT = 6_000;
const VALUE = 2_000;
/** Bytes of a frame; the definition of a machine is not counted. */
export const FRAME = 32_000;

type Relevant = Extract<InspectionEvent, { type: '@xstate.actor' | '@xstate.event' | '@xstate.snapshot' }>;

interface Waiting {
  readonly event: Relevant;
  /** Counts upwards: who began to listen later does not get it. */
  readonly seq: number;
  /** Ms, monotonic. */
  readonly at: number;
}

interface LooseSnapshot {
  readonly status: string;
  readonly value?: unknown;
  readonly historyValue?: unknown;
  readonly context?: unknown;
  readonly children?: Readonly<Record<string, unknown>>;
  readonly tags?: Iterable<string>;
  readonly input?: unknown;
  readonly output?: unknown;
  readonly error?: unknown;
}

const isRelevant = (event: InspectionEvent): event is Relevant =>
  event.type === '@xstate.event' || event.type === '@xstate.snapshot' || event.type === '@xstate.actor';

const sessionOf = (event: Relevant): string => event.actorRef.sessionId as string;

export class Frames {
  readonly #tree: ActorTree;
  /** With the number of the first event that each is to get. */
  readonly #sinks = new Map<Sink, number>();
  /** Copies of contexts and events, which come again in frame after frame. */
  readonly #copies = new WeakMap<object, unknown>();
  /** Those that will be among them. */
  readonly #coming = new Set<Sink>();
  #waiting: Waiting[] = [];
  /** What came after those, thinned out: by actor. */
  readonly #births = new Map<string, Waiting>();
  readonly #lasts = new Map<string, Waiting>();
  #seq = 0;
  #skipped = 0;
  #made = 0;
  #credit = SAVED_MS;
  #creditAt = performance.now();
  #timer: NodeJS.Timeout | null = null;
  #isOver = false;

  constructor(tree: ActorTree) {
    this.#tree = tree;
  }

  /** For every inspection event; some microseconds at the most. */
  inspect(event: InspectionEvent): void {
    if (!isRelevant(event) || this.#sinks.size === 0) return;
    const entry = { event, seq: this.#seq++, at: performance.now() };
    if (this.#isThin || this.#waiting.length >= WAITING) this.#keepLast(entry);
    else this.#waiting.push(entry);
    this.#schedule(PAUSE_MS);
  }

  /** Gives the sink a frame for every actor as it stands, parents first, then what happens from now on. */
  listen(sink: Sink): void {
    this.#refill();
    // On credit, so that nobody waits to see anything at all; but who comes again and again is not to cost more than that.
    if (this.#credit > -DEBT_MS) this.#begin(sink);
    else {
      this.#coming.add(sink);
      this.#schedule(PAUSE_MS);
    }
  }

  leave(sink: Sink): void {
    this.#coming.delete(sink);
    this.#sinks.delete(sink);
    if (this.#sinks.size > 0) return;
    this.#waiting = [];
    this.#births.clear();
    this.#lasts.clear();
    this.#skipped = 0;
  }

  get #isThin(): boolean {
    return this.#births.size > 0 || this.#lasts.size > 0;
  }

  get #isIdle(): boolean {
    return this.#waiting.length === 0 && !this.#isThin;
  }

  /** Everything that still waits: the run is over, nothing can be slowed. Settles when all sinks have it. */
  async flush(): Promise<void> {
    this.#isOver = true;
    if (this.#timer) clearTimeout(this.#timer);
    for (const sink of this.#coming) this.#begin(sink);
    this.#coming.clear();
    do {
      for (let i = 0; i < AT_ONCE; i++) this.#sendNext();
      await sleep(0);
      // Sockets are written meanwhile.
      await new Promise(setImmediate);
    } while (!this.#isIdle);
    this.#tellSkipped(this.#seq);
    await sleep(0);
  }

  #begin(sink: Sink): void {
    this.#sinks.set(sink, this.#seq);
    this.#metered(() => {
      for (const known of this.#tree.present()) {
        this.#convert(bornEvent(known), known.ref.getSnapshot(), (text) => {
          if (this.#sinks.has(sink)) sink(text, true);
        });
      }
    });
  }

  #schedule(ms: number): void {
    if (this.#isOver) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#takeTurn();
    }, ms).unref();
  }

  #takeTurn(): void {
    this.#refill();
    const [first] = this.#coming;
    if (first && this.#credit > -DEBT_MS) {
      this.#coming.delete(first);
      this.#begin(first);
    } else if (this.#credit > 0) {
      this.#metered(() => {
        const end = performance.now() + TURN_MS;
        while (performance.now() < end && this.#sendNext());
      });
    } else {
      const [oldest] = this.#waiting;
      if (oldest && this.#creditAt - oldest.at > LATE_MS) this.#thinAll();
    }
    if (this.#isIdle && this.#coming.size === 0) return;
    this.#schedule(Math.min(LONGEST_PAUSE_MS, PAUSE_MS + Math.max(0, -this.#credit / SHARE)));
  }

  #refill(): void {
    const now = performance.now();
    this.#credit = Math.min(SAVED_MS, this.#credit + (now - this.#creditAt) * SHARE);
    this.#creditAt = now;
  }

  /** The adapter works in timers of its own, one a frame: two others stand before and behind them. */
  #metered(prepare: () => void): void {
    const begun = performance.now();
    const madeBefore = this.#made;
    let converting = begun;
    setTimeout(() => {
      converting = performance.now();
    }, 0);
    prepare();
    const prepared = performance.now() - begun;
    const most = (this.#made - madeBefore) * FRAME_MS;
    setTimeout(() => {
      const spent = Math.min(most, prepared + performance.now() - converting);
      this.#credit = Math.max(this.#credit - spent, -DEBT_MS);
    }, 0);
  }

  #send({ event, seq }: Waiting): void {
    this.#tellSkipped(seq);
    this.#convert(event, this.#snapshotIn(event), (text) => this.#broadcast(text, seq));
  }

  /** Of a birth the first one: there was none yet when XState told of it. */
  #snapshotIn(event: Relevant): unknown {
    if (event.type === '@xstate.event') return null;
    if (event.type === '@xstate.snapshot') return event.snapshot;
    const ref = event.actorRef as unknown as SeenActor;
    return this.#tree.get(ref.sessionId)?.first ?? ref.getSnapshot();
  }

  #broadcast(text: string, seq: number): void {
    for (const [sink, from] of this.#sinks) if (seq >= from) sink(text, false);
  }

  #tellSkipped(seq: number): void {
    const { root } = this.#tree;
    if (this.#skipped === 0 || !root) return;
    const event = { type: 'inspector.skipped', frames: this.#skipped };
    this.#skipped = 0;
    const { ref, rootId } = root;
    const told = { type: '@xstate.event', actorRef: ref, sourceRef: undefined, event, rootId } as unknown as Relevant;
    this.#convert(told, null, (text) => this.#broadcast(text, seq));
  }

  /** The oldest that waits; false where nothing does. */
  #sendNext(): boolean {
    let next = this.#waiting.shift();
    for (const thinned of [this.#births, this.#lasts]) {
      const [first] = next ? [] : thinned;
      if (first) {
        thinned.delete(first[0]);
        next = first[1];
      }
    }
    if (next) this.#send(next);
    return next !== undefined;
  }

  #keepLast(entry: Waiting): void {
    const { event } = entry;
    const session = sessionOf(event);
    if (event.type === '@xstate.actor') this.#births.set(session, entry);
    else if (event.type === '@xstate.event') this.#skipped += 1;
    else {
      // At the end, in the order of the snapshots that are kept.
      if (this.#lasts.delete(session)) this.#skipped += 1;
      // Born, ended and forgotten meanwhile: nobody has heard of it.
      if (!this.#tree.get(session) && this.#births.delete(session)) this.#skipped += 2;
      else this.#lasts.set(session, entry);
    }
  }

  #thinAll(): void {
    const all = [...this.#waiting.splice(0), ...this.#births.values(), ...this.#lasts.values()];
    this.#births.clear();
    this.#lasts.clear();
    const sessions = all.filter(({ event }) => event.type === '@xstate.actor').map(({ event }) => sessionOf(event));
    const gone = new Set(sessions.filter((session) => !this.#tree.get(session)));
    for (const entry of all) {
      if (gone.has(sessionOf(entry.event))) this.#skipped += 1;
      else this.#keepLast(entry);
    }
  }

  /** Through the adapter, on its next turn. What it is given cannot make it throw: plain data and nothing else. */
  #convert(event: Relevant, snapshot: unknown, take: (text: string) => void): void {
    const ref = event.actorRef as unknown as SeenActor;
    const copied = event.type === '@xstate.event' ? null : this.#snapshot(snapshot);
    const shown = {
      id: ref.id,
      sessionId: ref.sessionId,
      // Without a parent the adapter would find none either.
      ...(ref._parent ? { _parent: { sessionId: ref._parent.sessionId } } : {}),
      logic: { config: ref.logic?.config },
      getSnapshot: () => copied,
    };
    const source = event.type === '@xstate.event' && event.sourceRef ? { sessionId: event.sourceRef.sessionId } : null;
    const prepared = {
      type: event.type,
      rootId: event.rootId,
      actorRef: shown,
      ...(source ? { sourceRef: source } : {}),
      ...('event' in event ? { event: this.#copy(event.event, EVENT) } : {}),
      ...(event.type === '@xstate.snapshot' ? { snapshot: copied } : {}),
    };
    this.#made += 1;
    const { inspect } = createInspector({ send: (frame) => take(frameText(frame)) });
    inspect.next?.(prepared as unknown as InspectionEvent);
  }

  /** What XState's toJSON keeps of a snapshot, each part bounded. */
  #snapshot(value: unknown): Record<string, unknown> {
    const {
      status,
      value: state,
      historyValue,
      context,
      children,
      tags,
      input,
      output,
      error,
    } = (value ?? {}) as LooseSnapshot;
    return {
      status: status ?? 'active',
      ...(state === undefined ? {} : { value: plain(state, VALUE) }),
      ...(historyValue === undefined ? {} : { historyValue: plain(historyValue, VALUE) }),
      ...(context === undefined ? {} : { context: this.#copy(context, CONTEXT) }),
      ...(children === undefined ? {} : { children: plain(children, VALUE) }),
      ...(tags === undefined ? {} : { tags: [...tags] }),
      ...(input === undefined ? {} : { input: this.#copy(input, VALUE) }),
      ...(output === undefined ? {} : { output: this.#copy(output, VALUE) }),
      ...(error === undefined ? {} : { error: plain(error, VALUE) }),
    };
  }

  /** Contexts and events are never changed, so a copy holds as long as they do. */
  #copy(value: unknown, size: number): unknown {
    if (typeof value !== 'object' || value === null) return plain(value, size);
    const known = this.#copies.get(value);
    if (known !== undefined) return known;
    const made = plain(value, size);
    this.#copies.set(value, made);
    return made;
  }
}

const bornEvent = ({ ref, rootId }: Known): Relevant =>
  ({ type: '@xstate.actor', actorRef: ref, rootId }) as unknown as Relevant;

/** Texts of control characters or of other scripts take more bytes than they have characters: then it is cut. */
function frameText(frame: StatelyInspectionEvent): string {
  const text = JSON.stringify(frame);
  if (text.length * 3 <= FRAME) return text;
  const definition = 'definition' in frame ? JSON.stringify(frame.definition ?? '').length : 0;
  if (Buffer.byteLength(text) - definition <= FRAME) return text;
  return JSON.stringify({
    ...frame,
    ...('snapshot' in frame ? { snapshot: { ...(frame.snapshot as object), context: '…', children: {} } } : {}),
    ...('event' in frame ? { event: { type: frame.event.type, '…': 'too large' } } : {}),
  });
}
