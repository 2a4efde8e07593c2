/**
 * The few compositions of file operations that make something durable: read whole, write and fsync, replace.
 * They throw plain errno errors (the callers know whose folder it is). They must never leave a half-written file under
 * a name that anybody reads.
 */
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { errnoOf, type FileOps, OPEN } from './files.ts';

/** Makes the entries of a folder durable: names created in it, renamed to it or removed from it. */
export async function fsyncFolder(files: FileOps, folder: string): Promise<void> {
  const fd = await files.open(folder, OPEN.folder);
  try {
    await files.fsync(fd);
  } catch (error) {
    // Some file systems have no such operation and say so; there is nothing stronger to ask them for.
    if (errnoOf(error) !== 'EINVAL') throw error;
  } finally {
    await files.close(fd);
  }
}

/** Fills `buffer` from `position`; fewer bytes than asked for mean that the file ended. */
export async function readFully(files: FileOps, fd: number, buffer: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < buffer.length) {
    const count = await files.read(fd, buffer, done, buffer.length - done, position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

/** A small file whole; null where there is none. `limit` in bytes; more, or no ordinary file, is an error. */
export async function readSmall(files: FileOps, path: string, limit: number): Promise<Uint8Array | null> {
  let fd: number;
  try {
    fd = await files.open(path, OPEN.read);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null;
    throw error;
  }
  try {
    const facts = await files.fstat(fd);
    if (facts.kind !== 'file') throw wrongKind(path);
    if (facts.size > limit) throw new Error(`${path} has ${facts.size} bytes, more than the ${limit} that it may have`);
    const bytes = Buffer.allocUnsafe(facts.size);
    const count = await readFully(files, fd, bytes, 0);
    return bytes.subarray(0, count);
  } finally {
    await files.close(fd);
  }
}

/** An error as the kernel would give it for a folder, pipe or device in the place of a file. */
export function wrongKind(path: string): Error {
  return Object.assign(new Error(`${path} is no ordinary file`), { code: 'EISDIR' });
}

/** Writes all bytes to a new descriptor and makes them durable. The name is not durable yet. */
export async function writeSynced(files: FileOps, path: string, flags: number, bytes: Uint8Array): Promise<void> {
  const fd = await files.open(path, flags);
  try {
    let done = 0;
    while (done < bytes.length) done += await files.write(fd, bytes, done, bytes.length - done);
    await files.fsync(fd);
  } finally {
    await files.close(fd);
  }
}

/** Removes a name; that it is gone already is fine. */
export async function unlinkIfThere(files: FileOps, path: string): Promise<boolean> {
  try {
    await files.unlink(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** A folder with all its missing ancestors, each made durable in its parent. */
export async function ensureFolder(files: FileOps, folder: string): Promise<void> {
  try {
    await files.mkdir(folder);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'EEXIST') return;
    if (errno !== 'ENOENT') throw error;
    await ensureFolder(files, dirname(folder));
    await ensureFolder(files, folder);
    return;
  }
  await fsyncFolder(files, dirname(folder));
}

/**
 * Replaces a file atomically: temporary file under a fixed name (so that a crash leaves at most one, and the next call
 * uses it up), fsync, rename, fsync of the folder. `hook` is called before and after the rename.
 */
export async function replaceFile(
  files: FileOps,
  folder: string,
  name: string,
  bytes: Uint8Array,
  hook: (at: 'before-rename' | 'after-rename') => void = () => undefined,
): Promise<void> {
  const temp = join(folder, `${name}.tmp`);
  try {
    await writeSynced(files, temp, OPEN.overwrite, bytes);
    hook('before-rename');
    await files.rename(temp, join(folder, name));
  } catch (error) {
    await unlinkIfThere(files, temp).catch(() => false);
    throw error;
  }
  hook('after-rename');
  await fsyncFolder(files, folder);
}

/** The temporary file that `createFile` makes: its name says what is in it. */
const fillName = (name: string, bytes: Uint8Array): string =>
  `${name}.${createHash('sha256').update(bytes).digest('hex').slice(0, 16)}.tmp`;

/** Removes what a process left that was killed between the link and the end of `createFile`. */
export async function removeFill(files: FileOps, folder: string, name: string, bytes: Uint8Array): Promise<void> {
  await unlinkIfThere(files, join(folder, fillName(name, bytes)));
}

/**
 * Creates a small file whole, only if nothing stands under its name; answers whether it did. The temporary file is named
 * after its content, so that all who write it write the same bytes into it and none cuts another's off; a crash leaves at
 * most one, and the next call uses it up. `hook` is called before and after the link.
 */
export async function createFile(
  files: FileOps,
  folder: string,
  name: string,
  bytes: Uint8Array,
  hook: (at: 'before-rename' | 'after-rename') => void = () => undefined,
): Promise<boolean> {
  const temp = join(folder, fillName(name, bytes));
  let isNew = true;
  try {
    for (;;) {
      await writeSynced(files, temp, OPEN.fill, bytes);
      hook('before-rename');
      try {
        await files.link(temp, join(folder, name));
        break;
      } catch (error) {
        const errno = errnoOf(error);
        if (errno === 'EEXIST') {
          isNew = false;
          break;
        }
        // Another writer of the same bytes was through first, and took its temporary file away.
        if (errno !== 'ENOENT') throw error;
      }
    }
  } finally {
    await unlinkIfThere(files, temp).catch(() => false);
  }
  hook('after-rename');
  if (isNew) await fsyncFolder(files, folder);
  return isNew;
}
