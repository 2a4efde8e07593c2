/**
 * Machines that are short of something: of memory, of disk, of processor time, or with a disk that hangs. The program may
 * get slower, or stop and say why; what is there is right at every moment, and a later run on a machine that has enough
 * ends with the same bytes. Tests run side by side: they wait more than they work.
 *
 * A disk that hangs for a minute, with the preset of `perf.stall_timeout_ms` (300 s, and 5 s of grace), only makes a run
 * slower. Here the time-out is 1 s where a stall is to be declared, so a stall that never ends stands for one of more
 * than ten minutes; and 60 s where it is not, so that one of 2 s stands for ten with the preset.
 */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { expectDone, said, undisturbed } from '../support/copier.ts';
import { attestedIn } from '../support/estate.ts';
import { objectOf, SAMPLE_SOURCE, sampleEra, sampleLake, sampleScene } from '../support/lakes.ts';
import { expectNothingHalfVisible, expectWhole, type Reference } from '../support/outcome.ts';
import { type Outcome, Scene, type Settings, SIDE_BY_SIDE } from '../support/program.ts';
import { residentBytes } from '../support/resident.ts';
import { halfACore, itLimited, itMounted, itStalled, limit, Stall, smallDisk } from '../support/starving.ts';

// Most of the time they wait. Those that wait longest come first.
vi.setConfig({ maxConcurrency: 12 });

const MB = 1024 * 1024;
const LONG_LAST = 4_001;

/** Of thirteen partitions, and of twenty that are larger. */
let reference: Reference;
let longReference: Reference;

async function longScene(more: Settings = {}): Promise<Scene> {
  const { path } = await sampleLake({ last: LONG_LAST });
  const era = sampleEra({ ledger_end: LONG_LAST, partition_size: 200 });
  return new Scene(path, era, { source: SAMPLE_SOURCE, ...SIDE_BY_SIDE, ...more });
}

beforeAll(async () => {
  const scenes = [await sampleScene(), await longScene()] as const;
  [reference, longReference] = (await Promise.all(scenes.map(undisturbed))) as [Reference, Reference];
});

/** A run on a machine that has enough. */
async function endsWhole(scene: Scene, as = reference): Promise<void> {
  await expectDone(scene);
  expectWhole(scene, as, { kept: true });
}

/** What an operator reads at the end: one coded line, with what to do. */
function expectCoded(run: Outcome, code: RegExp, words: string): void {
  expect(run.code, said(run)).toBe(1);
  const { error } = run.summary?.eras[0] ?? {};
  expect(error?.code, said(run)).toMatch(code);
  expect(error?.message).toContain(words);
  expect(run.stderr).toContain(error?.message);
}

/** What hangs: a path of a scene, as a whole or as the beginning of others. */
const DISKS: readonly (readonly [string, (scene: Scene, lake: string) => string])[] = [
  // In a thread, in the middle of a partition.
  ['the lake', (_, lake) => join(lake, objectOf(lake, 45))],
  // The process's own calls: publishing, manifest.
  ['Bronze', (scene) => join(scene.chain('sample', 'whole'), 'ledgers_lcm_raw', 'range=40-49')],
  // A thread that writes, and later who removes what it wrote.
  ['its staging', (scene) => join(scene.chain('sample', 'whole'), '_staging/')],
];

const PATIENT = { perf: { stall_timeout_ms: 60_000 } };
const SHORT = { perf: { stall_timeout_ms: 1_000 } };

