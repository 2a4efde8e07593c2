/**
 * Opens the configured store. With staging-writer.ts the only place above the backends that names one; it does nothing
 * else.
 */
import { type FileOps, realFiles } from '../files.ts';
import type { BronzeStore, StoreSpec } from '../ports/store.ts';
import { GcsStore } from './gcs.ts';
import { LocalStore } from './local.ts';
import { S3Store } from './s3.ts';

/** The store of a specification. Touches nothing yet: a folder that is missing is made by the first write. */
export function openStore(spec: StoreSpec, files: FileOps = realFiles): BronzeStore {
  if (spec.backend === 'local') return new LocalStore(spec, files);
  if (spec.backend === 's3') return new S3Store(spec, files);
  return new GcsStore(spec);
}
