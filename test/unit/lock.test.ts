/** The lock on a chain: one holder, named; dead ones are replaced by exactly one; the journal of who staged. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { FileOps } from '../../actors/files.ts';
import { type HostView, hostView, liveness, startTimeOf } from '../../actors/state/host.ts';
import { acquireLock, inspectLock, removeLock } from '../../actors/state/lock.ts';
import { CHAIN, failureOf, tempFolder } from '../support/bronze.ts';
import { dyingAfter, failing } from '../support/faulty-files.ts';

const FILE = 'lock_pubnet_pre_p23_v1.json';

/** A machine on which the processes of `alive` run (pid → start time). */
function machine(alive: Record<number, string>, pid: number, host = 'here', bootId = 'boot-1'): HostView {
  return {
    self: { host, bootId, pid, processStart: alive[pid] ?? 'gone' },
    startOf: (of) => alive[of] ?? null,
  };
}

const acquire = (dir: string, view: HostView, files?: FileOps) =>
  acquireLock({ dir, chain: CHAIN, copierId: `copier-${view.self.pid}`, view, ...(files ? { files } : {}) });

describe('one holder', () => {
  it('S7: refuses a second copier and names the first', async () => {
    const dir = join(tempFolder(), 'state');
    const alive = { 10: 't10', 11: 't11' };
    const first = await acquire(dir, machine(alive, 10));
    const failure = await failureOf(acquire(dir, machine(alive, 11)));
    expect(failure).toMatchObject({ code: 'LOCK_HELD', retryable: false });
    for (const part of ['copier-10', 'host here', 'process 10', 't10', 'boot-1', first.nonce]) {
      expect(failure.message).toContain(part);
    }
    await first.release();
    const second = await acquire(dir, machine(alive, 11));
    expect(second.nonce).not.toBe(first.nonce);
    expect(readdirSync(dir).sort()).toEqual([FILE, 'staging_pubnet_pre_p23_v1.json']);
  });

  it('refuses a second one of the same process', async () => {
    const dir = tempFolder();
    const lock = await acquireLock({ dir, chain: CHAIN, copierId: 'a' });
    expect((await failureOf(acquireLock({ dir, chain: CHAIN, copierId: 'a' }))).code).toBe('LOCK_HELD');
    await acquireLock({ dir, chain: { ...CHAIN, versionLabel: 'v2' }, copierId: 'a' });
    await lock.release();
    await lock.release();
  });

  it('S7: of twenty that start at once exactly one holds it', async () => {
    const dir = tempFolder();
    const alive = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [100 + i, `t${i}`]));
    const all = await Promise.allSettled(Object.keys(alive).map((pid) => acquire(dir, machine(alive, Number(pid)))));
    expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const one of all) if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'LOCK_HELD' });
  });

  it('is not released by who lost it to a forced unlock', async () => {
    const dir = tempFolder();
    const alive = { 10: 't10', 11: 't11' };
    const first = await acquire(dir, machine(alive, 10));
    await removeLock(dir, CHAIN, { view: machine(alive, 11), force: true });
    await acquire(dir, machine(alive, 11));
    await first.release();
    expect((await inspectLock(dir, CHAIN, undefined, machine(alive, 11)))?.holder?.pid).toBe(11);
  });
});

describe('dead holders', () => {
  it.each([
    ['its process is gone', machine({ 11: 't11' }, 11)],
    ['its number belongs to another process', machine({ 10: 'later', 11: 't11' }, 11)],
    ['the machine was booted again', machine({ 10: 't10', 11: 't11' }, 11, 'here', 'boot-2')],
  ])('are replaced where %s', async (_, view) => {
    const dir = tempFolder();
    const first = await acquire(dir, machine({ 10: 't10' }, 10));
    const second = await acquire(dir, view);
    expect(second.orphaned).toEqual([first.nonce]);
    expect(readdirSync(dir).sort()).toEqual([FILE, 'staging_pubnet_pre_p23_v1.json']);
  });

  it('are not replaced where it cannot be checked: another host, a lock that is no lock', async () => {
    const dir = tempFolder();
    await acquire(dir, machine({ 10: 't10' }, 10, 'there'));
    const failure = await failureOf(acquire(dir, machine({ 11: 't11' }, 11)));
    expect(failure.code).toBe('LOCK_HELD');
    expect(failure.message).toContain('bronze-copier unlock');
    for (const content of ['', '{"host":', '{}', 'null']) {
      writeFileSync(join(dir, FILE), content);
      const corrupt = await failureOf(acquire(dir, machine({ 11: 't11' }, 11)));
      expect(corrupt.code).toBe('LOCK_HELD');
      expect(corrupt.message).toContain('bronze-copier unlock');
    }
  });

  it('of twenty that find one, exactly one takes its place', async () => {
    for (let round = 0; round < 5; round++) {
      const dir = tempFolder();
      await acquire(dir, machine({ 10: 't10' }, 10));
      const alive = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [100 + i, `t${i}`]));
      const all = await Promise.allSettled(Object.keys(alive).map((pid) => acquire(dir, machine(alive, Number(pid)))));
      expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    }
  });

  it('S5: one that dies at any operation of taking or taking over the lock leaves nobody locked out', async () => {
    for (const before of [false, true]) {
      for (let n = 0; ; n++) {
        const dir = tempFolder();
        if (before) await acquire(dir, machine({ 9: 't9' }, 9));
        const { files, state } = dyingAfter(n);
        await acquire(dir, machine({ 10: 't10' }, 10), files).catch(() => undefined);
        // A third one dies in the same place, then a fourth succeeds.
        await acquire(dir, machine({ 11: 't11' }, 11), dyingAfter(n).files).catch(() => undefined);
        const lock = await acquire(dir, machine({ 12: 't12' }, 12));
        expect(readdirSync(dir).sort()).toEqual([FILE, 'staging_pubnet_pre_p23_v1.json']);
        await lock.release();
        if (!state.died) break;
      }
    }
  });
});

