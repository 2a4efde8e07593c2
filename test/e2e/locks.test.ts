/**
 * Who holds a chain's lock (S38), with real zombies and real namespaces: a zombie is dead, a living copier in another
 * container is not taken over, and one that was killed there is, without `unlock`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { said } from '../support/copier.ts';
import { attestedIn, grid, readJson } from '../support/estate.ts';
import { sampleEra, sampleScene } from '../support/lakes.ts';
import { itInNamespace, PROCESS_1, PROCESS_1_FOREIGN_PROC, pidInside } from '../support/namespaces.ts';
import { BINARY, type Running, type Scene } from '../support/program.ts';

const LOCK = 'lock_sample_whole_v1.json';
/** Goes on until it is stopped. */
const following = () => sampleScene(sampleEra({ ledger_end: 0 }), { source: { poll_interval_ms: 50 } });
/** Partitions of the sample lake that are complete, in an era without an end. */
const COMPLETE = grid(2, 119, 10).length;
const hasLock = (scene: Scene): boolean => existsSync(join(scene.state, LOCK));
/** A mark is watched for 20 s, and a machine may be slow. */
const PATIENT = { patienceMs: 120_000 };
const nonceIn = (scene: Scene): string => readJson(scene.state, LOCK).nonce;

const parents = new Set<ReturnType<typeof spawn>>();
afterAll(() => {
  for (const parent of parents) parent.kill('SIGKILL');
});

describe('a holder that is a zombie', () => {
  it('is dead: taken over', async () => {
    const scene = await following();
    const words = [process.execPath, BINARY, 'run', '--config', scene.config()];
    // What the shell becomes knows nothing of its child, and never asks how it ended.
    const parent = spawn('sh', ['-c', '"$@" & exec sleep 1000', 'sh', ...words], { cwd: scene.root, stdio: 'ignore' });
    parents.add(parent);
    while (!hasLock(scene)) await sleep(5);
    const { pid } = readJson(scene.state, LOCK);
    process.kill(pid, 'SIGKILL');
    const state = () => readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/.*\) /s, '')[0];
    while (state() !== 'Z') await sleep(5);
    const run = await scene.run({ args: ['--once'], ...PATIENT });
    expect(run.code, said(run)).toBe(0);
    expect(state()).toBe('Z');
    parent.kill('SIGKILL');
    await once(parent, 'exit');
  });
});

describe('a holder in another namespace of process numbers', () => {
  const begin = async (scene: Scene, under: readonly string[]): Promise<Running> => {
    const before = hasLock(scene) ? nonceIn(scene) : null;
    const running = scene.start('run', { under, ...PATIENT });
    await running.until(() => hasLock(scene) && nonceIn(scene) !== before, 'it has its lock');
    return running;
  };

  for (const [what, under] of [
    ['its own /proc', PROCESS_1],
    ['the /proc of those outside', PROCESS_1_FOREIGN_PROC],
  ] as const) {
    itInNamespace(`with ${what}: alive while it lives, dead once it was killed, stopped is still`, async () => {
      const scene = await following();
      const first = await begin(scene, under);
      const nonce = nonceIn(scene);
      const refused = await scene.run({ args: ['--once'], ...PATIENT });
      expect(refused.code, said(refused)).toBe(1);
      expect(refused.stderr).toMatch(/LOCK_HELD: .*wait for it or stop it/);
      const status = await scene.start('status', { args: ['--json'], ...PATIENT }).done;
      expect(JSON.parse(status.stdout).eras[0].lock.liveness).toBe('alive');
      const unlock = await scene.command('unlock', '--config', scene.config());
      expect([unlock.code, unlock.stderr]).toEqual([1, expect.stringContaining('LOCK_HELD')]);
      expect(nonceIn(scene)).toBe(nonce);
      process.kill(await pidInside(first), 'SIGKILL');
      await first.done;
      expect(nonceIn(scene)).toBe(nonce);
      // A container that was started again, under the name that the machine has.
      const second = await begin(scene, under);
      expect(nonceIn(scene)).not.toBe(nonce);
      process.kill(await pidInside(second), 'SIGTERM');
      await second.done;
      expect(hasLock(scene)).toBe(false);
    });
  }

  itInNamespace('stopped for long, and going on after it was taken over: LOCK_LOST', async () => {
    const scene = await following();
    const first = await begin(scene, PROCESS_1);
    // Between two commits: there is something to verify, and nothing half done.
    await first.until(
      () => attestedIn(scene.chain('sample', 'whole')).length === COMPLETE,
      'it has copied what is there',
    );
    const pid = await pidInside(first);
    process.kill(pid, 'SIGSTOP');
    const second = await begin(scene, []);
    process.kill(pid, 'SIGCONT');
    const lost = await first.done;
    expect(lost.code, said(lost)).toBe(1);
    expect(lost.stderr).toContain('LOCK_LOST');
    expect(hasLock(scene)).toBe(true);
    second.kill('SIGTERM');
    const run = await second.done;
    expect(run.code, said(run)).toBe(0);
    const verdict = await scene.verify();
    expect(verdict.code, said(verdict)).toBe(0);
  });
});
