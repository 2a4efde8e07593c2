/**
 * Where the head of the lake is while an era is still far behind it: the machines look only when everything they know of
 * is copied, which may be days ago, and a lag that is taken from an old head shrinks while it really grows. It only looks,
 * once a minute, and never says anything to the machines.
 */
import type { EraSpec } from '../../machines/protocol.ts';
import type { Watcher } from '../watcher.ts';

const PERIOD_MS = 60_000;

interface HeadWatchOptions {
  readonly specs: readonly EraSpec[];
  /** Looks in the lake of an era, from a ledger on; null where there is nothing to be seen. */
  readonly lakeHead: (eraId: string, from: number, signal: AbortSignal) => Promise<number | null>;
  /** First ledger that is not committed. */
  readonly frontierOf: (eraId: string) => number;
  readonly onHead: (eraId: string, head: number) => void;
}

/** For eras that follow their lake; those with an end need no head. */
export function watchHeads({ specs, lakeHead, frontierOf, onHead }: HeadWatchOptions, periodMs = PERIOD_MS): Watcher {
  const following = specs.filter(({ grid, once }) => grid.ledgerEnd === null && !once);
  const over = new AbortController();
  let isPolling = false;
  const pollHeads = async (): Promise<void> => {
    // A lake that does not answer is not asked again meanwhile.
    if (isPolling) return;
    isPolling = true;
    for (const { eraId } of following) {
      // What is wrong with the lake is told by those who copy from it.
      const head = await lakeHead(eraId, frontierOf(eraId), over.signal).catch(() => null);
      if (head !== null && !over.signal.aborted) onHead(eraId, head);
    }
    isPolling = false;
  };
  const timer = setInterval(() => void pollHeads(), periodMs);
  timer.unref();
  return {
    inspect: () => {},
    close: async () => {
      clearInterval(timer);
      over.abort();
    },
  };
}
