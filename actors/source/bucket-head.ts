/**
 * Finds the head of a lake in a bucket, and how far the unbroken run of ledgers reaches, from as few pages of a listing
 * as settle it. Keys hold reversed hex, so the byte order of a whole lake, folders included, is newest first: the first
 * key is the head, and any window of ledgers is a stretch of the listing that can be entered right above it. What is
 * known already is not listed again, and the lake is not walked to find its newest object.
 *
 * Cost in requests, with pages of 1,000 keys; f = files between what is known and the head:
 * - a poll near the head, f < 1,000: 1, whatever the size of the lake;
 * - further behind: 1 for the newest page and 1 for each 1,000 files of the run, eight at a time, ending at the first
 *   hole or as soon as there is enough;
 * - while a hole lasts: 2 a poll;
 * - each folder that is not the lake's and sorts before its newest one: 1 more.
 */
import type { LakeHead } from '../../machines/protocol.ts';
import { mapBounded } from '../bounded.ts';
import type { LakeLayout } from '../ports/source.ts';
import type { Bucket } from '../remote/bucket.ts';
import { fileRange, parseFolderName, partitionFolder, reversedHex } from './keys.ts';
import { keyStart, RunOfFiles } from './run-of-files.ts';

/** Files of one window: what a page holds. */
const WINDOW = 1_000;
/** Windows that are listed at once, once the first ones were whole. */
const LANES = 8;

/** A lake's root in a bucket. */
export interface BucketRoot {
  readonly bucket: Bucket;
  /** `''` or ending in `/`. */
  readonly prefix: string;
}

/**
 * The head, and the run that begins at `from`.
 * @param enough ledgers of the run after which looking on is of no use; then there may be more, and `holeAt` is null
 * @throws what the bucket throws
 */
export async function bucketHead(
  root: BucketRoot,
  layout: LakeLayout,
  from: number,
  enough: number,
  signal: AbortSignal,
): Promise<LakeHead> {
  const bottom = fileRange(layout, from).start;
  const run = new RunOfFiles(layout, from);
  const newest = await newestFiles(root, layout, bottom, signal);
  const top = newest.starts.at(-1);
  if (top === undefined) return run.found(newest.head);
  if (!newest.whole) {
    if (enough <= 0) return { ...run.found(newest.head), holeAt: null };
    const step = WINDOW * layout.ledgersPerFile;
    let lanes = 1;
    for (let at = bottom; at < top; lanes = Math.min(lanes * 2, LANES)) {
      const windows: { readonly start: number; readonly end: number }[] = [];
      for (; windows.length < lanes && at < top; at += step) windows.push({ start: at, end: Math.min(at + step, top) });
      const listed = await mapBounded(windows, lanes, (window) => filesOf(root, layout, window, signal), signal);
      if (!listed.every((starts) => run.follow(starts))) return run.found(newest.head);
      if (run.end - from + 1 >= enough) return { ...run.found(newest.head), holeAt: null };
    }
  }
  run.follow(newest.starts.reverse());
  return run.found(newest.head);
}

/** Starts of the newest files from `bottom` on, descending; `whole`: there are no others between these and `bottom`. */
async function newestFiles(
  root: BucketRoot,
  layout: LakeLayout,
  bottom: number,
  signal: AbortSignal,
): Promise<{ head: number | null; starts: number[]; whole: boolean }> {
  for await (const starts of filesBelow(root, layout, null, signal)) {
    const head = fileRange(layout, starts[0] as number).end;
    const above = starts.filter((start) => start >= bottom);
    return { head, starts: above, whole: above.length < starts.length || above.at(-1) === bottom };
  }
  return { head: null, starts: [], whole: true };
}

/** Starts of the files of a window, ascending. `start` and `end` (which is not in it) are starts of files. */
async function filesOf(
  root: BucketRoot,
  layout: LakeLayout,
  window: { readonly start: number; readonly end: number },
  signal: AbortSignal,
): Promise<number[]> {
  const last = window.end - layout.ledgersPerFile;
  const found: number[] = [];
  // Before the key of the window's last file, and after those of all that are newer.
  const above = `${root.prefix}${partitionFolder(layout, last)}${reversedHex(last)}`;
  for await (const starts of filesBelow(root, layout, above, signal)) {
    for (const start of starts) if (start >= window.start && start <= last) found.push(start);
    if ((starts.at(-1) as number) <= window.start) break;
  }
  return found.reverse();
}

/** Starts of the lake's files after a key, page by page, descending; pages without one are passed over. */
async function* filesBelow(
  { bucket, prefix }: BucketRoot,
  layout: LakeLayout,
  startAfter: string | null,
  signal: AbortSignal,
): AsyncGenerator<number[]> {
  for (let after = startAfter; ; ) {
    let jump: string | null = null;
    for await (const { objects } of bucket.list(prefix, after === null ? {} : { startAfter: after }, signal)) {
      const keys = objects.map(({ key }) => key.slice(prefix.length));
      const starts = keys.map((key) => keyStart(layout, key)).filter((start) => start !== null);
      if (starts.length > 0) yield starts;
      else jump = behindForeignFolder(layout, keys.at(-1));
      if (jump !== null) break;
    }
    if (jump === null) return;
    after = `${prefix}${jump}`;
  }
}

/** Where listing goes on after a key in a folder that is none of the lake's; null for any other key. */
function behindForeignFolder(layout: LakeLayout, key: string | undefined): string | null {
  const slash = key?.indexOf('/') ?? -1;
  if (key === undefined || slash < 0) return null;
  const range = parseFolderName(key.slice(0, slash));
  if (range !== null && partitionFolder(layout, range.start) === key.slice(0, slash + 1)) return null;
  // `0` is the character after `/`: all keys of the folder come before it.
  return `${key.slice(0, slash)}0`;
}