describe('the journal', () => {
  it('remembers everybody whose staging was not swept', async () => {
    const dir = tempFolder();
    const first = await acquire(dir, machine({ 10: 't10' }, 10));
    const second = await acquire(dir, machine({ 11: 't11' }, 11));
    await second.release();
    const third = await acquire(dir, machine({ 12: 't12' }, 12));
    expect(third.orphaned).toEqual([first.nonce, second.nonce]);
    await third.swept();
    await third.release();
    const fourth = await acquire(dir, machine({ 13: 't13' }, 13));
    expect(fourth.orphaned).toEqual([third.nonce]);
  });

  it('that is corrupt is a lost hint and nothing more', async () => {
    const dir = tempFolder();
    writeFileSync(join(dir, 'staging_pubnet_pre_p23_v1.json'), '{"owners": ["../../x"]}');
    expect((await acquire(dir, machine({ 10: 't10' }, 10))).orphaned).toEqual([]);
  });

  it('S21: a state folder that cannot be written is STATE_IO, and the lock is not kept', async () => {
    const dir = tempFolder();
    for (const step of ['link', 'rename', 'fsync', 'write'] as const) {
      const failure = await failureOf(acquire(dir, machine({ 10: 't10' }, 10), failing([step], 'ENOSPC')));
      expect(failure).toMatchObject({ code: 'STATE_IO', retryable: true });
    }
    const readOnly = await failureOf(acquire(dir, machine({ 10: 't10' }, 10), failing(['open'], 'EROFS')));
    expect(readOnly).toMatchObject({ code: 'STATE_IO', retryable: false });
  });
});

describe('unlock', () => {
  it('removes what cannot be checked and says what it was', async () => {
    const dir = tempFolder();
    const here = machine({ 11: 't11' }, 11);
    expect(await removeLock(dir, CHAIN, { view: here })).toBeNull();
    const lock = await acquire(dir, machine({ 10: 't10' }, 10, 'there'));
    const removed = await removeLock(dir, CHAIN, { view: here });
    expect(removed).toMatchObject({ liveness: 'unknown', holder: { host: 'there', nonce: lock.nonce } });
    expect(removed?.description).toContain('host there');
    expect(existsSync(join(dir, FILE))).toBe(false);
    expect((await acquire(dir, here)).orphaned).toEqual([lock.nonce]);
  });

  it('removes a file that is no lock', async () => {
    const dir = tempFolder();
    writeFileSync(join(dir, FILE), 'garbage');
    expect(await inspectLock(dir, CHAIN)).toMatchObject({ holder: null, liveness: 'unknown' });
    expect(await removeLock(dir, CHAIN)).toMatchObject({ holder: null });
    expect(readdirSync(dir)).toEqual([]);
  });

  it('refuses while the holder certainly runs, unless forced', async () => {
    const dir = tempFolder();
    const view = machine({ 10: 't10', 11: 't11' }, 11);
    await acquire(dir, machine({ 10: 't10' }, 10));
    expect((await failureOf(removeLock(dir, CHAIN, { view }))).code).toBe('LOCK_HELD');
    expect(existsSync(join(dir, FILE))).toBe(true);
    expect(await removeLock(dir, CHAIN, { view, force: true })).toMatchObject({ liveness: 'alive' });
    expect(readdirSync(dir)).toEqual(['staging_pubnet_pre_p23_v1.json']);
  });

  it('a folder in its place is an error that says so', async () => {
    const dir = tempFolder();
    mkdirSync(join(dir, FILE));
    expect(await failureOf(inspectLock(dir, CHAIN))).toMatchObject({ code: 'STATE_IO', retryable: false });
  });
});

describe('this machine', () => {
  it('knows itself to be alive, and reads the start time behind a command with brackets', () => {
    const view = hostView();
    expect(liveness(view, view.self)).toBe('alive');
    expect(liveness(view, { ...view.self, processStart: '1' })).toBe('dead');
    expect(liveness(view, { ...view.self, pid: 2 ** 22 + 1 })).toBe('dead');
    expect(liveness(view, { ...view.self, bootId: 'other' })).toBe('dead');
    expect(liveness(view, { ...view.self, host: 'other', bootId: 'other' })).toBe('unknown');
    const stat = readFileSync('/proc/self/stat', 'utf8').replace(/\(.*\)/, '(a b) c)');
    expect(startTimeOf(stat)).toBe(view.self.processStart);
  });
});
