/**
 * Opens the configured store. The only place above the backends that names one; it must never do anything else.
 */
import { type FileOps, realFiles } from '../files.ts';
import type { BronzeStore, StagingSpec, StagingWriter, StoreSpec } from '../ports.ts';
import { LocalStore } from './local.ts';
import { LocalStagingWriter } from './local-staging.ts';

/** The store of a specification. Touches nothing yet: a folder that is missing is made by the first write. */
export function openStore(spec: StoreSpec, files: FileOps = realFiles): BronzeStore {
  return new LocalStore(spec, files);
}

/**
 * A writer for one staged object, for use in the thread that builds it. `name` distinguishes attempts and may hold
 * letters, digits, `.`, `_` and `-`. Throws STORE_*.
 */
export function openStagingWriter(spec: StagingSpec, name: string, files: FileOps = realFiles): StagingWriter {
  return new LocalStagingWriter(spec, name, files);
}
