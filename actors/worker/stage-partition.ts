/** Makes durable, where no reader sees it, what was built. */
import type { Effect } from '../effects/effect.ts';

export const stagePartition: Effect<'stagePartition'> = async ({ setup }, { staged }, { signal }) => {
  await setup.store.stage(staged.handle, staged.data.byteSize, signal);
  return staged;
};
