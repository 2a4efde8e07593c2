/** Two copiers on one chain (S7): refused where it can be seen, harmless where it cannot. Folders that are in the way (S21). */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  attestedIn,
  filesIn,
  grid,
  namesIn,
  parquetHashes,
  partitionsOf,
  rowsIn,
  sealedIn,
  sha256Hex,
} from '../support/estate.ts';
import { sampleEra, sampleLedgers, sampleScene } from '../support/lakes.ts';
import { type Scene, SIDE_BY_SIDE } from '../support/program.ts';
import { expectVerified } from '../support/settled.ts';

const chainOf = (scene: Scene): string => scene.chain('sample', 'whole');

describe('S7: two copiers on one chain', () => {
  it('with the same state folder: the second is refused, naming the first', async () => {
    const scene = await sampleScene(sampleEra({ ledger_end: 0 }), { source: { poll_interval_ms: 20 } });
    const first = scene.start('run');
    await first.untilLogged(
      (line) => line.msg === 'partition committed' && line.ledger_start === 110,
      'the last commit',
    );
    const before = filesIn(scene.data);
    const second = await scene.run();
    expect(second.code).toBe(1);
    const error = second.summary?.eras[0]?.error;
    expect(error).toMatchObject({ code: 'LOCK_HELD' });
    expect(`${error?.message} ${error?.found}`).toContain(String(first.pid));
    expect(second.stderr).toContain(String(first.pid));
    expect(filesIn(scene.data)).toEqual(before);
    // unlock does not take it from somebody who certainly runs.
    const unlock = await scene.start('unlock').done;
    expect(unlock.code).not.toBe(0);
    const status = await scene.start('status', { args: ['--json'] }).done;
    expect(status.stdout).toContain(String(first.pid));
    first.kill('SIGTERM');
    expect((await first.done).summary).toMatchObject({ status: 'drained', eras: [{ next_ledger: 120 }] });
    expect((await scene.run({ args: ['--once'] })).code).toBe(0);
  });

  it('a holder that was killed is taken over, and what it staged is removed', async () => {
    const scene = await sampleScene(sampleEra({ partition_size: 2 }), SIDE_BY_SIDE);
    const first = scene.start('run');
    await first.untilLogged((line) => line.msg === 'partition committed' && line.ledger_start === 10, 'a commit');
    first.kill('SIGKILL');
    expect((await first.done).signal).toBe('SIGKILL');
    expect(namesIn(scene.state).some((name) => name.startsWith('lock_'))).toBe(true);
    const second = await scene.run();
    expect(second.code, second.stderr).toBe(0);
    expect(attestedIn(chainOf(scene))).toEqual(grid(2, 127, 2));
    expect(namesIn(scene.data).filter((name) => name.includes('_staging'))).toEqual([]);
    await expectVerified(scene);
  });

  it('other eras of the same state folder are not concerned', async () => {
    const eras = [sampleEra({ era_id: 'a', ledger_end: 0 }), sampleEra({ era_id: 'b', ledger_end: 39 })];
    const scene = await sampleScene(eras.slice(0, 1));
    const first = scene.start('run');
    await first.untilLogged((line) => line.msg === 'partition committed', 'a commit');
    const second = await scene.command('run', '--config', scene.config({ eras: [eras[1]] }));
    expect(second.code, second.stderr).toBe(0);
    first.kill('SIGTERM');
    expect((await first.done).code).toBe(0);
  });

  it.each([3, 10])(
    'with two state folders at once, partitions of %i: one set of objects, one chain, right content',
    async (size) => {
      const here = await sampleScene(sampleEra({ partition_size: size }), SIDE_BY_SIDE);
      const there = here.elsewhere();
      const outcomes = await Promise.all([here.run(), there.run()]);
      for (const outcome of outcomes) expect(outcome.code, outcome.stdout + outcome.stderr).toBe(0);
      const chain = chainOf(here);
      const labels = grid(2, 127, size);
      expect(partitionsOf(chain)).toEqual(labels.map((label) => ({ label, state: 'sealed' })));
      expect(attestedIn(chain)).toEqual(labels);
      expect((await rowsIn(chain)).map((row) => row.recomputed_sha256)).toEqual(sampleLedgers().map(sha256Hex));
      const alone = await sampleScene(sampleEra({ partition_size: size }));
      expect((await alone.run()).code).toBe(0);
      expect(parquetHashes(chain)).toEqual(parquetHashes(chainOf(alone)));
      expect(namesIn(here.data).filter((name) => name.includes('_staging'))).toEqual([]);
      for (const scene of [here, there]) expect((await scene.verify('--events', scene.backup)).code).toBe(0);
    },
  );

  it('with other compressions at once: whoever was first stays, the chain is one', async () => {
    const here = await sampleScene(sampleEra({ partition_size: 5 }), SIDE_BY_SIDE);
    const there = here.elsewhere({ bronze: { compression: 'snappy' } });
    const outcomes = await Promise.all([here.run(), there.run()]);
    // A copier may lose a race with another content of the same rows only in the open.
    for (const { code, stderr } of outcomes) expect([0, 1], stderr).toContain(code);
    for (const scene of [here, there]) {
      const after = await scene.run();
      expect(after.code, after.stderr).toBe(0);
    }
    expect(attestedIn(chainOf(here))).toEqual(grid(2, 127, 5));
    await expectVerified(here);
  });
});

