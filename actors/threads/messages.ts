/**
 * What the pool and its threads say to each other. Plain data only: it is cloned, and an error crosses as a Failure.
 */
import type { Failure } from '../../machines/errors.ts';
import type { BuildAnswer, BuildTask, Progress, ReadBackAnswer, ReadBackTask } from '../parquet/spec.ts';
import type { ReadCounts } from '../source/meter.ts';

export type ThreadTask = BuildTask | ReadBackTask;
export type ThreadAnswer = BuildAnswer | ReadBackAnswer;

/**
 * One int32 shared with a thread: not 0 = the task is no longer wanted. Seen at once, also by a thread that computes
 * without a pause; the `cancel` message beside it wakes one that waits.
 */
export type CancelFlag = SharedArrayBuffer;

/** To a thread. It works on one task at a time. */
export type ToThread =
  | { readonly type: 'run'; readonly id: number; readonly task: ThreadTask; readonly cancel: CancelFlag }
  | { readonly type: 'cancel'; readonly id: number };

/** From a thread. After `done` or `failed` it is free; of a build that failed nothing is left staged. */
export type FromThread = {
  readonly id: number;
  /** What was read from the lake since the message before. */
  readonly reads?: ReadCounts;
} & (
  | { readonly type: 'progress'; readonly progress: Progress }
  | { readonly type: 'done'; readonly answer: ThreadAnswer }
  /** `trace`: the error as the thread saw it, with stacks and causes, for logs. */
  | { readonly type: 'failed'; readonly failure: Failure; readonly trace: string }
);
