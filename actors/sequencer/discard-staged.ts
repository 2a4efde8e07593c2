/** Removes what was staged and is not going to be published. */
import type { Effect } from '../effects/effect.ts';

export const discardStaged: Effect<'discardStaged'> = async ({ setup }, { handles }, { signal }) => {
  await setup.store.discard(handles, signal);
  return null;
};
