/**
 * How many tasks are where, and who works on them: for `status` and metrics. It changes nothing in the queue. What a
 * server does not tell is not taken for "nobody".
 */
import type { Queue } from 'bullmq';
import type { SourceSpec } from '../ports/source.ts';
import type { StoreSpec } from '../ports/store.ts';
import { briefly, judged, type QueueSpec } from './connect.ts';
import { placeOf, queueName } from './task.ts';

export interface QueueReadings {
  readonly waiting: number;
  readonly active: number;
  /** Names of the workers that are connected; null where the server does not tell its connections. */
  readonly workers: readonly string[] | null;
}

/** Of a queue that is open. */
export async function readQueue(queue: Pick<Queue, 'getJobCounts' | 'getWorkers'>): Promise<QueueReadings> {
  const [counts, workers] = await Promise.all([queue.getJobCounts('wait', 'active'), queue.getWorkers()]);
  // Some hosted servers have no CLIENT LIST; BullMQ then answers with a line that has no name of a connection.
  const names = workers.map(({ rawname }) => rawname?.replace(/^.*:w:/, ''));
  return {
    waiting: counts.wait ?? 0,
    active: counts.active ?? 0,
    workers: names.every((name) => name !== undefined) ? names : null,
  };
}

/** Asks once, on a connection of its own. Throws QUEUE_*. */
export async function askQueue(spec: QueueSpec, storeSpec: StoreSpec, sourceSpec: SourceSpec): Promise<QueueReadings> {
  return briefly(spec, async (redis) => {
    await judged(spec, redis);
    const { Queue } = await import('bullmq');
    const name = queueName(placeOf(storeSpec), placeOf(sourceSpec));
    const queue = new Queue(name, { connection: redis, skipMetasUpdate: true });
    queue.on('error', () => undefined);
    return readQueue(queue);
  });
}
