/**
 * What every implementation of FileOps must keep, stand-ins of tests included: what a POSIX file system promises and
 * the commit is built on. link(2) creates a name only if there is none, rename replaces at once, errors bear an errno.
 */
import { execFileSync } from 'node:child_process';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { errnoOf, type FileOps, OPEN } from '../../actors/files.ts';

/** An implementation, and an empty folder that it sees. */
export interface FilesUnderTest {
  readonly files: FileOps;
  readonly folder: string;
}

const CALLERS = 20;

async function errnoFrom(call: () => unknown): Promise<string | null> {
  try {
    await call();
  } catch (error) {
    return errnoOf(error) ?? `no errno: ${String(error)}`;
  }
  return null;
}

export function fileOpsConformance(name: string, make: () => FilesUnderTest): void {
  describe(`${name}: file operations`, () => {
    let files: FileOps;
    let folder: string;
    const at = (below: string): string => join(folder, below);
    beforeEach(() => {
      ({ files, folder } = make());
    });

    async function put(path: string, text: string, flags: number = OPEN.create): Promise<void> {
      const fd = await files.open(path, flags);
      const bytes = Buffer.from(text);
      for (let done = 0; done < bytes.length; ) done += await files.write(fd, bytes, done, bytes.length - done);
      await files.fsync(fd);
      await files.close(fd);
    }

    async function text(path: string): Promise<string> {
      const fd = await files.open(path, OPEN.read);
      const buffer = Buffer.alloc(1024);
      const count = await files.read(fd, buffer, 0, buffer.length, 0);
      await files.close(fd);
      return buffer.subarray(0, count).toString();
    }

    it('open for creating fails where there is anything', async () => {
      await put(at('a'), 'x');
      symlinkSync(at('nowhere'), at('dangling'));
      await files.mkdir(at('folder'));
      for (const there of ['a', 'dangling', 'folder']) {
        expect(await errnoFrom(() => files.open(at(there), OPEN.create))).toBe('EEXIST');
        expect(await errnoFrom(() => files.openSync(at(there), OPEN.create))).toBe('EEXIST');
      }
      expect(await errnoFrom(() => files.open(at('no/such'), OPEN.create))).toBe('ENOENT');
      expect(await text(at('a'))).toBe('x');
    });

    it('open for overwriting starts from nothing and follows no link', async () => {
      await put(at('a'), 'a long content');
      await put(at('a'), 'short', OPEN.overwrite);
      expect(await text(at('a'))).toBe('short');
      symlinkSync(at('a'), at('link'));
      expect(await errnoFrom(() => files.open(at('link'), OPEN.overwrite))).toBe('ELOOP');
      expect(await text(at('a'))).toBe('short');
    });

    it('open for reading follows no link and waits for nobody', async () => {
      expect(await errnoFrom(() => files.open(at('a'), OPEN.read))).toBe('ENOENT');
      await put(at('a'), 'x');
      symlinkSync(at('a'), at('link'));
      expect(await errnoFrom(() => files.open(at('link'), OPEN.read))).toBe('ELOOP');
      execFileSync('mkfifo', [at('pipe')]);
      const fd = await files.open(at('pipe'), OPEN.read);
      expect((await files.fstat(fd)).kind).toBe('other');
      await files.close(fd);
    });

    it('read and write at places, and say how much', async () => {
      await put(at('a'), '0123456789');
      const fd = await files.open(at('a'), OPEN.read);
      const buffer = Buffer.from('..........');
      expect(await files.read(fd, buffer, 2, 3, 5)).toBe(3);
      expect(buffer.toString()).toBe('..567.....');
      expect(await files.read(fd, buffer, 0, 10, 8)).toBe(2);
      expect(await files.read(fd, buffer, 0, 10, 10)).toBe(0);
      expect(await files.fstat(fd)).toMatchObject({ kind: 'file', size: 10 });
      await files.close(fd);
      expect(await errnoFrom(() => files.read(fd, buffer, 0, 1, 0))).toBe('EBADF');
    });

    it('an open file stays what it was, whatever becomes of its name', async () => {
      await put(at('a'), 'before');
      const fd = await files.open(at('a'), OPEN.read);
      await files.unlink(at('a'));
      await put(at('a'), 'after');
      const buffer = Buffer.alloc(6);
      expect(await files.read(fd, buffer, 0, 6, 0)).toBe(6);
      expect(buffer.toString()).toBe('before');
      await files.close(fd);
    });

    it('link makes a second name for the same file, and never replaces', async () => {
      await put(at('temp'), 'content');
      await put(at('there'), 'another');
      await files.link(at('temp'), at('final'));
      expect(await text(at('final'))).toBe('content');
      await files.unlink(at('temp'));
      expect(await text(at('final'))).toBe('content');
      expect(await errnoFrom(() => files.link(at('final'), at('there')))).toBe('EEXIST');
      await files.mkdir(at('folder'));
      expect(await errnoFrom(() => files.link(at('final'), at('folder')))).toBe('EEXIST');
      symlinkSync(at('nowhere'), at('dangling'));
      expect(await errnoFrom(() => files.link(at('final'), at('dangling')))).toBe('EEXIST');
      expect(await errnoFrom(() => files.link(at('temp'), at('new')))).toBe('ENOENT');
      expect(await errnoFrom(() => files.link(at('final'), at('no/such')))).toBe('ENOENT');
      expect(await text(at('there'))).toBe('another');
    });

    it(`link has one winner of ${CALLERS}`, async () => {
      const all = Array.from({ length: CALLERS }, (_, n) => n);
      for (const n of all) await put(at(`temp${n}`), `content of ${n}`);
      const ends = await Promise.all(all.map((n) => errnoFrom(() => files.link(at(`temp${n}`), at('final')))));
      expect(ends.filter((end) => end === null)).toHaveLength(1);
      expect(ends.filter((end) => end === 'EEXIST')).toHaveLength(CALLERS - 1);
      expect(await text(at('final'))).toBe(`content of ${ends.indexOf(null)}`);
    });

    it(`creating has one winner of ${CALLERS}`, async () => {
      const ends = await Promise.all(
        Array.from({ length: CALLERS }, () =>
          errnoFrom(async () => files.close(await files.open(at('a'), OPEN.create))),
        ),
      );
      expect(ends.filter((end) => end === null)).toHaveLength(1);
      expect(ends.filter((end) => end === 'EEXIST')).toHaveLength(CALLERS - 1);
    });

    it('rename replaces at once: a reader finds the old or the new', async () => {
      await put(at('a'), 'content 0');
      let isWriting = true;
      const seen = new Set<string>();
      const reading = (async () => {
        while (isWriting) seen.add(await text(at('a')));
      })();
      for (let n = 1; n <= 50; n++) {
        await put(at('temp'), `content ${n}`);
        await files.rename(at('temp'), at('a'));
      }
      isWriting = false;
      await reading;
      expect([...seen].filter((content) => !/^content \d+$/.test(content))).toEqual([]);
      expect(await text(at('a'))).toBe('content 50');
      expect(await errnoFrom(() => files.lstat(at('temp')))).toBe('ENOENT');
      expect(await errnoFrom(() => files.rename(at('temp'), at('a')))).toBe('ENOENT');
    });

    it('unlink removes a name, once', async () => {
      await put(at('a'), 'x');
      await files.unlink(at('a'));
      expect(await errnoFrom(() => files.unlink(at('a')))).toBe('ENOENT');
      expect(await files.readdir(folder)).toEqual([]);
    });

    it('folders: made once, in what is there, removed when empty, made durable', async () => {
      await files.mkdir(at('f'));
      expect(await errnoFrom(() => files.mkdir(at('f')))).toBe('EEXIST');
      expect(await errnoFrom(() => files.mkdir(at('no/such')))).toBe('ENOENT');
      await put(at('f/a'), 'x');
      expect(await errnoFrom(() => files.rmdir(at('f')))).toMatch(/^(ENOTEMPTY|EEXIST)$/);
      expect(await errnoFrom(() => files.mkdir(at('f/a/b')))).toBe('ENOTDIR');
      const fd = await files.open(at('f'), OPEN.folder);
      await files.fsync(fd);
      await files.close(fd);
      await files.unlink(at('f/a'));
      await files.rmdir(at('f'));
      expect(await errnoFrom(() => files.rmdir(at('f')))).toBe('ENOENT');
      expect(await errnoFrom(() => files.readdir(at('f')))).toBe('ENOENT');
    });

    it('tell what stands there, links not followed', async () => {
      await put(at('file'), '12345');
      await files.mkdir(at('folder'));
      symlinkSync(at('file'), at('link'));
      execFileSync('mkfifo', [at('pipe')]);
      const expected = { file: 'file', folder: 'folder', link: 'link', pipe: 'other' };
      const listed = Object.fromEntries((await files.readdir(folder)).map((entry) => [entry.name, entry.kind]));
      expect(listed).toEqual(expected);
      for (const [there, kind] of Object.entries(expected)) {
        expect((await files.lstat(at(there))).kind).toBe(kind);
      }
      const facts = await files.lstat(at('file'));
      expect(facts.size).toBe(5);
      expect(Math.abs(facts.mtimeMs - Date.now())).toBeLessThan(60_000);
      expect(await errnoFrom(() => files.lstat(at('file/x')))).toBe('ENOTDIR');
    });

    it('know how much may still be written', async () => {
      expect(await files.freeBytes(folder)).toBeGreaterThan(0);
      expect(await errnoFrom(() => files.freeBytes(at('nowhere')))).toBe('ENOENT');
    });

    it('do the same at once for the threads that build', async () => {
      files.mkdirsSync(at('a/b/c'));
      files.mkdirsSync(at('a/b/c'));
      const fd = files.openSync(at('a/b/c/x'), OPEN.create);
      const bytes = Buffer.from('..content..');
      expect(files.writeSync(fd, bytes, 2, 7)).toBe(7);
      files.closeSync(fd);
      expect(await text(at('a/b/c/x'))).toBe('content');
      files.unlinkSync(at('a/b/c/x'));
      expect(await errnoFrom(() => files.unlinkSync(at('a/b/c/x')))).toBe('ENOENT');
      expect(await errnoFrom(() => files.openSync(at('no/such'), OPEN.create))).toBe('ENOENT');
    });
  });
}
