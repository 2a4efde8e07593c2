/**
 * Entry of a worker thread: takes one task at a time, answers with plain data. Memory and native contexts stay from
 * task to task. It does not retry, and answers each task once. What is thrown outside a task ends the thread, which the
 * pool sees. What a task needs is loaded with the first of its kind: hardly any thread does both.
 */
import { inspect } from 'node:util';
import { parentPort } from 'node:worker_threads';
import { BronzeError, toFailure } from '../../machines/errors.ts';
import type { BuildMemory } from '../parquet/build-partition.ts';
import type { Progress } from '../parquet/spec.ts';
import { SourceMeter } from '../source/meter.ts';
import { keepHeapsSmall } from './heaps.ts';
import type { CancelFlag, FromThread, ThreadAnswer, ThreadTask, ToThread } from './messages.ts';

if (parentPort === null) throw new BronzeError('INTERNAL', 'thread.js is the entry of a worker thread, not a program');
const port = parentPort;
keepHeapsSmall();
let memory: BuildMemory | null = null;
let running: { readonly id: number; readonly controller: AbortController } | null = null;

/** With what the task has read from the lake since its last message. */
function send(message: FromThread, meter: SourceMeter): void {
  const reads = meter.take();
  port.postMessage(reads === null ? message : { ...message, reads });
}

async function perform(
  task: ThreadTask,
  controller: AbortController,
  flag: CancelFlag,
  meter: SourceMeter,
  onProgress: (progress: Progress) => void,
): Promise<ThreadAnswer> {
  const { signal } = controller;
  const wanted = new Int32Array(flag);
  const cancelled = (): boolean => Atomics.load(wanted, 0) !== 0;
  if (task.kind === 'build') {
    const [build, { openSource }, { openStagingWriter }] = await Promise.all([
      import('../parquet/build-partition.ts'),
      import('../source/index.ts'),
      import('../store/staging-writer.ts'),
    ]);
    memory ??= new build.BuildMemory();
    const source = openSource(task.source, meter);
    const writer = openStagingWriter(task.staging, { name: task.attempt, key: task.key });
    return build.buildPartition(task, { source, writer, signal, onProgress, cancelled, memory });
  }
  const { readBack } = await import('../parquet/read-back.ts');
  return readBack(task, signal, (progress) => {
    if (cancelled()) controller.abort();
    onProgress(progress);
  });
}

async function run(id: number, task: ThreadTask, flag: CancelFlag): Promise<void> {
  const controller = new AbortController();
  const meter = new SourceMeter();
  running = { id, controller };
  let last: FromThread;
  try {
    const answer = await perform(task, controller, flag, meter, (progress) =>
      send({ type: 'progress', id, progress }, meter),
    );
    last = { type: 'done', id, answer };
  } catch (error) {
    last = { type: 'failed', id, failure: toFailure(error), trace: inspect(error, { depth: 4 }) };
  }
  running = null;
  send(last, meter);
}

port.on('message', (message: ToThread) => {
  if (message.type === 'run') void run(message.id, message.task, message.cancel);
  else if (running?.id === message.id) running.controller.abort();
});
