// The real program, killed between every two durable steps of a run and of a recovery, then started again: with the
// state folder as the dead one left it, and without. The outcome is that of a run that nothing disturbed (S5, S14, S29).
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KILL_POINTS, type KillPoint } from '../../actors/kill-points.ts';
import { type Cut, copyOfCopier, expectDone, newCopier, said, undisturbed } from '../support/copier.ts';
import { filesIn } from '../support/estate.ts';
import { everything, expectNothingHalfVisible, expectWhole, type Reference } from '../support/outcome.ts';
import { embeddedRows, rowsOf } from '../support/outside.ts';
import type { Scene } from '../support/program.ts';
import { type KillResult, writeResults } from '../support/results.ts';
import { expectNoWarnings, expectSettled } from '../support/settled.ts';

// Partitions 40-47, 48-55, 56-63 and 64-71, 72-79. One thread, so that hits in threads are counted in one place.
const CUT: Cut = { start: 40, end: 79, size: 8 };
const SETTINGS = { perf: { threads: 1 } };
/** For deaths around a row: each partition waits for its own. */
const recordingIn = (scene: Scene) => ({
  catalog: { backend: 'embedded', dir: join(scene.root, 'catalog'), strict: true },
});

interface Kill {
  readonly at: KillPoint;
  readonly hit: number;
}

const nameOf = ({ at, hit }: Kill): string => (hit === 1 ? at : `${at}#${hit}`);

/** Reached only by a run that finds a dead holder's lock, or what a dead run had staged. */
const RECOVERY_ONLY: readonly KillPoint[] = ['lock:after-claim', 'lock:after-takeover', 'sweep:before-unlink'];

const isOfRecording = (at: KillPoint): boolean => at === 'commit:before-record' || at === 'commit:after-record';

/**
 * No run of these comes by there: `reconcile` and `give-up` do (reconcile.test.ts, give-up.test.ts), and runs that sign
 * (e2e/signed-heads.test.ts).
 */
const isOfAnotherCommand = (at: KillPoint): boolean =>
  at.startsWith('reconcile:') || at.startsWith('give-up:') || at.endsWith('-head');

/** How often an undisturbed run comes by, as far as it is worth being killed there. */
function hitsOf(at: KillPoint): number {
  const [step] = at.split(':');
  // Once per era.
  if (step === 'lock' || step === 'journal') return 2;
  // `_bronze.json`, manifest and event, of both eras in turn.
  if (step === 'create') return 6;
  // The copy of an event, then the heads.
  return step === 'copies' ? 4 : 3;
}

const inFirstRun: Kill[] = KILL_POINTS.filter((at) => !RECOVERY_ONLY.includes(at) && !isOfAnotherCommand(at)).flatMap(
  (at) => Array.from({ length: hitsOf(at) }, (_, n) => ({ at, hit: n + 1 })),
);

/** A first death, and a second one of the run that recovers from it. */
const inRecovery: readonly (readonly [Kill, Kill])[] = (
  [
    // The lock of a dead holder is taken over; what the dead one staged is swept.
    ['journal:after-rename', 'lock:before-link'],
    ['journal:after-rename', 'lock:after-claim'],
    ['journal:after-rename', 'lock:after-takeover'],
    ['lock:after-link#2', 'lock:after-takeover#2'],
    ['commit:before-publish', 'lock:after-claim#2'],
    ['commit:before-publish', 'journal:before-rename'],
    ['commit:before-publish', 'journal:after-rename'],
    ['staging:opened', 'sweep:before-unlink'],
    ['staging:finished#2', 'sweep:before-unlink'],
    ['create:before-link#4', 'sweep:before-unlink'],
    ['publish:after-link#2', 'sweep:before-unlink'],
    // Published, not sealed.
    ['commit:after-publish#2', 'publish:before-link'],
    ['commit:after-publish#2', 'commit:after-publish'],
    ['commit:after-publish#2', 'create:after-link'],
    // Sealed, not attested.
    ['commit:after-seal#2', 'commit:before-attest'],
    ['commit:after-seal#2', 'create:after-link'],
    ['commit:after-seal#2', 'commit:before-copies'],
    // Attested; copies, checkpoint.
    ['commit:after-attest#2', 'copies:before-rename'],
    ['copies:before-rename#4', 'checkpoint:before-rename'],
    ['checkpoint:before-write#2', 'checkpoint:before-write'],
    ['checkpoint:before-rename#2', 'checkpoint:after-rename'],
  ] as const
).map(([first, second]) => [killOf(first), killOf(second)]);

