/**
 * Staging to Google Cloud Storage: the file goes up while it is written, to an object under `_staging/` with a name of
 * its own, that no listing shows. It must never write anywhere but there, never over anything, and never hold more of
 * the file than two chunks.
 */
import * as z from 'zod';
import { BronzeError } from '../../machines/errors.ts';
import { killPoint } from '../kill-points.ts';
import type { StagingSpec, StagingTarget, StagingWriter } from '../ports.ts';
import { Crc32c } from '../remote/crc32c.ts';
import { GcsBucket } from '../remote/gcs-bucket.ts';
import { isMissingObject } from '../remote/gcs-client.ts';
import { GcsUpload } from './gcs-uploads.ts';
import { randomLabel, stagingName } from './staging-names.ts';

/** Bytes a request; a multiple of 256 KiB, as GCS wants it. Memory of a writer: one that is filled, one on its way. */
const CHUNK_BYTES = 8 * 1024 * 1024;

type GcsStaging = Extract<StagingSpec, { backend: 'gcs' }>;

const handleSchema = z.strictObject({
  /** Full key in the bucket. */
  key: z.string(),
  generation: z.string(),
  size: z.number(),
  crc32c: z.string(),
});

/** What a handle says, as JSON: all that is needed to publish the object, by any process. */
export type GcsHandle = z.infer<typeof handleSchema>;

export function parseGcsHandle(handle: string): GcsHandle {
  try {
    return handleSchema.parse(JSON.parse(handle));
  } catch (cause) {
    throw new BronzeError('INTERNAL', 'not a handle of a store on Google Cloud Storage', { cause });
  }
}

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
        answer.body.resume();
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
  #spare: Buffer | null = null;
  #used = 0;
  #isOpen = true;
  #begun = false;
  /** The chunk on its way; a failure is kept in #failure and thrown by the next write or by finish. */
  #sending: Promise<void> | null = null;
  #failure: unknown = null;
  #finished: GcsHandle | null = null;

  constructor(spec: GcsStaging, target: StagingTarget) {
    this.#bucket = new GcsBucket(spec.place, 'store');
    // What an earlier attempt staged under the same name may still be waited for.
    this.#key = `${spec.folder}${stagingName(spec.owner, `${target.name}-${randomLabel()}`)}`;
    this.#upload = new GcsUpload(this.#bucket, this.#key, this.#stop.signal);
  }

  /** A promise where a chunk is full and the one before is still on its way. */
  write(chunk: Uint8Array): void | Promise<void> {
    this.#assertOpen();
    const rest = this.#take(chunk);
    return rest.length === 0 ? undefined : this.#writeRest(rest);
  }

  async finish(): Promise<string> {
    this.#assertOpen();
    this.#isOpen = false;
    await this.#settled();
    await this.#begin();
    const crc32c = this.#crc.base64();
    const facts = await this.#upload.finish(this.#filling.subarray(0, this.#used), crc32c);
    this.#filling = Buffer.alloc(0);
    this.#spare = null;
    killPoint('staging:flushed');
    this.#finished = { key: this.#key, generation: facts.version, size: facts.size, crc32c };
    killPoint('staging:finished');
    return JSON.stringify(this.#finished);
  }

  async abort(): Promise<void> {
    this.#isOpen = false;
    this.#stop.abort();
    await this.#sending;
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

  /** Takes what fits; what is left goes after a full chunk, which is sent only when more comes: the last one is told. */
  #take(chunk: Uint8Array): Uint8Array {
    const taken = chunk.subarray(0, CHUNK_BYTES - this.#used);
    this.#filling.set(taken, this.#used);
    this.#crc.update(taken);
    this.#used += taken.length;
    return chunk.subarray(taken.length);
  }

  async #writeRest(chunk: Uint8Array): Promise<void> {
    for (let rest = chunk; rest.length > 0; rest = this.#take(rest)) {
      await this.#settled();
      this.#send();
    }
  }

  /** The chunk on its way has arrived. */
  async #settled(): Promise<void> {
    await this.#sending;
    this.#sending = null;
    if (this.#failure !== null) throw this.#failure;
  }

  #send(): void {
    const full = this.#filling;
    this.#filling = this.#spare ?? Buffer.allocUnsafeSlow(CHUNK_BYTES);
    this.#used = 0;
    this.#sending = this.#begin()
      .then(() => this.#upload.send(full))
      .then(() => {
        this.#spare = full;
        killPoint('staging:flushed');
      })
      .catch((error: unknown) => {
        this.#failure = error;
      });
  }

  async #begin(): Promise<void> {
    if (this.#begun) return;
    await this.#upload.begin();
    this.#begun = true;
    killPoint('staging:opened');
  }
}
