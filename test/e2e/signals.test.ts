/** Signals (S19), and staged data that vanishes (S32). */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { attestedIn, grid, namesIn, partitionsOf, sealedIn } from '../support/estate.ts';
import { makeLake, PUBNET, SMALL, sampleEra, sampleScene } from '../support/lakes.ts';
import { type LogLine, type Running, Scene, SIDE_BY_SIDE } from '../support/program.ts';
import { expectVerified } from '../support/settled.ts';
import { describeShared } from '../support/shared.ts';

const chainOf = (scene: Scene): string => scene.chain('sample', 'whole');
const DEBUG = { logging: { level: 'debug' } };
const one = (start: number) => (line: LogLine) => line.ledger_start === start;

/** Whatever it was that the signal met: a whole prefix, nothing staged, no lock, and the next run completes it. */
async function isSound(scene: Scene, chain: string, labels: readonly string[]): Promise<void> {
  const sealed = sealedIn(chain);
  expect(sealed).toEqual(labels.slice(0, sealed.length));
  expect(attestedIn(chain)).toEqual(sealed);
  expect(partitionsOf(chain)).toHaveLength(sealed.length);
  expect(namesIn(scene.data).filter((name) => name.includes('_staging'))).toEqual([]);
  expect(namesIn(scene.state).filter((name) => name.startsWith('lock_'))).toEqual([]);
  if (sealed.length > 0) await expectVerified(scene);
  const outcome = await scene.run();
  expect(outcome.code, outcome.stderr).toBe(0);
  expect(sealedIn(chain)).toEqual(labels);
}

describe('S19: SIGTERM, SIGINT and SIGHUP', () => {
  const labels = grid(2, 127, 6);

  it.each([
    ['dispatched', (line: LogLine) => line.msg === 'partition dispatched'],
    ['staged', (line: LogLine) => line.msg === 'partition staged'],
    ['publishing', (line: LogLine) => line.msg === 'publishing' && one(18)(line)],
    ['sealing', (line: LogLine) => line.msg === 'sealing' && one(18)(line)],
    ['attesting', (line: LogLine) => line.msg === 'attesting' && one(18)(line)],
    ['checkpointing', (line: LogLine) => line.msg === 'checkpointing' && one(18)(line)],
    ['started', (line: LogLine) => line.msg === 'run started'],
  ])('while a partition is %s: drained, exit 0', async (what, matches) => {
    const scene = await sampleScene(sampleEra({ partition_size: 6 }), SIDE_BY_SIDE);
    const running = scene.start('run', { settings: DEBUG });
    await running.untilLogged(matches, what);
    running.kill(what === 'staged' ? 'SIGINT' : 'SIGTERM');
    const outcome = await running.done;
    expect(outcome.code, outcome.stderr).toBe(0);
    const chain = chainOf(scene);
    const next = outcome.summary?.eras[0]?.next_ledger;
    expect(outcome.summary?.status).toBe(next === 128 ? 'done' : 'drained');
    expect(next).toBe(1 + Number(sealedIn(chain).at(-1)?.split('-')[1] ?? 1));
    await isSound(scene, chain, labels);
  });

  it('SIGHUP, twice in a row as one hang-up is: drained, exit 0', async () => {
    const scene = await sampleScene(sampleEra({ partition_size: 6 }), SIDE_BY_SIDE);
    const running = scene.start('run', { settings: DEBUG });
    await running.untilLogged((line) => line.msg === 'sealing' && one(18)(line), 'sealing');
    running.kill('SIGHUP');
    running.kill('SIGHUP');
    const outcome = await running.done;
    expect(outcome.code, outcome.stderr).toBe(0);
    expect(outcome.logs.some((line) => line.msg.startsWith('SIGHUP: finishing'))).toBe(true);
    await isSound(scene, chainOf(scene), labels);
  });

  it.each([
    ['SIGINT', 'SIGTERM'],
    ['SIGHUP', 'SIGTERM'],
    ['SIGTERM', 'SIGHUP'],
  ] as const)(
    '%s and then %s end at once with 130, and the next run finishes what was half done',
    async (first, second) => {
      const scene = await sampleScene(sampleEra({ partition_size: 6 }), SIDE_BY_SIDE);
      const running = scene.start('run', { settings: DEBUG });
      await running.untilLogged((line) => line.msg === 'sealing' && one(18)(line), 'sealing');
      running.kill(first);
      running.kill(second);
      const outcome = await running.done;
      expect(outcome.code, outcome.stderr).toBe(130);
      expect(outcome.summary).toBeNull();
      const after = await scene.run();
      expect(after.code, after.stderr).toBe(0);
      expect(attestedIn(chainOf(scene))).toEqual(labels);
      expect(namesIn(scene.data).filter((name) => name.includes('_staging'))).toEqual([]);
      await expectVerified(scene);
    },
  );

  it('a real error is not hidden by the signal', async () => {
    const eras = [
      sampleEra({ era_id: 'broken', ledger_end: 63, protocol_min: 23 }),
      sampleEra({ era_id: 'sound', ledger_start: 64, ledger_end: 0, partition_size: 1 }),
    ];
    const scene = await sampleScene(eras, { ...SIDE_BY_SIDE, source: { poll_interval_ms: 20 } });
    const running = scene.start('run');
    await running.untilLogged((line) => line.level === 'error' && line.era_id === 'broken', 'the failure');
    await running.untilLogged((line) => line.msg === 'partition committed' && line.era_id === 'sound', 'a commit');
    running.kill('SIGTERM');
    const outcome = await running.done;
    expect(outcome.code).toBe(1);
    expect(outcome.summary).toMatchObject({
      status: 'failed',
      eras: [
        { era_id: 'broken', status: 'failed', error: { code: 'PROTOCOL_GUARD' } },
        { era_id: 'sound', status: 'drained', error: null },
      ],
    });
  });
});

