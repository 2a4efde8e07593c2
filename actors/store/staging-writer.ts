/**
 * Opens the writer that stages one object, whatever the backend. Threads load it instead of the stores, and every
 * thread of every run waits for what it loads: it needs no more than the writers do.
 */
import { type FileOps, realFiles } from '../files.ts';
import type { StagingSpec, StagingTarget, StagingWriter } from '../ports/store.ts';
import { GcsStagingWriter } from './gcs-staging.ts';
import { LocalStagingWriter } from './local-staging.ts';
import { S3StagingWriter } from './s3-staging.ts';

/** A writer for one staged object, for use in the thread that builds it. Throws STORE_*. */
export function openStagingWriter(spec: StagingSpec, target: StagingTarget, files: FileOps = realFiles): StagingWriter {
  if (spec.backend === 'local') return new LocalStagingWriter(spec, target.name, files);
  if (spec.backend === 's3') return new S3StagingWriter(spec, target, files);
  return new GcsStagingWriter(spec, target);
}
