/**
 * What comes over the WebSocket: the frames of `@statelyai/inspect` 0.7, as far as the page reads them. Everything
 * beyond these fields is passed on as it came. It does not throw: a frame that is none is left out.
 */

interface FrameHead {
  /** Of the actor that the frame is about; unique within one run of the program. */
  readonly sessionId: string;
  /** Ms since the epoch, as text. */
  readonly createdAt?: string;
}

/** `value` stands in snapshots of machines only, `error` in those that threw. */
export interface Snapshot {
  readonly status?: string;
  readonly value?: unknown;
  readonly context?: unknown;
  readonly error?: unknown;
  readonly children?: unknown;
}

export interface LooseEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

export interface ActorFrame extends FrameHead {
  readonly type: '@xstate.actor';
  readonly name?: string;
  readonly parentId?: string;
  /** The machine's configuration, as JSON text. */
  readonly definition?: string;
  readonly snapshot?: Snapshot;
}

export interface EventFrame extends FrameHead {
  readonly type: '@xstate.event';
  readonly sourceId?: string;
  readonly event: LooseEvent;
}

export interface SnapshotFrame extends FrameHead {
  readonly type: '@xstate.snapshot';
  readonly event?: LooseEvent;
  readonly snapshot: Snapshot;
}

export type Frame = ActorFrame | EventFrame | SnapshotFrame;

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const hasType = (value: unknown): boolean => isObject(value) && typeof value.type === 'string';

/** Null where the text is no frame that the page knows. */
export function parseFrame(text: string): Frame | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isObject(value) || typeof value.sessionId !== 'string') return null;
  const known =
    value.type === '@xstate.actor' ||
    (value.type === '@xstate.event' && hasType(value.event)) ||
    (value.type === '@xstate.snapshot' && isObject(value.snapshot));
  return known ? (value as unknown as Frame) : null;
}

/** What lies at a path in a value of unknown shape; undefined where the path ends before. */
export const at = (value: unknown, ...path: readonly string[]): unknown =>
  path.reduce<unknown>((inner, key) => (isObject(inner) ? inner[key] : undefined), value);