describe.concurrent.each(DISKS)('a disk that hangs: %s', (_, below) => {
  async function begin(settings: Settings) {
    const scene = await sampleScene();
    const stall = new Stall(below(scene, (await sampleLake()).path));
    const running = scene.start('run', { env: stall.env, settings, patienceMs: 120_000 });
    await stall.met(running);
    return { scene, stall, running };
  }

  /** The dumps of a breaker that tripped, which are nobody's left-overs. */
  function takeDumps(scene: Scene): number {
    const dumps = readdirSync(scene.state).filter((name) => name.startsWith('dump_'));
    for (const name of dumps) rmSync(join(scene.state, name));
    return dumps.length;
  }

  itStalled('for good: says STALLED, reports, and ends all the same', async () => {
    const { scene, stall, running } = await begin(SHORT);
    const run = await running.done;
    expect(run.signal, said(run)).toBe('SIGKILL');
    expect(run.summary).toMatchObject({ status: 'failed', eras: [{ error: { code: 'STALLED' } }] });
    expect(run.stderr).toContain('STALLED: era whole made no progress');
    expect(run.stderr).toContain('a call to the operating system does not return');
    expect(takeDumps(scene)).toBe(2);
    expectNothingHalfVisible(scene, reference);
    stall.lift();
    await endsWhole(scene);
  });

  itStalled('shorter than the time-out: slower, and nothing else', async () => {
    const { scene, stall, running } = await begin(PATIENT);
    await sleep(2_000);
    expect(running.isOver).toBe(false);
    expectNothingHalfVisible(scene, reference);
    stall.lift();
    const run = await running.done;
    expect(run.code, said(run)).toBe(0);
    expect(run.summary).toMatchObject({ status: 'done', breaker_trips: 0 });
    expect(run.summary?.eras[0]).toMatchObject({ retries: 0 });
    expectWhole(scene, reference, { kept: true });
  });

  itStalled('longer than the time-out, and back: started again once, and done', async () => {
    const { scene, stall, running } = await begin(SHORT);
    await running.untilLogged(({ msg }) => msg === 'era whole: stalled', 'the stall was declared');
    stall.lift();
    const run = await running.done;
    expect(run.code, said(run)).toBe(0);
    expect(run.summary).toMatchObject({ status: 'done', breaker_trips: 1 });
    expect(takeDumps(scene)).toBe(1);
    expectWhole(scene, reference, { kept: true });
  });

  itStalled('SIGTERM meanwhile: drained once it is back', async () => {
    const { scene, stall, running } = await begin(PATIENT);
    running.kill('SIGTERM');
    await running.untilLogged(({ msg }) => msg.startsWith('SIGTERM: finishing'), 'it heard');
    stall.lift();
    const run = await running.done;
    expect(run.code, said(run)).toBe(0);
    expect(run.summary?.status).toBe('drained');
    expectNothingHalfVisible(scene, reference);
    await endsWhole(scene);
  });

  itStalled('SIGTERM twice meanwhile: ends, though a call hangs', async () => {
    const { scene, stall, running } = await begin(PATIENT);
    running.kill('SIGTERM');
    await running.untilLogged(({ msg }) => msg.startsWith('SIGTERM: finishing'), 'it heard');
    running.kill('SIGTERM');
    const run = await running.done;
    expect(run.signal, said(run)).toBe('SIGKILL');
    expect(run.stderr).toContain('SIGTERM again: ending now');
    expectNothingHalfVisible(scene, reference);
    stall.lift();
    await endsWhole(scene);
  });

  itStalled('SIGKILL meanwhile: the next run does the rest', async () => {
    const { scene, stall, running } = await begin(PATIENT);
    running.kill('SIGKILL');
    await running.done;
    expectNothingHalfVisible(scene, reference);
    stall.lift();
    await endsWhole(scene);
  });
});

describe.concurrent('out of memory', () => {
  // Far below what Node has mapped by then: no thread can begin.
  itLimited('before the first thread: fails or dies, nothing is there, the next run does it all', async () => {
    const scene = await longScene();
    const running = scene.start('run');
    await running.untilLogged(({ msg }) => msg === 'run started', 'it began');
    limit(running, 'data', 32 * MB);
    const run = await running.done;
    expect(run.code, said(run)).not.toBe(0);
    expectNothingHalfVisible(scene, longReference);
    await endsWhole(scene, longReference);
  });

  // Whether this much lasts to the end is the allocator's business.
  itLimited('in the middle of the work: what is there is whole, the next run does the rest', async () => {
    const scene = await longScene();
    const running = scene.start('run');
    await running.untilLogged(({ msg }) => msg === 'partition committed', 'a commit');
    limit(running, 'data', 150 * MB);
    await running.done;
    expectNothingHalfVisible(scene, longReference);
    expect(attestedIn(scene.chain('sample', 'whole'))).not.toEqual([]);
    await endsWhole(scene, longReference);
  });

  it.concurrent('the JavaScript heap of the process: dies, the next run does the rest', async () => {
    const scene = await longScene();
    const run = await scene.run({ env: { NODE_OPTIONS: '--max-old-space-size=10 --max-semi-space-size=1' } });
    expect(run.stderr, said(run)).toContain('heap out of memory');
    expect(run.code).not.toBe(0);
    expectNothingHalfVisible(scene, longReference);
    await endsWhole(scene, longReference);
  });
});

