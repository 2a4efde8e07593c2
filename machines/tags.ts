/**
 * What watchers may ask of a state (logs, metrics, health, progress, the inspector). A state carries the tags that hold
 * while it is active; nobody outside the machines compares names of states. `status: 'done'` says that a machine ended.
 */

/** Where an era stands; each of its states that is not final has exactly one. */
export const ERA_PHASES = [
  /** It has not yet taken its lock, surveyed its chain and opened its lake. */
  'starting',
  /** It hands out partitions. */
  'copying',
  /** All that its lake has is committed: it waits for more ledgers. */
  'following',
  /** It hands out nothing new, and ends. */
  'draining',
] as const;

export type EraPhase = (typeof ERA_PHASES)[number];

export type Tag =
  | EraPhase
  /** A declared wait. Where a failed effect led here, the effect is tried again. */
  | 'waiting'
  /** Nothing is in hand. */
  | 'idle'
  /** It failed, and does not go on by itself. */
  | 'failed'
  /** It was left without a parent and ended without a word. */
  | 'orphaned';
