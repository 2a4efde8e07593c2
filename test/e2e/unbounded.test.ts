/** Unbounded eras (S20): whole partitions only, whatever the head of the lake looks like in the meantime. */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { attestedIn, grid, sealedIn } from '../support/estate.ts';
import { objectOf, sampleEra, sampleLake, sampleScene, takeOver } from '../support/lakes.ts';
import type { Running, Scene } from '../support/program.ts';
import { expectVerified } from '../support/settled.ts';

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const chainOf = (scene: Scene): string => scene.chain('sample', 'whole');

/** Long enough for several polls of the head. */
const A_WHILE_MS = 300;

/** A lake that Galexie is still writing: ledgers 2 to `to` are there. */
async function growing(to: number) {
  const sample = await sampleLake();
  const scene = await sampleScene(sampleEra({ ledger_end: 0 }), { source: { poll_interval_ms: 20 } });
  const lake = join(scene.root, 'lake');
  mkdirSync(lake);
  cpSync(join(sample.path, '.config.json'), join(lake, '.config.json'));
  takeOver(sample.path, lake, range(2, to));
  scene.change({ source: { local_path: lake } });
  const key = (ledger: number) => objectOf(sample.path, ledger);
  return {
    scene,
    lake,
    grow: (ledgers: readonly number[]) => takeOver(sample.path, lake, ledgers),
    write: (ledger: number, part: number) => {
      const bytes = readFileSync(join(sample.path, key(ledger)));
      mkdirSync(dirname(join(lake, key(ledger))), { recursive: true });
      writeFileSync(join(lake, key(ledger)), bytes.subarray(0, Math.floor(bytes.length * part)));
    },
  };
}

const committed = (running: Running, start: number): Promise<void> =>
  running.untilLogged(
    (line) => line.msg === 'partition committed' && line.ledger_start === start,
    `partition ${start}`,
  );

describe('S20: following the head of a lake', () => {
  it('a hole that fills later, a pause, a file that appears half-written', async () => {
    const { scene, grow, write } = await growing(35);
    const chain = chainOf(scene);
    const running = scene.start('run', { settings: { logging: { level: 'debug' } } });
    await committed(running, 20);

    // A hole with later files present is waited for.
    grow(range(36, 45).filter((ledger) => ledger !== 38));
    await sleep(A_WHILE_MS);
    expect(sealedIn(chain)).toEqual(grid(2, 29, 10));
    grow([38]);
    await committed(running, 30);

    // A pause: the head is inside a partition.
    await sleep(A_WHILE_MS);
    expect(sealedIn(chain)).toEqual(grid(2, 39, 10));

    // Half-written: it is there by name and cannot be read yet.
    grow(range(46, 48));
    write(49, 0.5);
    await sleep(A_WHILE_MS);
    expect(sealedIn(chain)).toEqual(grid(2, 39, 10));
    write(49, 1);
    await committed(running, 40);

    grow(range(50, 64));
    await committed(running, 50);
    running.kill('SIGTERM');
    const outcome = await running.done;
    expect(outcome.code, outcome.stderr).toBe(0);
    expect(outcome.summary).toMatchObject({ status: 'drained' });
    expect(outcome.summary?.eras[0]).toMatchObject({ status: 'drained', next_ledger: 60, error: null });
    expect(outcome.logs.some((line) => line.msg === 'attempt failed' && line.ledger === 49)).toBe(true);
    expect([sealedIn(chain), attestedIn(chain)]).toEqual([grid(2, 59, 10), grid(2, 59, 10)]);
    await expectVerified(scene);
  });

  it('says what it waits for', async () => {
    const { scene } = await growing(25);
    const running = scene.start('run', { settings: { logging: { level: 'debug' } } });
    await committed(running, 10);
    await sleep(A_WHILE_MS);
    running.kill('SIGTERM');
    const { logs } = await running.done;
    expect(logs.map((line) => `${line.msg} ${line.waiting ?? ''}`).join('\n')).toContain('waiting for ledgers');
  });

  it('an empty file at the head, and a lake that is still empty', async () => {
    const { scene, grow, write } = await growing(2);
    rmSync(
      join(
        scene.root,
        'lake',
        readdirSync(join(scene.root, 'lake')).filter((name) => name !== '.config.json')[0] as string,
      ),
      {
        recursive: true,
      },
    );
    const running = scene.start('run');
    await running.untilLogged((line) => line.msg === 'run started', 'the start');
    await sleep(A_WHILE_MS);
    grow(range(2, 8));
    write(9, 0);
    await sleep(A_WHILE_MS);
    expect(sealedIn(chainOf(scene))).toEqual([]);
    write(9, 1);
    await committed(running, 2);
    running.kill('SIGINT');
    expect((await running.done).summary).toMatchObject({ status: 'drained', eras: [{ next_ledger: 10 }] });
  });

  it('--once goes to the present head, whole partitions only, and exits 0', async () => {
    const { scene, grow } = await growing(47);
    const outcome = await scene.run({ args: ['--once'] });
    expect(outcome.code, outcome.stderr).toBe(0);
    expect(outcome.summary).toMatchObject({ status: 'done', eras: [{ status: 'done', next_ledger: 40 }] });
    expect(sealedIn(chainOf(scene))).toEqual(grid(2, 39, 10));
    grow(range(48, 52));
    expect((await scene.run({ args: ['--once'] })).summary?.eras[0]).toMatchObject({ next_ledger: 50, partitions: 1 });
    expect((await scene.run({ args: ['--once'] })).summary?.eras[0]).toMatchObject({ next_ledger: 50, partitions: 0 });
    await expectVerified(scene);
  });

  it('--once names a hole before the present head, exits 1, and commits what lies before it', async () => {
    const { scene, grow } = await growing(27);
    grow(range(29, 45));
    const outcome = await scene.run({ args: ['--once'] });
    expect(outcome).toMatchObject({ code: 1, summary: { status: 'failed', eras: [{ next_ledger: 20 }] } });
    expect(outcome.summary?.eras[0]?.error).toMatchObject({ code: 'LEDGER_MISSING', ledger: 28 });
    expect(sealedIn(chainOf(scene))).toEqual(grid(2, 19, 10));
    grow([28]);
    expect((await scene.run({ args: ['--once'] })).summary?.eras[0]).toMatchObject({ next_ledger: 40 });
  });

  it('--to ends an unbounded era', async () => {
    const { scene, grow } = await growing(15);
    const running = scene.start('run', { args: ['--to', '33'] });
    await committed(running, 2);
    grow(range(16, 60));
    const outcome = await running.done;
    expect(outcome).toMatchObject({ code: 0, summary: { status: 'done', eras: [{ next_ledger: 40 }] } });
    expect(sealedIn(chainOf(scene))).toEqual(grid(2, 39, 10));
  });

  it('damage far behind the head is not waited for', async () => {
    const { scene, lake } = await growing(60);
    writeFileSync(join(lake, objectOf(lake, 15)), 'not a frame');
    const outcome = await scene.run();
    expect(outcome.code).toBe(1);
    expect(outcome.summary?.eras[0]).toMatchObject({ next_ledger: 10, error: { code: 'OBJECT_CORRUPT', ledger: 15 } });
  });
});
