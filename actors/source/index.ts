/** Opens the lake that a configuration names: the only place that knows which backends of the port there are. */
import type { LakeSource, SourceSpec } from '../ports.ts';
import { openBucket } from '../remote/index.ts';
import { BucketLake } from './bucket-lake.ts';
import { LocalLake } from './local.ts';

/** The lake of a spec. Touches nothing: `open` on it does. */
export function openSource(spec: SourceSpec): LakeSource {
  if (spec.mode === 'local') return new LocalLake(spec);
  return new BucketLake(spec, openBucket(spec.place, 'source'));
}
