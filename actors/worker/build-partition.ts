/** Has a partition read, checked and built by a thread, or by a remote worker; it ends where no reader sees it. */
import { BronzeError } from '../../machines/errors.ts';
import type { StagedPartition } from '../../machines/protocol.ts';
import { dataKey } from '../bronze/names.ts';
import type { Effect } from '../effects/effect.ts';
import type { BuildTask } from '../parquet/spec.ts';

/** Cancelled: settles once the thread has removed what it had written. */
export const buildPartition: Effect<'buildPartition'> = async (
  era,
  { workerId, job, retries, askedBy },
  { signal },
) => {
  era.lock?.assertHeld();
  const { range, ticket, correlationId } = job;
  const { chain, table, sourceSpec, source, compression, checks, trusted, pool, store } = era.setup;
  const task: BuildTask = {
    kind: 'build',
    chain,
    range,
    source: sourceSpec,
    layout: era.layout,
    staging: era.staging,
    key: dataKey(chain, table, range),
    attempt: `${range.start}-${range.end}.${++era.attempts}`,
    compression,
    checks: trusted === null ? checks : { ...checks, trusted: trusted.within(range) },
  };
  // XState does not abort the effects of an actor that threw: its successor under the same id ends what is left.
  era.builds.get(workerId)?.abort();
  const own = new AbortController();
  era.builds.set(workerId, own);
  const either = AbortSignal.any([signal, own.signal]);
  const run = pool.run(task, {
    signal: either,
    onQueued: (reason) => askedBy.send({ type: 'build.queued', ticket, ...(reason === undefined ? {} : { reason }) }),
    onStarted: () => askedBy.send({ type: 'build.started', ticket }),
    onProgress: (progress) => askedBy.send({ type: 'build.progressed', ticket, ...progress }),
  });
  era.track(run);
  const answer = await run;
  if (either.aborted) {
    // The answer was on its way when the cancel came: nobody will take it.
    await store.discard([answer.handle]);
    throw new BronzeError('CANCELLED', 'the work was cancelled');
  }
  const staged: StagedPartition = { ...answer, range, ticket, correlationId, source: source.uri, retries };
  return staged;
};