describeShared('S19: while a partition of large ledgers is built', () => {
  it('the build is cancelled, nothing is left of it', async () => {
    const { path } = makeLake({ start: 3, count: 120, templates: PUBNET });
    const scene = new Scene(
      path,
      { era_id: 'e', version_label: 'v1', network: 'pubnet', ledger_start: 3, ledger_end: 122, partition_size: 60 },
      SIDE_BY_SIDE,
    );
    const running = scene.start('run', { settings: DEBUG });
    await running.until(() => staged(scene).length > 0, 'something is staged');
    running.kill('SIGTERM');
    const outcome = await running.done;
    expect(outcome.code, outcome.stderr).toBe(0);
    expect(outcome.summary).toMatchObject({ status: 'drained', eras: [{ next_ledger: 3 }] });
    expect(namesIn(scene.data)).toEqual([]);
    await isSound(scene, scene.chain('pubnet', 'e'), grid(3, 122, 60));
  });
});

/** Files in all staging folders. */
const staged = (scene: Scene): string[] => {
  try {
    return (readdirSync(scene.data, { recursive: true }) as string[]).filter((name) => /_staging\/.*\.tmp$/.test(name));
  } catch {
    // Folders come and go while they are listed.
    return [];
  }
};

describe('S32: staged data that vanishes while the program runs', () => {
  it('whenever it is: built again, nothing is lost, no temp is left', async () => {
    const scene = await sampleScene(sampleEra({ partition_size: 6 }), {
      perf: { workers: 4, threads: 2, queue_size: 8, retry_attempts: 20, retry_backoff_ms: 1 },
    });
    const running = scene.start('run');
    const removed = new Set<string>();
    while (!running.isOver) {
      for (const name of staged(scene)) {
        // Each partition once: a cleaner that takes everything all the time is another matter.
        const label = /\.(\d+-\d+)\./.exec(name)?.[1] ?? name;
        if (removed.has(label) || removed.size >= 12) continue;
        rmSync(join(scene.data, name), { force: true });
        removed.add(label);
      }
      await sleep(1);
    }
    const outcome = await running.done;
    expect(outcome.code, outcome.stderr).toBe(0);
    expect(removed.size).toBeGreaterThan(0);
    const chain = chainOf(scene);
    expect([sealedIn(chain), attestedIn(chain)]).toEqual([grid(2, 127, 6), grid(2, 127, 6)]);
    expect(namesIn(scene.data).filter((name) => name.includes('_staging'))).toEqual([]);
    await expectVerified(scene);
  });
});

describeShared('S32: staged data that vanishes while the sequencer waits for a slow partition', () => {
  /** The first partition is a hundred times as large as the others. */
  const slow = async (): Promise<{ scene: Scene; running: Running; chain: string }> => {
    const { path } = makeLake({ start: 3, count: 297, templates: PUBNET, later: { from: 100, templates: SMALL } });
    const scene = new Scene(
      path,
      { era_id: 'e', version_label: 'v1', network: 'pubnet', ledger_start: 3, ledger_end: 299, partition_size: 100 },
      { perf: { workers: 2, threads: 2, queue_size: 2 } },
    );
    return { scene, running: scene.start('run', { settings: DEBUG }), chain: scene.chain('pubnet', 'e') };
  };

  it('restaged, no deadlock with a full window', async () => {
    const { scene, running, chain } = await slow();
    await running.untilLogged((line) => line.msg === 'partition staged' && line.ledger_start === 100, 'staging');
    const [name, ...others] = staged(scene).filter((file) => file.includes('100-199'));
    expect(others).toEqual([]);
    expect(sealedIn(chain)).toEqual([]);
    rmSync(join(scene.data, name as string));
    const outcome = await running.done;
    expect(outcome.code, outcome.stderr).toBe(0);
    expect(outcome.summary?.eras[0]).toMatchObject({ restages: 1, partitions: 3 });
    expect(outcome.logs.some((line) => line.level === 'warn' && line.ledger_start === 100)).toBe(true);
    expect(attestedIn(chain)).toEqual(grid(3, 299, 100));
    await expectVerified(scene);
  });
});
