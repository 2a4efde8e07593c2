/**
 * The port for file operations: every system call that Bronze, state and backup folders see goes through `FileOps`, so
 * that ENOSPC, EIO or a read-only disk can be put in by a test. Also the one place where an errno becomes a code. It
 * decides nothing: no retry, no fallback, no path of its own.
 */
import fs from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { BronzeError } from '../machines/errors.ts';

export type FileKind = 'file' | 'folder' | 'link' | 'other';

export interface FileFacts {
  readonly kind: FileKind;
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since 1970 by the clock of the file system. */
  readonly mtimeMs: number;
}

export interface FolderEntry {
  readonly name: string;
  readonly kind: FileKind;
}

/** System calls, one to one; they throw Node's errno errors. File descriptors are plain numbers. */
export interface FileOps {
  open(path: string, flags: number): Promise<number>;
  /** Bytes read; 0 at the end of the file. */
  read(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): Promise<number>;
  /** Bytes written, which may be fewer than given. */
  write(fd: number, buffer: Uint8Array, offset: number, length: number): Promise<number>;
  fsync(fd: number): Promise<void>;
  fstat(fd: number): Promise<FileFacts>;
  close(fd: number): Promise<void>;
  lstat(path: string): Promise<FileFacts>;
  link(existing: string, path: string): Promise<void>;
  unlink(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  mkdir(path: string): Promise<void>;
  rmdir(path: string): Promise<void>;
  readdir(path: string): Promise<FolderEntry[]>;
  /** Bytes that this process may still write on the file system that holds `path`. */
  freeBytes(path: string): Promise<number>;
  openSync(path: string, flags: number): number;
  writeSync(fd: number, buffer: Uint8Array, offset: number, length: number): number;
  closeSync(fd: number): void;
  unlinkSync(path: string): void;
  /** With all missing ancestors. */
  mkdirsSync(path: string): void;
}

const { constants } = fs;

/** Flags for `open` (libuv adds O_CLOEXEC). None of them follows a symbolic link, waits for the other end of a pipe, or truncates by chance. */
export const OPEN = {
  read: constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
  /** Fails where there is anything. */
  create: constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL,
  /** Starts from nothing, whatever stood there: for temporary files under a fixed name only. */
  overwrite: constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW,
  /** Keeps what is there: for temporary files whose name says what every writer of them writes. */
  fill: constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW,
  /** What is there, to be read and written. */
  update: constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK,
  folder: constants.O_RDONLY | constants.O_DIRECTORY,
} as const;

function kindOf(of: fs.Stats | fs.Dirent): FileKind {
  if (of.isFile()) return 'file';
  if (of.isDirectory()) return 'folder';
  return of.isSymbolicLink() ? 'link' : 'other';
}

const factsOf = (stats: fs.Stats): FileFacts => ({ kind: kindOf(stats), size: stats.size, mtimeMs: stats.mtimeMs });

// Plain descriptors rather than FileHandles: a survey opens thousands of small files, and these cost half as much.
const open = promisify(fs.open);
const read = promisify(fs.read);
const write = promisify(fs.write);
const fstat = promisify(fs.fstat);
const lstat = promisify(fs.lstat);
const readdir = promisify(fs.readdir);
const statfs = promisify(fs.statfs);

/** The real file system. */
/** Like `mkdir -p`, saying why it cannot: Node's own answers ENOENT for a read-only file system. */
function makeFolders(path: string): void {
  try {
    fs.mkdirSync(path);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'EEXIST') return;
    if (errno !== 'ENOENT' || dirname(path) === path) throw error;
    makeFolders(dirname(path));
    makeFolders(path);
  }
}

