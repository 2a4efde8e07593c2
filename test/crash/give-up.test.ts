/**
 * The real `give-up`, killed at each of its points and at those of what it calls: what is remembered stands somewhere at
 * every moment, a run goes on only when all of it was given up, and the same command done again ends it, with one record.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { attestedIn, eventFile, filesIn, grid } from '../support/estate.ts';
import { sampleEra, sampleScene } from '../support/lakes.ts';
import type { Scene } from '../support/program.ts';
import { expectVerified } from '../support/settled.ts';

const WHY = ['--reason', 'the backup of Monday'];
const chainOf = (scene: Scene): string => scene.chain('sample', 'whole');
const recordsOf = (scene: Scene): string[] => {
  const { data } = scene;
  return Object.keys(filesIn(data)).filter((path) => path.includes('_losses/') && path.endsWith('.json'));
};

/** Six partitions with copies, checkpoint and rows, of which Bronze then lost the last. */
let damaged: Scene;
/** With a catalog of its own. */
const copyOf = (scene: Scene): Scene => {
  const copy = scene.copy();
  return copy.change({ catalog: { dir: join(copy.state, 'catalog') } });
};
beforeAll(async () => {
  damaged = await sampleScene(sampleEra({ ledger_end: 59 }));
  damaged.change({ catalog: { backend: 'embedded', dir: join(damaged.state, 'catalog'), strict: true } });
  expect((await damaged.run()).code).toBe(0);
  rmSync(eventFile(chainOf(damaged), 5));
  rmSync(join(chainOf(damaged), 'ledgers_lcm_raw', 'range=50-59'), { recursive: true });
});

/** What is remembered, as its files' contents. The catalog is a file that is rewritten: its rows are looked for apart. */
const remembered = (scene: Scene): string[] =>
  [scene.backup, scene.state].flatMap((dir) =>
    readdirSync(dir)
      .filter((name) => name.endsWith('.json') || name.includes('.given-up-'))
      .filter((name) => !/^(lock|staging)_/.test(name))
      .map((name) => readFileSync(join(dir, name), 'utf8')),
  );

describe('S5, S36: give-up, killed', () => {
  it.each([
    'lock:after-link',
    'give-up:before-record',
    'create:before-link',
    'create:after-link',
    'give-up:after-record',
    'give-up:after-move',
    'give-up:after-move#2',
    'give-up:after-heads-kept',
    'give-up:after-forget',
    'lock:before-release',
  ])('at %s', async (at) => {
    const scene = copyOf(damaged);
    const { code } = JSON.parse((await scene.start('give-up', { args: ['--json'] }).done).stdout);
    const before = remembered(scene);
    const killed = await scene.start('give-up', {
      args: ['--exactly', code, ...WHY],
      env: { BRONZE_KILL_AT: at.includes('#') ? at : `${at}#1` },
    }).done;
    expect(killed.signal, `${killed.stdout}${killed.stderr}`).toBe('SIGKILL');
    for (const text of before) expect(remembered(scene)).toContain(text);
    // Nothing is given up before it is written down.
    if (recordsOf(scene).length === 0) expect(remembered(scene)).toEqual(before);

    // Only where all of it was given up may a run begin.
    const isOver = (await scene.start('give-up').done).code === 2;
    if (!isOver) {
      const refused = await copyOf(scene).run();
      expect(refused.code).toBe(1);
    }
    const again = await scene.start('give-up', { args: ['--exactly', code, ...WHY] }).done;
    expect(again.code, again.stderr).toBe(0);
    for (const text of before) expect(remembered(scene)).toContain(text);
    expect(recordsOf(scene)).toHaveLength(1);

    const run = await scene.run();
    expect(run.code, run.stderr).toBe(0);
    expect(attestedIn(chainOf(scene))).toEqual(grid(2, 59, 10));
    await expectVerified(scene);
  });
});
