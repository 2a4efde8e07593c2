/**
 * State folders that are not what they should be: damaged as a whole, of a later release, of another era, of another
 * copier. Each is said, made good from Bronze where that is safe, and refused where it is not (S14).
 */
import { cpSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { attestedIn, filesIn, grid, namesIn, readJson } from '../support/estate.ts';
import { sampleEra, sampleScene } from '../support/lakes.ts';
import type { Outcome, Scene } from '../support/program.ts';
import { expectVerified } from '../support/settled.ts';

const CHECKPOINT = 'checkpoint_sample_whole_v1.json';
const LOCK = 'lock_sample_whole_v1.json';
const chainOf = (scene: Scene, era = 'whole'): string => scene.chain('sample', era);
const said = (outcome: Outcome, pattern: RegExp): boolean => outcome.logs.some(({ msg }) => pattern.test(msg));

/** Copied up to ledger 59 of 127, and as a whole. */
let half: Scene;
let whole: Scene;
beforeAll(async () => {
  half = await sampleScene();
  expect((await half.run({ args: ['--to', '59'] })).code).toBe(0);
  whole = half.copy();
  expect((await whole.run()).code).toBe(0);
});

/** What is left is copied, nothing that stood there changes, and the checkpoint is right again. */
async function completes(scene: Scene, partitions = 7): Promise<Outcome> {
  const before = filesIn(chainOf(scene));
  const outcome = await scene.run();
  expect(outcome.code, outcome.stderr).toBe(0);
  expect(outcome.summary?.eras[0]).toMatchObject({ next_ledger: 128, partitions });
  expect(filesIn(chainOf(scene))).toMatchObject(before);
  expect(attestedIn(chainOf(scene))).toEqual(grid(2, 127, 10));
  expect(readJson(scene.state, CHECKPOINT)).toMatchObject({ last_committed_ledger: 127 });
  expect((await scene.verify('--events', scene.backup)).code).toBe(0);
  return outcome;
}

/** What the state remembers contradicts Bronze: the era fails by its own code, and nothing is changed. */
async function isRefused(scene: Scene): Promise<void> {
  // But for the journal, which taking the lock writes.
  const all = () => [
    filesIn(scene.data),
    filesIn(scene.backup),
    Object.fromEntries(Object.entries(filesIn(scene.state)).filter(([path]) => !path.includes('staging_'))),
  ];
  const before = all();
  const outcome = await scene.run();
  expect(outcome.code, outcome.stderr).toBe(1);
  expect(outcome.summary?.eras[0]?.error).toMatchObject({ code: 'EVIDENCE_CONTRADICTS' });
  expect(all()).toEqual(before);
}

describe('a checkpoint of a later release', () => {
  it('with fields that this one does not know: used, and written again without them', async () => {
    const scene = half.copy();
    const file = join(scene.state, CHECKPOINT);
    writeFileSync(file, JSON.stringify({ ...readJson(file), format: 9, shards: [1, 2], updated_at: '2199-01-01' }));
    const outcome = await completes(scene);
    expect(said(outcome, /the checkpoint/)).toBe(false);
    expect(readJson(scene.state, CHECKPOINT)).not.toHaveProperty('shards');
  });

  it('in a form that this one does not know: said, not used', async () => {
    const scene = half.copy();
    writeFileSync(join(scene.state, CHECKPOINT), JSON.stringify({ format: 9, committed: { to: 59 } }));
    expect(said(await completes(scene), /the checkpoint .* is not used/)).toBe(true);
  });

  it.each(['ahead of storage', 'of other bytes than Bronze'])(
    'S36: %s: refused, and nothing is written',
    async (what) => {
      const scene = half.copy();
      const file = join(scene.state, CHECKPOINT);
      if (what === 'ahead of storage') cpSync(join(whole.state, CHECKPOINT), file);
      else {
        const checkpoint = readJson(file);
        checkpoint.last_committed_partition.checksum = `sha256:${'0'.repeat(64)}`;
        writeFileSync(file, JSON.stringify(checkpoint));
      }
      await isRefused(scene);
    },
  );
});

describe('a corrupt state folder', () => {
  it('every file of a run that is over: said, made good from Bronze', async () => {
    const scene = half.copy();
    const names = readdirSync(scene.state);
    expect(names.length).toBeGreaterThan(1);
    for (const name of names) writeFileSync(join(scene.state, name), Buffer.from([0x7b, 0xff, 0x00, 0x22]));
    expect(said(await completes(scene), /the checkpoint .* is not used/)).toBe(true);
  });

  it('with a lock that nobody can judge: refused, nothing changed, until it is unlocked', async () => {
    const scene = half.copy();
    for (const name of [...readdirSync(scene.state), LOCK]) writeFileSync(join(scene.state, name), 'not JSON');
    const before = filesIn(scene.data);
    const refused = await scene.run();
    expect(refused.code).toBe(1);
    expect(refused.summary?.eras[0]?.error).toMatchObject({ code: 'LOCK_HELD' });
    expect(refused.stderr).toContain('bronze-copier unlock');
    expect(filesIn(scene.data)).toEqual(before);
    expect((await scene.start('unlock').done).code).toBe(0);
    await completes(scene);
  });
});

describe('two state folders swapped', () => {
  /** The folders of two scenes, the one for the other. */
  function swap(one: Scene, other: Scene): void {
    const aside = join(one.root, 'aside');
    renameSync(one.state, aside);
    cpSync(other.state, one.state, { recursive: true });
    rmSync(other.state, { recursive: true });
    cpSync(aside, other.state, { recursive: true });
  }

  it('of two copiers with a storage each: the one that is ahead is refused, the one that is behind goes on', async () => {
    const [here, there] = [half.copy(), whole.copy()];
    swap(here, there);
    await isRefused(here);
    await completes(there, 0);
  });

  it('of two copiers on one storage, each with its own state: the same', async () => {
    const here = half.copy();
    const there = here.elsewhere();
    expect((await there.run({ args: ['--to', '89'] })).code).toBe(0);
    swap(here, there);
    await completes(here, 4);
    const outcome = await there.run();
    expect(outcome.summary?.eras[0]).toMatchObject({ status: 'done', partitions: 0, next_ledger: 128 });
  });

  it('of two eras: each finds a file of the other under its own name, says so, and goes by Bronze', async () => {
    const eras = ['a', 'b'].map((era_id) =>
      sampleEra({ era_id, ledger_start: era_id === 'a' ? 2 : 60, ledger_end: 127 }),
    );
    const scene = await sampleScene([
      { ...eras[0], ledger_end: 59 },
      { ...eras[1], ledger_end: 127 },
    ]);
    expect((await scene.run({ args: ['--eras', 'a'] })).code).toBe(0);
    expect((await scene.run({ args: ['--eras', 'b', '--to', '89'] })).code).toBe(0);
    const names = namesIn(scene.state);
    const [a, b] = ['a', 'b'].map((era) => names.filter((name) => name.includes(`_${era}_v1`))) as [string[], string[]];
    const content = new Map(names.map((name) => [name, readFileSync(join(scene.state, name))]));
    expect(a.length).toBe(b.length);
    for (const [i, name] of a.entries()) {
      writeFileSync(join(scene.state, name), content.get(b[i] as string) as Buffer);
      writeFileSync(join(scene.state, b[i] as string), content.get(name) as Buffer);
    }
    const before = filesIn(scene.data);
    const outcome = await scene.run();
    expect(outcome.code, outcome.stderr).toBe(0);
    expect(said(outcome, /is not used: it belongs to sample\/b\/v1/)).toBe(true);
    expect(said(outcome, /is not used: it belongs to sample\/a\/v1/)).toBe(true);
    expect(filesIn(scene.data)).toMatchObject(before);
    expect(attestedIn(chainOf(scene, 'b'))).toEqual(grid(60, 127, 10));
    expect(readJson(scene.state, 'checkpoint_sample_a_v1.json')).toMatchObject({ last_committed_ledger: 59 });
    await expectVerified(scene);
  });
});