describe.concurrent('out of disk', () => {
  const FULL = 'ENOSPC: no space left on device';

  for (const [which, size, code] of [
    ['data', '64k', /^STORE_FULL$/],
    ['state', '8k', /^STATE_IO$/],
    ['pas-backup', '16k', /^STATE_IO$/],
  ] as const) {
    itMounted(`${which}: says so, leaves whole steps only, and goes on when there is room`, async () => {
      const scene = await sampleScene();
      const { under, place, resize } = await smallDisk(scene, join(scene.root, which), size);
      const run = await scene.run({ under });
      expectCoded(run, /./, `${FULL}, write; free space on this disk`);
      expectCoded(run, code, join(scene.root, which));
      expectNothingHalfVisible(place, reference);
      resize('16m');
      const next = await scene.run({ under });
      expect(next.code, said(next)).toBe(0);
      expectWhole(place, reference, { kept: true });
    });
  }

  itLimited('a limit of the size of files: says so, is not tried again, and goes on with a larger one', async () => {
    const scene = await longScene();
    const running = scene.start('run');
    await running.untilLogged(({ msg }) => msg === 'run started', 'it began');
    limit(running, 'fsize', 2_048);
    const run = await running.done;
    expectCoded(run, /^(STORE_IO|STATE_IO)$/, 'the file-size limit of this process (ulimit -f)');
    expect(run.summary?.eras[0]?.retries).toBe(0);
    expectNothingHalfVisible(scene, longReference);
    await endsWhole(scene, longReference);
  });
});

describe.concurrent('S17: one partition a thousand times slower than the others', () => {
  // A partition of 200 small ledgers takes 10 to 20 ms.
  const SLOW_MS = 20_000;
  const QUEUE = 5;

  itStalled('memory and temporary space stay within what plan says, and nothing overtakes', async () => {
    const scene = await longScene({ perf: { threads: 2, workers: 4, queue_size: QUEUE } });
    const { path: lake } = await sampleLake({ last: LONG_LAST });
    const stall = new Stall(join(lake, objectOf(lake, 250)));
    scene.config();
    const planned = await scene.command('plan', '--config', 'config.yaml', '--json');
    const bound = JSON.parse(planned.stdout).memory_bytes_at_most as number;
    const running = scene.start('run', { env: stall.env });
    await stall.met(running);
    let staged = 0;
    let resident = 0;
    for (const until = Date.now() + SLOW_MS; Date.now() < until; await sleep(50)) {
      staged = Math.max(staged, readdirSync(join(scene.chain('sample', 'whole'), '_staging')).length);
      resident = Math.max(resident, residentBytes(running.pid));
    }
    expect(attestedIn(scene.chain('sample', 'whole'))).toHaveLength(1);
    // The slow one and those behind it; one of the slow one's neighbours waits for a place all the time.
    expect(staged).toBe(QUEUE);
    expect(resident).toBeGreaterThan(50 * MB);
    expect(resident).toBeLessThanOrEqual(bound);
    stall.lift();
    const run = await running.done;
    expect(run.code, said(run)).toBe(0);
    expect(run.summary?.eras[0]).toMatchObject({ retries: 0 });
    expectWhole(scene, longReference, { kept: true });
  });
});

describe.concurrent('half a core', () => {
  // The long pause is longer than the time-out and its grace together.
  it.concurrent('gets done, with nothing taken for a stall', async () => {
    const scene = await longScene({
      perf: { ...(SIDE_BY_SIDE.perf as Settings), workers: 2, stall_timeout_ms: 4_000 },
    });
    const running = scene.start('run');
    await running.untilLogged(({ msg }) => msg === 'era started', 'it began');
    await halfACore(running, 10_000);
    const run = await running.done;
    expect(run.code, said(run)).toBe(0);
    expect(run.summary).toMatchObject({ status: 'done', breaker_trips: 0 });
    expect(run.summary?.eras[0]).toMatchObject({ retries: 0 });
    expect(run.logs.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([]);
    expectWhole(scene, longReference, { kept: true });
  });
});
