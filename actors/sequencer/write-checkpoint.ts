/** Notes how far the era has come. A memory beside Bronze: no decision rests on it alone. */
import type { Effect } from '../effects/effect.ts';

export const writeCheckpoint: Effect<'writeCheckpoint'> = async ({ lock, setup }, { range, checksum }) => {
  lock?.assertHeld();
  await setup.checkpoint?.write(range, checksum);
  return null;
};