function killOf(text: string): Kill {
  const [at, hit = '1'] = text.split('#');
  return { at: at as KillPoint, hit: Number(hit) };
}

expectNoWarnings();

let reference: Reference;

beforeAll(async () => {
  reference = await undisturbed(await newCopier(CUT, SETTINGS));
});

/** Runs until it is killed; that it never is, is a failure. */
async function killedAt(scene: Scene, kill: Kill): Promise<void> {
  const run = await scene.run({ env: { BRONZE_KILL_AT: `${kill.at}#${kill.hit}` } });
  expect(run.signal, `${nameOf(kill)} was never reached: ${said(run)}`).toBe('SIGKILL');
  expectNothingHalfVisible(scene, reference);
}

/**
 * Started again with everything in place, and once without state folder and copies. `proof`: every row is read back, and
 * one more run writes nothing. (Where it is left out, the same bytes are compared with those that were verified.)
 */
async function expectRecovery(scene: Scene, proof: boolean, records = false): Promise<KillResult['recovery']> {
  const bereft = copyOfCopier(scene);
  if (records) bereft.change(recordingIn(bereft));
  bereft.lose('state', 'pas-backup');
  const did: { built: number; found: number }[] = [];
  for (const [place, kept] of [
    [scene, true],
    [bereft, false],
  ] as const) {
    did.push(await expectDone(place));
    if (catalogIn(place) !== null) expect(await embeddedRows(catalogIn(place) as string)).toEqual(rowsOf(place));
    if (proof) await expectSettled(place, reference, { kept });
    else expectWhole(place, reference, { kept });
  }
  const [kept, lost] = did as [KillResult['recovery']['kept'], KillResult['recovery']['lost']];
  return { kept, lost };
}

/** Null where rows are written nowhere. */
function catalogIn(scene: Scene): string | null {
  const dir = join(scene.root, 'catalog');
  return existsSync(dir) ? dir : null;
}

/** What lies on disk, counted, for docs/failure-model.md. */
function left(scene: Scene): KillResult['found'] {
  const names = [
    ...Object.keys(filesIn(scene.bronze)),
    ...Object.keys(filesIn(scene.state)).map((name) => `state/${name}`),
  ];
  const count = (pattern: RegExp): number => names.filter((name) => pattern.test(name)).length;
  return {
    published: count(/\/part-[^/]+\.parquet$/),
    manifests: count(/\/_manifest\.json$/),
    events: count(/\/_audit\/[^/]+\.json$/),
    staged: count(/_staging\//),
    locks: count(/^state\/lock_[^/]+\.json$/),
  };
}

const results: KillResult[] = [];

afterAll(() => {
  const order = new Map(inFirstRun.map((kill, n) => [nameOf(kill), n]));
  results.sort((a, b) => (order.get(a.point) ?? 0) - (order.get(b.point) ?? 0));
  if (results.length === inFirstRun.length) writeResults('kill-points', results);
});

describe('S5, S14, S29: killed at every kill point', () => {
  it('knows every kill point', () => {
    const reached = new Set([...inFirstRun, ...inRecovery.flat()].map(({ at }) => at));
    expect(KILL_POINTS.filter((at) => !reached.has(at) && !isOfAnotherCommand(at))).toEqual([]);
  });

  it.concurrent.each(inFirstRun.map((kill) => [nameOf(kill), kill] as const))('%s', async (_, kill) => {
    const scene = await newCopier(CUT, SETTINGS);
    if (isOfRecording(kill.at)) scene.change(recordingIn(scene));
    await killedAt(scene, kill);
    const found = left(scene);
    results.push({
      point: nameOf(kill),
      found,
      recovery: await expectRecovery(scene, kill.hit === 1, isOfRecording(kill.at)),
    });
  });
});

describe('S5: killed again while it recovers', () => {
  const cases = inRecovery.map(([first, second]) => [nameOf(first), nameOf(second), first, second] as const);
  it.concurrent.each(cases)('%s, then %s', async (_, __, first, second) => {
    const scene = await newCopier(CUT, SETTINGS);
    await killedAt(scene, first);
    await killedAt(scene, second);
    await expectRecovery(scene, true);
  });

  it('the same point time and again gets no further and does no harm', async () => {
    const scene = await newCopier(CUT, SETTINGS);
    await killedAt(scene, killOf('commit:after-publish'));
    for (let n = 0; n < 3; n++) {
      const before = everything(scene).bronze;
      await killedAt(scene, killOf('lock:after-takeover'));
      expect(everything(scene).bronze).toEqual(before);
    }
    await expectRecovery(scene, true);
  });
});
