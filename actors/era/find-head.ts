/** How far the lake goes, and whether without a hole. */
import type { Effect } from '../effects/effect.ts';
import type { RunningEra } from '../effects/running-era.ts';

export const findHead: Effect<'findHead'> = async (era, { from }, { signal }) => {
  era.lock?.assertHeld();
  const { source, ledgersAhead } = era.setup;
  return source.head(era.layout, from, signal, ledgersAhead);
};

/** Highest ledger in the lake at present, for those who watch; null where it is empty, or was not opened yet. */
export async function lakeHead(era: RunningEra, from: number, signal: AbortSignal): Promise<number | null> {
  if (!era.isLakeOpen) return null;
  const { source, ledgersAhead } = era.setup;
  return (await source.head(era.layout, from, signal, ledgersAhead)).head;
}
