/**
 * Opens the configured store. The only place above the backends that names one; it must never do anything else.
 */
import { type FileOps, realFiles } from '../files.ts';
import type { BronzeStore, StagingSpec, StagingTarget, StagingWriter, StoreSpec } from '../ports.ts';
import { LocalStore } from './local.ts';
import { LocalStagingWriter } from './local-staging.ts';

/** The store of a specification. Touches nothing yet: a folder that is missing is made by the first write. */
export function openStore(spec: StoreSpec, files: FileOps = realFiles): BronzeStore {
  if (spec.backend === 'local') return new LocalStore(spec, files);
  throw new Error('buckets are not built yet');
}

/** A writer for one staged object, for use in the thread that builds it. Throws STORE_*. */
export function openStagingWriter(spec: StagingSpec, target: StagingTarget, files: FileOps = realFiles): StagingWriter {
  if (spec.backend === 'local') return new LocalStagingWriter(spec, target.name, files);
  throw new Error('buckets are not built yet');
}
