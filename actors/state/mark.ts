/**
 * The mark of a lock: the time at which its file was last written, which the holder renews as long as it lives. It
 * tells on holders that no number tells on: in another container, or on a machine of the same name. It is read by the
 * file system's clock and by how long it stands still while somebody watches, never by the clock of this machine.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { BronzeError } from '../../machines/errors.ts';
import { unlinkIfThere } from '../durable.ts';
import type { FileOps } from '../files.ts';
import { createHolder, type LockHolder, markOf, renewMark, timeAt } from './lock-file.ts';

/** How often a holder renews its mark, ms. A small write to the state folder each time. */
export const RENEWS_MS = 2_000;
/** So many renewals in a row that did not come make a holder dead: 20 s. */
const MISSED = 10;
/** So many of them are waited for in any case, whatever the clock of the file system says: it may have been set. */
const WATCHED = 3;

/**
 * Watches the mark of `holder`. `moved`: it was renewed, or somebody else stands there, or nobody. `still`: it has not
 * been renewed for `MISSED` times, `WATCHED` of them under the eyes of this process.
 */
export async function watchMark(
  files: FileOps,
  path: string,
  { nonce, renews_ms: every }: LockHolder & { readonly renews_ms: number },
  probe: string | null,
  signal?: AbortSignal,
): Promise<'moved' | 'gone' | 'still'> {
  const first = await markOf(files, path, nonce);
  if (first === null) return 'gone';
  // Without a probe nothing may be written: what was looked at for long enough is all there is.
  const needed = probe === null ? WATCHED : MISSED;
  for (let watched = 1; ; watched++) {
    await sleep(every, null, signal ? { signal } : {}).catch(() => {
      throw new BronzeError('CANCELLED', 'the work was cancelled');
    });
    const now = await markOf(files, path, nonce);
    if (now === null) return 'gone';
    if (now !== first) return 'moved';
    if (watched >= needed) return 'still';
    if (probe !== null && watched >= WATCHED && (await timeAt(files, probe)) - first >= MISSED * every) return 'still';
  }
}

export interface MarkListener {
  /** A mark could not be renewed, for the `failures`th time in a row. Told of the first one, and of the end (0). */
  readonly onProblem: (failures: number, error: unknown) => void;
  /** The lock was gone, and stands there again. */
  readonly onRestored: () => void;
}

export interface Renewing {
  /** Who holds the lock instead; null as long as nobody does. */
  readonly lostTo: LockHolder | null;
  /** Ends it; what is under way is waited for. */
  stop(): Promise<void>;
}

/** Renews the mark of `holder` until it is stopped or lost. Keeps no process alive. */
export function renewing(
  files: FileOps,
  path: string,
  holder: LockHolder & { readonly renews_ms: number },
  { onProblem, onRestored }: MarkListener,
): Renewing {
  let lostTo: LockHolder | null = null;
  let failures = 0;
  let stopped = false;
  let underWay: Promise<void> | null = null;
  const renew = async (): Promise<void> => {
    try {
      const found = await renewMark(files, path, holder.nonce);
      if (found === null) await restore();
      else if (found.nonce !== holder.nonce) {
        lostTo = found;
        clearInterval(timer);
      }
      if (failures > 0) onProblem(0, null);
      failures = 0;
    } catch (error) {
      failures += 1;
      if (failures === 1) onProblem(failures, error);
    }
  };
  /** Somebody has removed it by hand: nobody else holds it, and nobody else is to think so. */
  const restore = async (): Promise<void> => {
    if (stopped) return;
    const temp = `${path}.${holder.nonce}.tmp`;
    try {
      if (await createHolder(files, path, temp, holder)) onRestored();
    } finally {
      await unlinkIfThere(files, temp).catch(() => false);
    }
  };
  const timer = setInterval(() => {
    underWay ??= renew().finally(() => {
      underWay = null;
    });
  }, holder.renews_ms);
  timer.unref();
  return {
    get lostTo() {
      return lostTo;
    },
    async stop() {
      stopped = true;
      clearInterval(timer);
      await underWay;
    },
  };
}
