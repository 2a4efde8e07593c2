/** File operations: errno become codes in one place, small compositions are whole, kill points kill. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { mapBounded } from '../../actors/bounded.ts';
import { ensureFolder, readSmall, replaceFile } from '../../actors/durable.ts';
import { fileError, realFiles } from '../../actors/files.ts';
import { BronzeError } from '../../machines/errors.ts';
import { tempFolder } from '../support/bronze.ts';
import { errno, failing } from '../support/faulty-files.ts';

describe('errno become codes', () => {
  it.each([
    ['ENOSPC', 'STORE_FULL', true],
    ['EDQUOT', 'STORE_FULL', true],
    ['EACCES', 'STORE_DENIED', false],
    ['EPERM', 'STORE_DENIED', false],
    ['EROFS', 'STORE_DENIED', false],
    ['EIO', 'STORE_IO', true],
    ['ESTALE', 'STORE_IO', true],
    ['ELOOP', 'STORE_IO', false],
    ['EISDIR', 'STORE_IO', false],
    ['EXDEV', 'STORE_IO', false],
  ])('%s is %s', (code, expected, retryable) => {
    const error = fileError('store', 'publish', '/bronze/x', errno(code));
    expect(error.code).toBe(expected);
    expect(error.retryable).toBe(retryable);
    expect(error.message).toContain('could not publish /bronze/x');
    expect(error.message).toContain(code);
    expect(error.details.hint).toBeTruthy();
  });

  it.each(['EPERM', 'ENOSYS', 'EOPNOTSUPP'])('%s of a hard link says what is missing', (code) => {
    const refused = Object.assign(errno(code), { syscall: 'link' });
    expect(fileError('store', 'publish', '/bronze/x', refused)).toMatchObject({
      code: 'STORE_IO',
      retryable: false,
      details: { hint: expect.stringContaining('has no hard links') },
    });
  });

  it.each([
    ['ENOMEM', 'memory'],
    ['EMFILE', 'ulimit -n'],
    ['ENFILE', 'fs.file-max'],
  ])('%s does not blame the disk, and may pass', (code, hint) => {
    const error = fileError('store', 'list', '/bronze/x', errno(code));
    expect(error).toMatchObject({
      code: 'STORE_IO',
      retryable: true,
      details: { hint: expect.stringContaining(hint) },
    });
    expect(error.message).not.toContain('kernel log');
  });

  it('is STATE_IO in the state folder, retryable in the same cases', () => {
    expect(fileError('state', 'write', '/s', errno('ENOSPC'))).toMatchObject({ code: 'STATE_IO', retryable: true });
    expect(fileError('state', 'write', '/s', errno('EROFS'))).toMatchObject({ code: 'STATE_IO', retryable: false });
  });

  it('lets coded errors pass', () => {
    const error = new BronzeError('STAGED_GONE', 'x');
    expect(fileError('store', 'a', 'b', error)).toBe(error);
  });
});

describe('compositions', () => {
  it('reads small files whole, and tells "not there" from everything else', async () => {
    const folder = tempFolder();
    writeFileSync(join(folder, 'a'), 'abc');
    symlinkSync(join(folder, 'a'), join(folder, 'link'));
    mkdirSync(join(folder, 'folder'));
    expect(Buffer.from((await readSmall(realFiles, join(folder, 'a'), 3)) ?? []).toString()).toBe('abc');
    expect(await readSmall(realFiles, join(folder, 'none'), 3)).toBeNull();
    await expect(readSmall(realFiles, join(folder, 'a'), 2)).rejects.toThrow('more than the 2');
    await expect(readSmall(realFiles, join(folder, 'link'), 9)).rejects.toThrow('ELOOP');
    await expect(readSmall(realFiles, join(folder, 'folder'), 9)).rejects.toThrow('no ordinary file');
  });

  it('S21: a replacement that fails leaves the old file and no temporary one', async () => {
    const folder = tempFolder();
    writeFileSync(join(folder, 'a'), 'old');
    for (const step of ['write', 'fsync', 'rename'] as const) {
      const attempt = replaceFile(failing([step], 'ENOSPC'), folder, 'a', Buffer.from('new'));
      await expect(attempt).rejects.toThrow('ENOSPC');
      expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('old');
      expect((await realFiles.readdir(folder)).map(({ name }) => name)).toEqual(['a']);
    }
    await replaceFile(realFiles, folder, 'a', Buffer.from('new'));
    expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('new');
  });

  it('makes folders with all their ancestors', async () => {
    const folder = join(tempFolder(), 'a/b/c');
    await ensureFolder(realFiles, folder);
    await ensureFolder(realFiles, folder);
    expect((await realFiles.lstat(folder)).kind).toBe('folder');
  });

  it('bounds what is under way, keeps the order and stops at the first error', async () => {
    let running = 0;
    let most = 0;
    const step = async (n: number): Promise<number> => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 1));
      running -= 1;
      return n * 2;
    };
    expect(await mapBounded([1, 2, 3, 4, 5], 2, step)).toEqual([2, 4, 6, 8, 10]);
    expect(most).toBe(2);
    let calls = 0;
    const broken = mapBounded([1, 2, 3, 4, 5, 6], 2, async () => {
      calls += 1;
      throw new Error('no');
    });
    await expect(broken).rejects.toThrow('no');
    expect(calls).toBeLessThan(4);
    const cancelled = mapBounded([1], 1, step, AbortSignal.abort());
    await expect(cancelled).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

describe('kill points', () => {
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
  });

  const load = async (value: string) => {
    vi.stubEnv('BRONZE_KILL_AT', value);
    vi.resetModules();
    const kill = vi.spyOn(process, 'kill').mockImplementation(() => {
      throw new Error('killed');
    });
    return { kill, ...(await import('../../actors/kill-points.ts')) };
  };

  it('do nothing without the variable', async () => {
    const { kill, killPoint, KILL_POINTS } = await load('');
    for (const name of KILL_POINTS) killPoint(name);
    expect(kill).not.toHaveBeenCalled();
    expect(new Set(KILL_POINTS).size).toBe(KILL_POINTS.length);
  });

  it('kill the own process at their name', async () => {
    const { kill, killPoint } = await load('publish:after-link');
    killPoint('publish:before-link');
    expect(() => killPoint('publish:after-link')).toThrow('killed');
    expect(kill).toHaveBeenCalledWith(process.pid, 'SIGKILL');
  });

  it('kill at the n-th hit', async () => {
    const { killPoint } = await load('create:after-link#3');
    killPoint('create:after-link');
    killPoint('create:after-link');
    expect(() => killPoint('create:after-link')).toThrow('killed');
  });
});
