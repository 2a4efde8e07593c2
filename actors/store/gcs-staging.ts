/**
 * Staging to Google Cloud Storage: the file goes up while it is written, to an object under `_staging/` with a name of
 * its own, that no listing shows. It must never write anywhere but there, never over anything, never keep a reference to
 * what it was given, and never hold the file as a whole.
 */
import { BronzeError } from '../../machines/errors.ts';
import { killPoint } from '../kill-points.ts';
import type { StagingSpec, StagingTarget, StagingWriter } from '../ports/store.ts';
import { Crc32c } from '../remote/checksums.ts';
import { GcsBucket } from '../remote/gcs-bucket.ts';
import { drained, isMissingObject } from '../remote/gcs-client.ts';
import type { GcsHandle } from './gcs-handle.ts';
import { GcsUpload } from './gcs-uploads.ts';
import { randomLabel, stagingName } from './staging-names.ts';

/** Bytes a request; a multiple of 256 KiB, as GCS wants it. */
const CHUNK_BYTES = 8 * 1024 * 1024;
/** Chunks on their way for which nobody has to wait. Memory of a writer: two chunks, and a row group at the most. */
const IN_FLIGHT = 1;

type GcsStaging = Extract<StagingSpec, { backend: 'gcs' }>;

/** Removes exactly this generation of an object; false where it is not there. */
export function removeGeneration(
  bucket: GcsBucket,
  key: string,
  generation: string,
  signal?: AbortSignal,
): Promise<boolean> {
  return bucket.call(
    {
      action: 'remove',
      key,
      request: { method: 'DELETE', path: bucket.objectPath(key), query: { generation } },
      read: async (answer) => {
        await drained(answer, signal);
        return true;
      },
      otherwise: (error) => (isMissingObject(error) ? false : undefined),
    },
    signal,
  );
}

export class GcsStagingWriter implements StagingWriter {
  readonly #bucket: GcsBucket;
  readonly #key: string;
  readonly #upload: GcsUpload;
  readonly #stop = new AbortController();
  readonly #crc = new Crc32c();
  #filling: Buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  readonly #spare: Buffer[] = [];
  #used = 0;
  #isOpen = true;
  #begun = false;
  /** Chunks that have not arrived, oldest first. They never reject: what failed is in #failure. */
  readonly #queued: Promise<void>[] = [];
  #failure: unknown = null;
  #finished: GcsHandle | null = null;

  constructor(spec: GcsStaging, target: StagingTarget) {
    this.#bucket = new GcsBucket(spec.address, 'store');
    // What an earlier attempt staged under the same name may still be waited for.
    this.#key = `${spec.folder}${stagingName(spec.owner, `${target.name}-${randomLabel()}`)}`;
    this.#upload = new GcsUpload(this.#bucket, this.#key, this.#stop.signal);
  }

  /**
   * Takes all of it before it returns: the caller uses its memory again at once, and may write more without waiting.
   * A full chunk is queued only when more comes, so that the last one can be told. A promise where too many are queued.
   */
  write(chunk: Uint8Array): void | Promise<void> {
    this.#assertOpen();
    for (let at = 0; at < chunk.length; ) {
      if (this.#used === CHUNK_BYTES) this.#queue();
      const taken = chunk.subarray(at, at + CHUNK_BYTES - this.#used);
      this.#filling.set(taken, this.#used);
      this.#crc.update(taken);
      this.#used += taken.length;
      at += taken.length;
    }
    return this.#queued.length > IN_FLIGHT ? this.#settled(IN_FLIGHT) : undefined;
  }

  async finish(): Promise<string> {
    this.#assertOpen();
    this.#isOpen = false;
    await this.#settled(0);
    await this.#begin();
    const crc32c = this.#crc.base64();
    const facts = await this.#upload.finish(this.#filling.subarray(0, this.#used), crc32c);
    this.#filling = Buffer.alloc(0);
    this.#spare.length = 0;
    killPoint('staging:flushed');
    this.#finished = { key: this.#key, generation: facts.version, size: facts.size, crc32c };
    killPoint('staging:finished');
    return JSON.stringify(this.#finished);
  }

  async abort(): Promise<void> {
    this.#isOpen = false;
    this.#stop.abort();
    await Promise.all(this.#queued);
    try {
      if (this.#finished === null) await this.#upload.cancel();
      else await removeGeneration(this.#bucket, this.#finished.key, this.#finished.generation);
    } catch {
      // Swept by the lock's next holder.
    }
  }

  #assertOpen(): void {
    if (this.#failure !== null) throw this.#failure;
    if (!this.#isOpen) throw new BronzeError('INTERNAL', `the staging object ${this.#key} is closed already`);
  }

  /**
   * Queues the chunk that is full. Chunks go up one after another; what fails is thrown by the next write or by finish,
   * and nothing is sent after it.
   */
  #queue(): void {
    const full = this.#filling;
    this.#filling = this.#spare.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES);
    this.#used = 0;
    const before = this.#queued.at(-1);
    const sending = (async () => {
      await before;
      if (this.#failure !== null) return;
      try {
        await this.#begin();
        await this.#upload.send(full);
        killPoint('staging:flushed');
      } catch (error) {
        this.#failure = error;
      } finally {
        this.#spare.push(full);
        this.#queued.shift();
      }
    })();
    this.#queued.push(sending);
  }

  /** Waits until no more chunks are on their way than memory is meant for. */
  async #settled(most: number): Promise<void> {
    while (this.#queued.length > most) await this.#queued[0];
    if (this.#failure !== null) throw this.#failure;
  }

  async #begin(): Promise<void> {
    if (this.#begun) return;
    await this.#upload.begin();
    this.#begun = true;
    killPoint('staging:opened');
  }
}
