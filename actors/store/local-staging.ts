/**
 * Staging in a local folder: the writer that a build thread uses. Staging lies on the same file system as its chain, so
 * that link(2) works; what is written here is invisible until LocalStore.publish links it. It must never write anywhere
 * but in a `_staging` folder, and never into a file that exists.
 */
import { join } from 'node:path';
import { BronzeError } from '../../machines/errors.ts';
import { errnoOf, type FileOps, fileError, OPEN } from '../files.ts';
import { killPoint } from '../kill-points.ts';
import type { StagingSpec, StagingWriter } from '../ports/store.ts';
import { randomLabel, stagingName } from './staging-names.ts';

type LocalStaging = Extract<StagingSpec, { backend: 'local' }>;

/** Collects small writes; what has as many bytes goes through unbuffered, as most that the Parquet writer gives does. */
const BUFFER_BYTES = 64 * 1024;

/** The folder may be swept away by anybody at any moment; more often than this is something else. */
const OPEN_ATTEMPTS = 10;

/** Opens `{folder}/{file}` as a new file, making the folder where it has gone. */
function createStagingFile(files: FileOps, folder: string, file: string): { fd: number; path: string } {
  for (let attempt = 1; ; attempt++) {
    const path = join(folder, file);
    try {
      return { fd: files.openSync(path, OPEN.create), path };
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' || attempt === OPEN_ATTEMPTS) throw error;
      files.mkdirsSync(folder);
    }
  }
}

/** Synchronous inside: it runs in a build thread, where a promise per Parquet page would only cost time. */
export class LocalStagingWriter implements StagingWriter {
  readonly #files: FileOps;
  readonly #path: string;
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #fd: number | null;
  #used = 0;

  constructor(spec: LocalStaging, name: string, files: FileOps) {
    this.#files = files;
    const wanted = stagingName(spec.owner, name);
    try {
      const { fd, path } = this.#create(spec, name, wanted);
      this.#fd = fd;
      this.#path = path;
    } catch (error) {
      throw fileError('store', 'create the staging file', join(spec.folder, wanted), error);
    }
    killPoint('staging:opened');
  }

  /** A file of that name may be what an earlier attempt staged and somebody still waits for: it is left alone. */
  #create(spec: LocalStaging, name: string, wanted: string): { fd: number; path: string } {
    try {
      return createStagingFile(this.#files, spec.folder, wanted);
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
      return createStagingFile(this.#files, spec.folder, stagingName(spec.owner, `${name}-${randomLabel()}`));
    }
  }

  write(chunk: Uint8Array): void {
    if (chunk.length > BUFFER_BYTES - this.#used) this.#flush();
    if (chunk.length >= BUFFER_BYTES) {
      this.#writeAll(chunk, chunk.length);
      return;
    }
    this.#buffer.set(chunk, this.#used);
    this.#used += chunk.length;
  }

  async finish(): Promise<string> {
    this.#flush();
    const fd = this.#descriptor();
    this.#fd = null;
    try {
      this.#files.closeSync(fd);
    } catch (error) {
      throw fileError('store', 'close the staging file', this.#path, error);
    }
    killPoint('staging:finished');
    return this.#path;
  }

  async abort(): Promise<void> {
    try {
      if (this.#fd !== null) this.#files.closeSync(this.#fd);
    } catch {
      // The descriptor is gone either way.
    }
    this.#fd = null;
    try {
      this.#files.unlinkSync(this.#path);
    } catch {
      // Swept by the lock's next holder.
    }
  }

  #descriptor(): number {
    if (this.#fd === null) throw new BronzeError('INTERNAL', `the staging file ${this.#path} is closed already`);
    return this.#fd;
  }

  #flush(): void {
    if (this.#used === 0) return;
    this.#writeAll(this.#buffer, this.#used);
    this.#used = 0;
    killPoint('staging:flushed');
  }

  #writeAll(bytes: Uint8Array, length: number): void {
    const fd = this.#descriptor();
    try {
      let done = 0;
      while (done < length) done += this.#files.writeSync(fd, bytes, done, length - done);
    } catch (error) {
      throw fileError('store', 'write the staging file', this.#path, error);
    }
  }
}
