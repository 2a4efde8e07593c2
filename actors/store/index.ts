/**
 * Opens the configured store. The only place above the backends that names one; it must never do anything else.
 */
import { type FileOps, realFiles } from '../files.ts';
import type { BronzeStore, StagingSpec, StagingTarget, StagingWriter, StoreSpec } from '../ports.ts';
import { LocalStore } from './local.ts';
import { LocalStagingWriter } from './local-staging.ts';
import { S3Store } from './s3.ts';
import { S3StagingWriter } from './s3-staging.ts';

/** The store of a specification. Touches nothing yet: a folder that is missing is made by the first write. */
export function openStore(spec: StoreSpec, files: FileOps = realFiles): BronzeStore {
  if (spec.backend === 'local') return new LocalStore(spec, files);
  if (spec.backend === 's3') return new S3Store(spec, files);
  throw new Error('gcs is not built yet');
}

/** A writer for one staged object, for use in the thread that builds it. Throws STORE_*. */
export function openStagingWriter(spec: StagingSpec, target: StagingTarget, files: FileOps = realFiles): StagingWriter {
  if (spec.backend === 'local') return new LocalStagingWriter(spec, target.name, files);
  if (spec.backend === 's3') return new S3StagingWriter(spec, target, files);
  throw new Error('gcs is not built yet');
}
