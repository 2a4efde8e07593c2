/** The lock on a chain: one holder, named; dead ones are replaced by exactly one; the journal of who staged. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type FileOps, realFiles } from '../../actors/files.ts';
import type { ChainLock } from '../../actors/ports/state.ts';
import { type HostView, hostView, liveness, startTimeOf } from '../../actors/state/host.ts';
import { acquireLock, inspectLock, removeLock } from '../../actors/state/lock.ts';
import { toFailure } from '../../machines/errors.ts';
import { CHAIN, failureOf, tempFolder } from '../support/bronze.ts';
import { dyingAfter, failing } from '../support/faulty-files.ts';

const FILE = 'lock_pubnet_pre_p23_v1.json';

/** A machine on which the processes of `alive` run (pid → start time). */
function machine(
  alive: Record<number, string>,
  pid: number,
  host = 'here',
  bootId = 'boot-1',
  pidNamespace = 'pid:[1]',
): HostView {
  return {
    self: { host, bootId, pidNamespace, pid, processStart: alive[pid] ?? 'gone' },
    startOf: (of) => alive[of] ?? null,
  };
}

/** Quick enough for tests: a mark that stands still for ten of them is a dead holder's. */
const RENEWS_MS = 50;

const acquire = (dir: string, view: HostView, files?: FileOps) =>
  acquireLock({
    dir,
    chain: CHAIN,
    copierId: `copier-${view.self.pid}`,
    view,
    renewsMs: RENEWS_MS,
    ...(files ? { files } : {}),
  });

/** A holder that stands still from `stop` to `goOn`: as if it were dead, or stopped. */
async function stoppable(dir: string, view: HostView) {
  let gate = Promise.resolve();
  let goOn = (): void => {};
  const files = new Proxy(realFiles, {
    get(target, name: keyof FileOps) {
      const real = target[name] as (...all: unknown[]) => unknown;
      return name.endsWith('Sync') ? real : (...args: unknown[]) => gate.then(() => real(...args));
    },
  });
  const stop = (): void => {
    gate = new Promise((open) => {
      goOn = open;
    });
  };
  return { lock: await acquire(dir, view, files), stop, goOn: () => goOn() };
}

async function dead(dir: string, view: HostView): Promise<ChainLock> {
  const { lock, stop } = await stoppable(dir, view);
  stop();
  return lock;
}