export const realFiles: FileOps = {
  open: (path, flags) => open(path, flags),
  read: async (fd, buffer, offset, length, position) => (await read(fd, buffer, offset, length, position)).bytesRead,
  write: async (fd, buffer, offset, length) => (await write(fd, buffer, offset, length)).bytesWritten,
  fsync: promisify(fs.fsync),
  fstat: async (fd) => factsOf(await fstat(fd)),
  close: promisify(fs.close),
  lstat: async (path) => factsOf(await lstat(path)),
  link: promisify(fs.link),
  unlink: promisify(fs.unlink),
  rename: promisify(fs.rename),
  mkdir: (path) => fs.promises.mkdir(path).then(() => undefined),
  rmdir: (path) => fs.promises.rmdir(path),
  readdir: async (path) =>
    (await readdir(path, { withFileTypes: true })).map((entry) => ({ name: entry.name, kind: kindOf(entry) })),
  freeBytes: async (path) => {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  },
  openSync: (path, flags) => fs.openSync(path, flags),
  writeSync: (fd, buffer, offset, length) => fs.writeSync(fd, buffer, offset, length),
  closeSync: (fd) => fs.closeSync(fd),
  unlinkSync: (path) => fs.unlinkSync(path),
  mkdirsSync: (path) => {
    makeFolders(path);
  },
};

/** `ENOENT` and the like; null for what is not an error of a system call. */
export function errnoOf(error: unknown): string | null {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return null;
  return error.code;
}

/** Whose folder it is decides the family of codes. */
export type Domain = 'store' | 'state';

const FULL = new Set(['ENOSPC', 'EDQUOT']);
const DENIED = new Set(['EACCES', 'EPERM', 'EROFS']);
/** Something of another kind stands in the way, or the name is impossible: trying again cannot help. */
const SHAPE: Readonly<Record<string, string>> = {
  ELOOP: 'a symbolic link stands where an ordinary file belongs: remove it',
  EISDIR: 'a folder stands where an ordinary file belongs: remove it',
  ENOTDIR: 'a file stands where a folder belongs: remove it',
  EFBIG: 'the file-size limit of this process (ulimit -f) or of the file system is reached: raise it',
  ENAMETOOLONG: 'the name is too long for this file system: use shorter labels',
  EXDEV: 'the staging folder is on another file system than its target: no mount may lie inside a chain',
};

/** How file systems refuse a hard link that they have not got: exFAT and FAT with EPERM, network and FUSE ones otherwise. */
const LINKLESS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);
const NO_LINKS =
  'the file system has no hard links (exFAT, FAT, some network shares), without which nothing can be created safely, or does not allow them to this user: use another one';

/** Passing conditions of this process or machine, where the disk is not to blame. */
const SCARCE: Readonly<Record<string, string>> = {
  ENOMEM: 'there is no memory left for this process: raise its limit, or set perf.threads lower',
  EMFILE: 'this process has too many files open: raise its limit (ulimit -n)',
  ENFILE: 'this machine has too many files open: raise fs.file-max',
};

/**
 * The coded error of a failed file operation. `action` continues "could not …". ENOSPC and EDQUOT become STORE_FULL,
 * EACCES, EPERM and EROFS STORE_DENIED, anything else STORE_IO; in the state and backup folders all are STATE_IO, and
 * retryable in the same cases. A BronzeError passes through.
 */
export function fileError(domain: Domain, action: string, path: string, error: unknown): BronzeError {
  if (error instanceof BronzeError) return error;
  const errno = errnoOf(error);
  const shape = errno === null ? undefined : SHAPE[errno];
  const reason = error instanceof Error ? error.message : String(error);
  const isLink = error instanceof Error && 'syscall' in error && error.syscall === 'link';
  const of = (code: 'STORE_FULL' | 'STORE_DENIED' | 'STORE_IO', retryable: boolean, hint: string): BronzeError =>
    new BronzeError(domain === 'state' ? 'STATE_IO' : code, `could not ${action} ${path}: ${reason}; ${hint}`, {
      details: { object: path, hint },
      cause: error,
      retryable,
    });
  if (errno !== null && FULL.has(errno)) {
    return of('STORE_FULL', true, 'free space on this disk or raise the quota; nothing half-written is visible');
  }
  if (isLink && errno !== null && LINKLESS.has(errno)) return of('STORE_IO', false, NO_LINKS);
  if (errno !== null && DENIED.has(errno)) {
    const hint =
      errno === 'EROFS'
        ? 'the file system is mounted read-only: remount it or configure another folder'
        : 'give the user of this process read and write permission there';
    return of('STORE_DENIED', false, hint);
  }
  if (shape !== undefined) return of('STORE_IO', false, shape);
  return of('STORE_IO', true, SCARCE[errno ?? ''] ?? 'look at the disk and the kernel log');
}
