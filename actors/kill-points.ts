/**
 * Named places at which the process can be made to die, for the tests that kill it between any two durable steps.
 * Off unless BRONZE_KILL_AT is set when the process starts. It must never do anything but return or die: no clean-up,
 * no flush, nothing that a power cut would not do either.
 */

/** Every kill point there is, in the order of a commit. A test walks this list. */
export const KILL_POINTS = [
  'lock:before-link',
  'lock:after-link',
  'lock:after-claim',
  'lock:after-takeover',
  'journal:before-rename',
  'journal:after-rename',
  'lock:before-release',
  'staging:opened',
  'staging:flushed',
  'staging:finished',
  'stage:before-fsync',
  'stage:after-fsync',
  'folder:after-mkdir',
  'publish:before-link',
  'publish:after-link',
  'publish:after-unlink',
  'publish:after-fsync',
  'create:before-write',
  'create:before-link',
  'create:after-link',
  'create:after-unlink',
  'create:after-fsync',
  'commit:before-publish',
  'commit:after-publish',
  'commit:before-seal',
  'commit:after-seal',
  'commit:before-attest',
  'commit:after-attest',
  'commit:before-copies',
  'commit:after-copies',
  'commit:before-head',
  'commit:after-head',
  'commit:before-record',
  'commit:after-record',
  'copies:before-rename',
  'copies:after-rename',
  'checkpoint:before-write',
  'checkpoint:before-rename',
  'checkpoint:after-rename',
  'checkpoint:after-fsync',
  'sweep:before-unlink',
  'give-up:before-record',
  'give-up:after-record',
  'give-up:after-heads-kept',
  'give-up:after-move',
  'give-up:after-forget',
  'reconcile:before-forget',
  'reconcile:after-forget',
] as const;

export type KillPoint = (typeof KILL_POINTS)[number];

interface Target {
  readonly name: string;
  hitsLeft: number;
}

function parseTarget(value: string | undefined): Target | null {
  if (!value) return null;
  const [name = '', count = '1'] = value.split('#');
  const hits = Number(count);
  return { name, hitsLeft: Number.isSafeInteger(hits) && hits > 0 ? hits : 1 };
}

const target = parseTarget(process.env.BRONZE_KILL_AT);

/**
 * Kills the own process (SIGKILL) when BRONZE_KILL_AT is `name`, or at the n-th hit when it is `name#n`. Hits are
 * counted per thread. Without the variable it is one comparison.
 */
export function killPoint(name: KillPoint): void {
  if (target === null || target.name !== name) return;
  target.hitsLeft -= 1;
  if (target.hitsLeft > 0) return;
  process.kill(process.pid, 'SIGKILL');
  // The signal may reach another thread first; this one must not do a single step more.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}