describe('S21: folders that cannot be written', () => {
  const era = sampleEra({ ledger_end: 39 });

  it.each([
    ['state', 'STATE_IO'],
    ['data', 'STORE_IO'],
  ] as const)('%s is a file: a clear error, nothing half-visible, and the next run does it all', async (name, code) => {
    const scene = await sampleScene(era);
    writeFileSync(join(scene.root, name), 'in the way');
    const outcome = await scene.run();
    expect(outcome.code).toBe(1);
    expect(outcome.summary?.eras[0]?.error).toMatchObject({ code });
    expect(outcome.stderr).toContain(join(scene.root, name));
    expect(readFileSync(join(scene.root, name), 'utf8')).toBe('in the way');
    expect(partitionsOf(chainOf(scene))).toEqual([]);
    const online = await scene.start('validate', { args: ['--online'] }).done;
    expect(online.code).toBe(1);
    expect(online.stderr).toContain(join(scene.root, name));
    rmSync(join(scene.root, name));
    expect((await scene.run()).code).toBe(0);
    await expectVerified(scene);
  });

  it('the backup folder is a file: a clear error, and the next run completes', async () => {
    const scene = await sampleScene(era);
    writeFileSync(scene.backup, 'in the way');
    const outcome = await scene.run();
    expect(outcome.code).toBe(1);
    expect(outcome.summary?.eras[0]?.error).toMatchObject({ code: 'STATE_IO' });
    rmSync(scene.backup);
    expect((await scene.run()).code).toBe(0);
    expect(attestedIn(chainOf(scene))).toEqual(grid(2, 39, 10));
    expect((await scene.verify('--events', scene.backup)).code).toBe(0);
  });

  it('a file stands where a partition has to go: a clear error, what is before it is published', async () => {
    const scene = await sampleScene(era);
    expect((await scene.run({ args: ['--to', '19'] })).code).toBe(0);
    const place = join(chainOf(scene), 'ledgers_lcm_raw', 'range=20-29');
    writeFileSync(place, 'in the way');
    const outcome = await scene.run();
    expect(outcome.code).toBe(1);
    expect(String(outcome.summary?.eras[0]?.error?.code)).toMatch(/^STORE_/);
    rmSync(place);
    expect((await scene.run()).code).toBe(0);
    expect(sealedIn(chainOf(scene))).toEqual(grid(2, 39, 10));
    await expectVerified(scene);
  });
});
