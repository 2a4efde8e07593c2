/** Opens the lake that a configuration names: the only place that knows which backends of the port there are. */
import type { LakeSource, SourceSpec } from '../ports/source.ts';
import { openBucket } from '../remote/index.ts';
import { BucketLake } from './bucket-lake.ts';
import { LocalLake } from './local.ts';
import { SourceMeter } from './meter.ts';

/** The lake of a spec. Touches nothing: `open` on it does. `meter` counts what is read, where somebody wants to know. */
export function openSource(spec: SourceSpec, meter: SourceMeter = new SourceMeter()): LakeSource {
  if (spec.mode === 'local') return new LocalLake(spec, meter);
  return new BucketLake(spec, openBucket(spec.address, 'source', meter.retried), meter);
}
