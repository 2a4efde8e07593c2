// Hundreds of deaths at random moments (S5): copiers of partitions of five ledgers are killed over and over, during copying
// and during recovery, until one run gets through. One copier in three loses its state folder with every death. Then
// everything is there once and the same as without any death. BRONZE_KILL_SEED repeats the choices, though not the
// moments: those depend on the machine.
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Cut, expectDone, newCopier, said, undisturbed } from '../support/copier.ts';
import { expectNothingHalfVisible, type Reference } from '../support/outcome.ts';
import { type Running, type Scene, SIDE_BY_SIDE } from '../support/program.ts';
import { writeResults } from '../support/results.ts';
import { expectNoWarnings, expectSettled } from '../support/settled.ts';

/** BRONZE_KILLS: more for a night, fewer for a look. */
const DEATHS = Number(process.env.BRONZE_KILLS ?? 300);
/** Two cores: more at a time only wait for each other. */
const AT_A_TIME = 2;
const CUT: Cut = { start: 2, end: 127, size: 5 };

const seed = Number(process.env.BRONZE_KILL_SEED ?? Date.now() % 1_000_000);

/** mulberry32: small, and good enough for moments. */
function randomOf(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const hasStarted = (running: Running): boolean => running.logs.some(({ msg }) => msg === 'run started');

expectNoWarnings();

let reference: Reference;
/** Of a run that nothing disturbs, from its first log line to its end, ms. */
let duration: number;

beforeAll(async () => {
  const copier = await newCopier(CUT, SIDE_BY_SIDE);
  reference = await undisturbed(copier);
  copier.lose('data', 'state', 'pas-backup');
  const run = await copier.run();
  duration = run.summary?.duration_ms as number;
});

interface Tally {
  deaths: number;
  /** Deaths of a run that had an earlier one to recover from. */
  again: number;
  copiers: number;
  completed: number;
}

/** One run with a moment chosen for its death, ms after its first log line; whether it came to that. */
async function dies(copier: Scene, moment: number): Promise<boolean> {
  const running = copier.start('run');
  await running.until((it) => hasStarted(it) || it.isOver, 'it began');
  await Promise.race([sleep(moment), running.done]);
  running.kill('SIGKILL');
  const run = await running.done;
  if (run.signal === 'SIGKILL') return true;
  expect(run.code, said(run)).toBe(0);
  return false;
}

/** One copier from its birth to the run that gets through. */
async function live(random: () => number, kept: boolean, tally: Tally): Promise<void> {
  const copier = await newCopier(CUT, SIDE_BY_SIDE);
  for (let deaths = 0; tally.deaths < DEATHS; deaths++) {
    // Longer from death to death: on a machine that has become slower nobody would get through otherwise.
    const within = duration * (random() < 0.5 ? 0.3 : 1) * (1 + deaths / 5);
    if (!(await dies(copier, random() * within))) break;
    tally.deaths += 1;
    if (deaths > 0) tally.again += 1;
    expectNothingHalfVisible(copier, reference);
    if (!kept) copier.lose('state');
  }
  await expectDone(copier);
  await expectSettled(copier, reference, { kept });
  tally.completed += 1;
}

describe('S5: killed at random moments', () => {
  it(`${DEATHS} deaths, seed ${seed}: the outcome is that of a run that nothing disturbed`, async () => {
    const random = randomOf(seed);
    const tally: Tally = { deaths: 0, again: 0, copiers: 0, completed: 0 };
    const lane = async (): Promise<void> => {
      while (tally.deaths < DEATHS) await live(random, ++tally.copiers % 3 !== 0, tally);
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, lane));
    console.info(
      `seed ${seed}: ${tally.deaths} deaths (${tally.again} of runs that recovered) of ${tally.copiers} copiers, ` +
        `which took ${Math.round(duration)} ms each where nothing disturbed them`,
    );
    expect(tally.completed).toBe(tally.copiers);
    expect(tally.deaths).toBeGreaterThanOrEqual(DEATHS);
    expect(tally.again).toBeGreaterThan(DEATHS / 10);
    writeResults('random-kills', { deaths: tally.deaths, recovering: tally.again, estates: tally.copiers });
  }, 1_500_000);
});
