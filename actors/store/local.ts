/**
 * Bronze in a local folder. The only file that touches published objects on a disk.
 * Publication is link(2) and then unlink of the temporary name, never rename: link is the one call that creates a name
 * only if there is none and that never replaces anything. An answer is given only when what it says is durable. It must
 * never remove, replace or change a published object.
 */
import { basename, dirname, join, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { BronzeError } from '../../machines/errors.ts';
import { mapBounded, throwIfCancelled } from '../bounded.ts';
import { ensureFolder, fsyncFolder, readSmall, unlinkIfThere, writeSynced, wrongKind } from '../durable.ts';
import { errnoOf, type FileOps, fileError, OPEN } from '../files.ts';
import { type KillPoint, killPoint } from '../kill-points.ts';

import type {
  BronzeStore,
  Conditions,
  ObjectReader,
  Reservation,
  StagingSpec,
  StoredObject,
  StoreSpec,
} from '../ports/store.ts';
import { byteOrder, isHostile, keyParts, SMALL_OBJECT_LIMIT } from './keys.ts';

import { localReader } from './local-reader.ts';
import { randomLabel, STAGING_FOLDER, stagingName, stagingOwner } from './staging-names.ts';

/** Open folders and stats under way; more only queue up behind libuv's four threads. */
const PARALLEL = 16;
const DAY_MS = 86_400_000;
/** Staging may vanish between any two calls (S32); more often than this is no coincidence. */
const CREATE_ATTEMPTS = 5;
/** Folders known to be durable are remembered up to this number, then forgotten and looked at again. */
const REMEMBERED_FOLDERS = 10_000;

export class LocalStore implements BronzeStore {
  readonly uri: string;
  readonly prefix: string;
  readonly #files: FileOps;
  readonly #root: string;
  readonly #base: string;
  /** Chain prefix → nonce, as `stagingSpec` was told: temporary files of `create` carry the same owner. */
  readonly #owners = new Map<string, string>();
  readonly #durable = new Set<string>();
  readonly #self = randomLabel();

  constructor(spec: Extract<StoreSpec, { backend: 'local' }>, files: FileOps) {
    this.#files = files;
    this.#root = resolve(spec.root);
    this.prefix = spec.prefix;
    this.#base = spec.prefix === '' ? this.#root : join(this.#root, ...keyParts(spec.prefix, true));
    this.uri = `${pathToFileURL(this.#base).href.replace(/\/$/, '')}/`;
  }

  async list(keyPrefix: string, signal?: AbortSignal): Promise<StoredObject[]> {
    const parts = keyPrefix === '' ? [] : keyParts(keyPrefix, true);
    const wantsStaging = parts.includes(STAGING_FOLDER);
    const keys: string[] = [];
    let folders = [keyPrefix];
    while (folders.length > 0) {
      const found = await mapBounded(folders, PARALLEL, (folder) => this.#readFolder(folder, wantsStaging), signal);
      folders = found.flatMap((entry) => entry.folders);
      for (const entry of found) keys.push(...entry.keys);
    }
    const objects = await mapBounded(keys, PARALLEL, (key) => this.#objectAt(key), signal);
    return objects.filter((object) => object !== null).sort((a, b) => byteOrder(a.key, b.key));
  }

  async get(key: string, signal?: AbortSignal): Promise<Uint8Array | null> {
    throwIfCancelled(signal);
    const path = this.#pathOf(key);
    try {
      return await readSmall(this.#files, path, SMALL_OBJECT_LIMIT);
    } catch (error) {
      throw fileError('store', 'read', path, error);
    }
  }

  async open(key: string, signal?: AbortSignal): Promise<ObjectReader | null> {
    throwIfCancelled(signal);
    const path = this.#pathOf(key);
    const files = this.#files;
    let fd: number | null = null;
    try {
      fd = await files.open(path, OPEN.read);
      const facts = await files.fstat(fd);
      if (facts.kind !== 'file') throw wrongKind(path);
      return localReader(files, fd, path, facts.size);
    } catch (error) {
      if (fd !== null) await files.close(fd);
      else if (errnoOf(error) === 'ENOENT') return null;
      throw fileError('store', 'open', path, error);
    }
  }

  async create(key: string, bytes: Uint8Array, signal?: AbortSignal): Promise<'created' | 'exists'> {
    throwIfCancelled(signal);
    const path = this.#pathOf(key);
    const folder = this.#stagingFolderFor(key);
    killPoint('create:before-write');
    let temp = '';
    try {
      // Spares a finished job every write; what decides is the link below.
      if (await this.#isThere(path)) return await this.#exists(path);
      for (let attempt = 1; ; attempt++) {
        temp = await this.#writeTemp(folder.path, folder.owner, bytes);
        await this.#ensureFolder(dirname(path));
        const outcome = await this.#link(temp, path, 'create');
        if (outcome === 'linked') return 'created';
        await unlinkIfThere(this.#files, temp);
        if (outcome === 'exists') return await this.#exists(path);
        if (attempt === CREATE_ATTEMPTS) {
          throw new BronzeError('STORE_IO', `could not create ${path}: its staging file vanishes again and again`, {
            details: { object: path, hint: `find out what cleans ${folder.path}` },
          });
        }
      }
    } catch (error) {
      if (temp !== '') await unlinkIfThere(this.#files, temp).catch(() => false);
      throw fileError('store', 'create', path, error);
    }
  }

  async stage(handle: string, bytes: number, signal?: AbortSignal): Promise<void> {
    throwIfCancelled(signal);
    const path = this.#stagedPath(handle);
    killPoint('stage:before-fsync');
    try {
      const fd = await this.#files.open(path, OPEN.read);
      try {
        const { size } = await this.#files.fstat(fd);
        if (size !== bytes) throw gone(path, `it has ${size} bytes and not the ${bytes} that were written`);
        await this.#files.fsync(fd);
      } finally {
        await this.#files.close(fd);
      }
      await fsyncFolder(this.#files, dirname(path));
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') throw gone(path, 'it is not there', error);
      throw fileError('store', 'make durable', path, error);
    }
    killPoint('stage:after-fsync');
  }

  async publish(
    handle: string,
    key: string,
    signal?: AbortSignal,
    first?: () => Promise<void>,
  ): Promise<'published' | 'exists'> {
    throwIfCancelled(signal);
    const temp = this.#stagedPath(handle);
    const path = this.#pathOf(key);
    await first?.();
    try {
      await this.#ensureFolder(dirname(path));
      let outcome = await this.#link(temp, path, 'publish');
      if (outcome === 'vanished' && (await this.#isThere(temp))) {
        // It was the target's folder that somebody removed.
        await this.#ensureFolder(dirname(path));
        outcome = await this.#link(temp, path, 'publish');
      }
      if (outcome === 'linked') return 'published';
      // A temp that is gone while its target stands there is also what a lost answer of this very call leaves behind.
      if (outcome === 'exists' || (await this.#isThere(path))) return await this.#exists(path);
      throw gone(temp, 'it is not there');
    } catch (error) {
      throw fileError('store', 'publish', path, error);
    }
  }

  async discard(handles: readonly string[], signal?: AbortSignal): Promise<void> {
    for (const handle of handles) {
      throwIfCancelled(signal);
      const path = this.#stagedPath(handle);
      try {
        await unlinkIfThere(this.#files, path);
      } catch (error) {
        throw fileError('store', 'remove the staged file', path, error);
      }
    }
  }

  /** A folder that is not there yet is made by `prepare`; what the disk refuses, each call says for itself. */
  async check(): Promise<void> {}

  async prepare(): Promise<void> {
    try {
      await ensureFolder(this.#files, this.#root);
      // A dead process may have made it and not lived to fsync.
      await fsyncFolder(this.#files, dirname(this.#root));
    } catch (error) {
      throw fileError('store', 'make the folder', this.#root, error);
    }
  }

  async folders(keyPrefix: string, _signal?: AbortSignal, beginning = ''): Promise<string[]> {
    const folder = keyPrefix === '' ? this.#base : this.#pathOf(keyPrefix);
    try {
      const names: string[] = [];
      // Thousands of partitions, and every commit asks.
      for (const { name, kind } of await this.#files.readdir(folder)) {
        if (kind === 'folder' && name.startsWith(beginning)) names.push(name);
      }
      return names;
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === 'ENOENT' || errno === 'ENOTDIR') return [];
      throw fileError('store', 'list', folder, error);
    }
  }

  stagingSpec(chainPrefix: string, owner: string): StagingSpec {
    stagingName(owner, 'probe');
    this.#owners.set(chainPrefix, owner);
    return { backend: 'local', folder: join(this.#pathOf(chainPrefix), STAGING_FOLDER), owner };
  }

  /** Nothing is begun: files are told apart by the owner in their names. */
  async reserve(staging: StagingSpec): Promise<Reservation> {
    if (staging.backend !== 'local') throw new BronzeError('INTERNAL', 'a local store cannot reserve elsewhere');
    const { folder, owner } = staging;
    return {
      upload: null,
      owns: (handle) => dirname(handle) === folder && stagingOwner(basename(handle)) === owner,
      release: async () => undefined,
    };
  }

  async sweep(chainPrefix: string, owners: readonly string[], signal?: AbortSignal): Promise<number> {
    const own = this.#owners.get(chainPrefix) ?? this.#self;
    const chain = await this.#sweepFolder(join(this.#pathOf(chainPrefix), STAGING_FOLDER), owners, own, signal);
    // Where `create` was called for no chain of this process.
    return chain + (await this.#sweepFolder(join(this.#base, STAGING_FOLDER), [], this.#self, signal));
  }

  /** link(2) refuses an existing name. */
  async conditions(): Promise<Conditions> {
    return { create: true, publish: true };
  }

  partsOf(): null {
    return null;
  }

  async freeBytes(): Promise<number | null> {
    let folder = this.#base;
    try {
      while (!(await this.#isThere(folder)) && dirname(folder) !== folder) folder = dirname(folder);
      return await this.#files.freeBytes(folder);
    } catch (error) {
      throw fileError('store', 'find the free space of', folder, error);
    }
  }

  // ── names ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #pathOf(key: string): string {
    return join(this.#base, ...keyParts(key, key.endsWith('/')));
  }

  #stagedPath(handle: string): string {
    const path = resolve(handle);
    const inside = path.startsWith(`${this.#base}${sep}`) && dirname(path).endsWith(`${sep}${STAGING_FOLDER}`);
    if (!inside || stagingOwner(path.slice(dirname(path).length + 1)) === null) {
      throw new BronzeError('INTERNAL', `not a handle of this store: ${handle}`);
    }
    return path;
  }

  #stagingFolderFor(key: string): { path: string; owner: string } {
    for (const [chainPrefix, owner] of this.#owners) {
      if (key.startsWith(chainPrefix)) return { path: join(this.#pathOf(chainPrefix), STAGING_FOLDER), owner };
    }
    return { path: join(this.#base, STAGING_FOLDER), owner: this.#self };
  }

  // ── reading ────────────────────────────────────────────────────────────────────────────────────────────────────

  async #readFolder(folder: string, wantsStaging: boolean): Promise<{ folders: string[]; keys: string[] }> {
    const path = folder === '' ? this.#base : this.#pathOf(folder);
    const found = { folders: [] as string[], keys: [] as string[] };
    try {
      for (const { name, kind } of await this.#files.readdir(path)) {
        if (isHostile(name) || (name === STAGING_FOLDER && !wantsStaging)) continue;
        if (kind === 'folder') found.folders.push(`${folder}${name}/`);
        else if (kind === 'file') found.keys.push(`${folder}${name}`);
        else throw strangeEntry(join(path, name), kind);
      }
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return { folders: [], keys: [] };
      throw fileError('store', 'list', path, error);
    }
    return found;
  }

  /** Null where it went away since the folder was read, as only staged files do. */
  async #objectAt(key: string): Promise<StoredObject | null> {
    const path = this.#pathOf(key);
    try {
      const { kind, size } = await this.#files.lstat(path);
      if (kind !== 'file') throw strangeEntry(path, kind);
      return { key, size };
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return null;
      throw fileError('store', 'look at', path, error);
    }
  }

  async #isThere(path: string): Promise<boolean> {
    try {
      await this.#files.lstat(path);
      return true;
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return false;
      throw error;
    }
  }

  // ── writing ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Whoever linked it may have died before the folder was durable; after this it is. */
  async #exists(path: string): Promise<'exists'> {
    await fsyncFolder(this.#files, dirname(path));
    return 'exists';
  }

  async #link(temp: string, path: string, step: 'publish' | 'create'): Promise<'linked' | 'exists' | 'vanished'> {
    const at = (name: 'before-link' | 'after-link' | 'after-unlink' | 'after-fsync'): KillPoint => `${step}:${name}`;
    let size: number;
    try {
      size = (await this.#files.lstat(temp)).size;
      killPoint(at('before-link'));
      await this.#files.link(temp, path);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === 'EEXIST') return 'exists';
      if (errno !== 'ENOENT') throw error;
      this.#durable.clear();
      return 'vanished';
    }
    killPoint(at('after-link'));
    await unlinkIfThere(this.#files, temp);
    killPoint(at('after-unlink'));
    await fsyncFolder(this.#files, dirname(path));
    await this.#assertStands(path, size, step);
    killPoint(at('after-fsync'));
    return 'linked';
  }

  /** A file system of a network, or in user space, may say that it did what it did not. `size` in bytes. */
  async #assertStands(path: string, size: number, step: 'publish' | 'create'): Promise<void> {
    const facts = await this.#files.lstat(path).catch((error: unknown) => {
      if (errnoOf(error) === 'ENOENT') return null;
      throw error;
    });
    if (facts?.kind === 'file' && facts.size === size) return;
    const found = facts === null ? 'it is not there' : `it has ${facts.size} bytes and not ${size}`;
    throw new BronzeError(
      'ANSWER_UNTRUE',
      `could not ${step} ${path}: the file system said that it did, and ${found}`,
      {
        details: {
          object: path,
          hint: 'check the file system and its log: it acknowledged a write that it does not hold',
        },
      },
    );
  }

  async #writeTemp(folder: string, owner: string, bytes: Uint8Array): Promise<string> {
    const path = join(folder, stagingName(owner, `create-${randomLabel()}`));
    for (let attempt = 1; ; attempt++) {
      try {
        await writeSynced(this.#files, path, OPEN.create, bytes);
        return path;
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT' || attempt === CREATE_ATTEMPTS) {
          await unlinkIfThere(this.#files, path).catch(() => false);
          throw error;
        }
        this.#files.mkdirsSync(folder);
      }
    }
  }

  /**
   * A folder with its ancestors. Below the root every one is made durable in its parent once per process, also where it
   * stood there: a dead process may have made it and not lived to fsync.
   */
  async #ensureFolder(folder: string): Promise<void> {
    if (this.#durable.has(folder)) return;
    const parent = dirname(folder);
    const below = folder.startsWith(`${this.#root}${sep}`);
    if (!below && (parent === folder || (await this.#isThere(folder)))) return;
    await this.#ensureFolder(parent);
    try {
      await this.#files.mkdir(folder);
      killPoint('folder:after-mkdir');
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
    }
    await fsyncFolder(this.#files, parent);
    if (this.#durable.size >= REMEMBERED_FOLDERS) this.#durable.clear();
    this.#durable.add(folder);
  }

  /** Staged files of `owners`, and of others but `own` that are older than a day; then the folder, if it is empty. */
  async #sweepFolder(folder: string, owners: readonly string[], own: string, signal?: AbortSignal): Promise<number> {
    let removed = 0;
    try {
      const entries = await this.#files.readdir(folder);
      const staged = entries.filter(({ name, kind }) => kind === 'file' && stagingOwner(name) !== null);
      const dead = staged.filter(({ name }) => owners.includes(stagingOwner(name) as string));
      const others = staged.filter((entry) => !dead.includes(entry) && stagingOwner(entry.name) !== own);
      const old = others.length === 0 ? [] : await this.#olderThanADay(folder, own, others);
      for (const { name } of [...dead, ...old]) {
        throwIfCancelled(signal);
        killPoint('sweep:before-unlink');
        if (await unlinkIfThere(this.#files, join(folder, name))) removed += 1;
      }
      await this.#files.rmdir(folder);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno !== 'ENOENT' && errno !== 'ENOTEMPTY' && errno !== 'EEXIST') {
        throw fileError('store', 'sweep', folder, error);
      }
    }
    return removed;
  }

  /** By the clock of the file system, as a fresh file shows it: the copier's own clock may be anything. */
  async #olderThanADay<T extends { readonly name: string }>(folder: string, own: string, entries: T[]): Promise<T[]> {
    const probe = await this.#writeTemp(folder, own, new Uint8Array(0));
    try {
      const now = (await this.#files.lstat(probe)).mtimeMs;
      const old = await mapBounded(entries, PARALLEL, async ({ name }) => {
        try {
          return now - (await this.#files.lstat(join(folder, name))).mtimeMs > DAY_MS;
        } catch (error) {
          if (errnoOf(error) === 'ENOENT') return false;
          throw error;
        }
      });
      return entries.filter((_, index) => old[index] === true);
    } finally {
      await unlinkIfThere(this.#files, probe);
    }
  }
}

const gone = (path: string, why: string, cause?: unknown): BronzeError =>
  new BronzeError('STAGED_GONE', `the staged file ${path} cannot be used: ${why}`, {
    details: { object: path },
    cause,
  });

function strangeEntry(path: string, kind: string): BronzeError {
  const what = kind === 'link' ? 'a symbolic link' : kind === 'folder' ? 'a folder' : 'a pipe, socket or device';
  return new BronzeError('STORE_IO', `${what} stands in Bronze where only ordinary files belong: ${path}`, {
    details: { object: path, hint: 'find out who put it there and remove it' },
    retryable: false,
  });
}