describe('one holder', () => {
  it('S7: refuses a second copier and names the first', async () => {
    const dir = join(tempFolder(), 'state');
    const alive = { 10: 't10', 11: 't11' };
    const first = await acquire(dir, machine(alive, 10));
    const failure = await failureOf(acquire(dir, machine(alive, 11)));
    expect(failure).toMatchObject({ code: 'LOCK_HELD', retryable: false });
    expect(failure.message).toContain('copier-10 (process 10 on here, since 2');
    for (const part of ['process 10', 't10', 'host here', 'boot-1', first.nonce]) {
      expect(failure.details.found).toContain(part);
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
    ['it has ended, and the host has another name now', machine({ 11: 't11' }, 11, 'renamed')],
  ])('are replaced where %s', async (_, view) => {
    const dir = tempFolder();
    const first = await acquire(dir, machine({ 10: 't10' }, 10));
    const second = await acquire(dir, view);
    expect(second.orphaned).toEqual([first.nonce]);
    expect(readdirSync(dir).sort()).toEqual([FILE, 'staging_pubnet_pre_p23_v1.json']);
  });

  it.each([
    ['the same number means nothing', machine({ 10: 't10' }, 10, 'here', 'boot-1', 'pid:[2]')],
    ['in a container of another name', machine({ 11: 't11' }, 11, 'pod-2', 'boot-1', 'pid:[2]')],
    ['the host was booted again, or another one has its name', machine({ 11: 't11' }, 11, 'here', 'boot-2')],
  ])('S38: that no number tells on are judged by their mark: %s', async (_, view) => {
    const dir = tempFolder();
    const living = await acquire(dir, machine({ 10: 't10' }, 10));
    const held = await failureOf(acquire(dir, view));
    expect(held).toMatchObject({ code: 'LOCK_HELD', details: { hint: 'wait for it or stop it' } });
    expect((await inspectLock(dir, CHAIN, undefined, view))?.liveness).toBe('alive');
    expect((await failureOf(removeLock(dir, CHAIN, { view }))).code).toBe('LOCK_HELD');
    await living.release();
    const gone = await dead(dir, machine({ 10: 't10' }, 10));
    expect((await inspectLock(dir, CHAIN, undefined, view))?.liveness).toBe('unknown');
    const second = await acquire(dir, view);
    expect(second.orphaned).toContain(gone.nonce);
    await second.release();
  });

  it('whose mark is of a time to come, by a clock that was set back, are dead all the same', async () => {
    const dir = tempFolder();
    await dead(dir, machine({ 10: 't10' }, 10));
    utimesSync(join(dir, FILE), new Date('2099-01-01'), new Date('2099-01-01'));
    await acquire(dir, machine({ 11: 't11' }, 11, 'here', 'boot-1', 'pid:[2]'));
  });

  it('that a new one appears in the place of, while it is watched: that one counts', async () => {
    const dir = tempFolder();
    const first = await dead(dir, machine({ 10: 't10' }, 10));
    const there = machine({ 11: 't11', 12: 't12' }, 11, 'here', 'boot-1', 'pid:[2]');
    const [one, two] = await Promise.allSettled([
      acquire(dir, there),
      acquire(dir, { ...there, self: { ...there.self, pid: 12, processStart: 't12' } }),
    ]);
    const taken = [one, two].filter(({ status }) => status === 'fulfilled');
    expect(taken).toHaveLength(1);
    expect((taken[0] as PromiseFulfilledResult<ChainLock>).value.orphaned).toEqual([first.nonce]);
  });

  it('of release 2.0 have no mark: another boot of this name is enough, another host is not', async () => {
    const dir = tempFolder();
    const old = { host: 'here', boot_id: 'boot-1', pid: 10, process_start: 't10', nonce: 'a'.repeat(32) };
    const put = () =>
      writeFileSync(join(dir, FILE), JSON.stringify({ ...old, acquired_at: '2026-01-01T00:00:00Z', copier_id: 'old' }));
    put();
    const held = await failureOf(acquire(dir, machine({ 10: 't10', 11: 't11' }, 11)));
    expect(held).toMatchObject({ code: 'LOCK_HELD' });
    expect((await failureOf(acquire(dir, machine({ 11: 't11' }, 11, 'there', 'boot-2')))).code).toBe('LOCK_HELD');
    expect((await acquire(dir, machine({ 11: 't11' }, 11, 'here', 'boot-2'))).orphaned).toEqual([old.nonce]);
  });

  it('are not replaced where it cannot be checked: another host, a lock that is no lock', async () => {
    const dir = tempFolder();
    await dead(dir, machine({ 10: 't10' }, 10, 'there', 'boot-3'));
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

describe('the mark', () => {
  const elsewhere = machine({ 11: 't11' }, 11, 'here', 'boot-1', 'pid:[2]');

  it('S38: a holder that stood still and goes on finds that its lock is lost, and leaves it alone', async () => {
    const dir = tempFolder();
    const { lock, stop, goOn } = await stoppable(dir, machine({ 10: 't10' }, 10));
    stop();
    const second = await acquire(dir, elsewhere);
    expect(() => lock.assertHeld()).not.toThrow();
    goOn();
    const lost = async (): Promise<unknown> => {
      for (;;) {
        try {
          lock.assertHeld();
        } catch (error) {
          return error;
        }
        await sleep(5);
      }
    };
    expect(toFailure(await lost())).toMatchObject({ code: 'LOCK_LOST', message: expect.stringContaining('copier-11') });
    await lock.release();
    expect((await inspectLock(dir, CHAIN, undefined, elsewhere))?.holder?.nonce).toBe(second.nonce);
    second.assertHeld();
  });

  it('S38: one that stands still while it takes the lock leaves it to whoever took it over, wherever that is', async () => {
    const standingStillAt = async (n: number): Promise<boolean> => {
      const dir = tempFolder();
      let count = 0;
      let second: ChainLock | null = null;
      const files = new Proxy(realFiles, {
        get(target, name: keyof FileOps) {
          const real = target[name] as (...all: unknown[]) => unknown;
          if (name.endsWith('Sync')) return real;
          return async (...args: unknown[]) => {
            if (count++ === n) second = await acquire(dir, elsewhere);
            return real(...args);
          };
        },
      });
      const first = await acquire(dir, machine({ 10: 't10' }, 10), files).catch(toFailure);
      // The last operation was before that.
      if (second === null) return false;
      const { nonce } = second as ChainLock;
      expect((await inspectLock(dir, CHAIN, undefined, elsewhere))?.holder?.nonce, `at ${n}`).toBe(nonce);
      if ('code' in first)
        expect(first.code, `at ${n}: ${first.message}`).toMatch(/^(?:LOCK_LOST|LOCK_HELD|STATE_IO)$/);
      else expect(first.orphaned, `at ${n}`).not.toContain(nonce);
      return true;
    };
    const all = await Promise.all(Array.from({ length: 60 }, (_, n) => standingStillAt(n)));
    expect(all.filter(Boolean).length).toBeGreaterThan(15);
    expect(all.at(-1)).toBe(false);
  });

  it('a lock that somebody removed stands there again', async () => {
    const dir = tempFolder();
    let restored = (): void => {};
    const again = new Promise<void>((done) => {
      restored = done;
    });
    const lock = await acquireLock({
      dir,
      chain: CHAIN,
      copierId: 'a',
      renewsMs: RENEWS_MS,
      onMark: { onProblem: () => {}, onRestored: restored },
    });
    rmSync(join(dir, FILE));
    await again;
    expect(JSON.parse(readFileSync(join(dir, FILE), 'utf8')).nonce).toBe(lock.nonce);
    await lock.release();
    expect(readdirSync(dir)).toEqual(['staging_pubnet_pre_p23_v1.json']);
  });

  it('that cannot be renewed is told once, and once more when it can', async () => {
    const dir = tempFolder();
    let isFull = true;
    const told: number[] = [];
    let over = (): void => {};
    const end = new Promise<void>((done) => {
      over = done;
    });
    const broken = failing(['write'], 'ENOSPC');
    const files = new Proxy(realFiles, {
      get: (target, name: keyof FileOps) => (isFull && hasLock ? broken[name] : target[name]),
    });
    let hasLock = false;
    const lock = await acquireLock({
      dir,
      chain: CHAIN,
      copierId: 'a',
      files,
      renewsMs: 10,
      onMark: {
        onRestored: () => {},
        onProblem: (failures, error) => {
          told.push(failures);
          if (failures > 0) expect((error as Error).message).toContain('ENOSPC');
          isFull = false;
          if (failures === 0) over();
        },
      },
    });
    hasLock = true;
    await end;
    expect(told).toEqual([1, 0]);
    lock.assertHeld();
    await lock.release();
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
    const lock = await dead(dir, machine({ 10: 't10' }, 10, 'there', 'boot-3'));
    const removed = await removeLock(dir, CHAIN, { view: here });
    expect(removed).toMatchObject({ liveness: 'unknown', holder: { host: 'there', nonce: lock.nonce } });
    expect(removed?.description).toContain('process 10 on there');
    expect(existsSync(join(dir, FILE))).toBe(false);
    expect((await acquire(dir, here)).orphaned).toEqual([lock.nonce]);
  });

  it('a holder under whose nonce nothing was staged leaves it to nobody, and those of others stay', async () => {
    const dir = tempFolder();
    const dead = await acquire(dir, machine({ 10: 't10' }, 10));
    const here = machine({ 11: 't11' }, 11);
    for (let i = 0; i < 3; i++) {
      const lock = await acquire(dir, here);
      expect(lock.orphaned).toEqual([dead.nonce]);
      await lock.release(true);
    }
    expect((await acquire(dir, here)).orphaned).toEqual([dead.nonce]);
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
    expect(liveness(view, { ...view.self, bootId: 'other' })).toBe('unknown');
    expect(liveness(view, { ...view.self, host: 'other', bootId: 'other' })).toBe('unknown');
    expect(liveness(view, { ...view.self, host: 'other' })).toBe('alive');
    expect(liveness(view, { ...view.self, pidNamespace: 'pid:[1]' })).toBe('unknown');
    expect(view.self.pidNamespace).toMatch(/^pid:\[\d+\]$/);
    const stat = readFileSync('/proc/self/stat', 'utf8').replace(/\(.*\)/, '(a b) c)');
    expect(startTimeOf(stat)).toBe(view.self.processStart);
  });
});
