/**
 * Staging to S3: the file goes up in parts, to its final key, while it is written; nothing is visible until the
 * sequencer completes the upload. No temporary file, and never more than a few parts in memory. It must never complete
 * an upload, and never begin one that is not in the journal.
 */
import { randomBytes } from 'node:crypto';
import { BronzeError } from '../../machines/errors.ts';
import type { FileOps } from '../files.ts';
import { killPoint } from '../kill-points.ts';
import type { StagingSpec, StagingTarget, StagingWriter } from '../ports/store.ts';
import { persistently } from '../remote/retry.ts';
import { S3Bucket } from '../remote/s3-bucket.ts';
import { PART_BYTES } from './part-size.ts';
import { appendLine } from './s3-journal-append.ts';
import { PARTS_AT_MOST, S3Uploads, type UploadedPart } from './s3-uploads.ts';

/** Parts on their way; the one that is filled comes on top. Memory of a writer: three parts, and a row group at the most. */
const IN_FLIGHT = 2;

type S3Staging = Extract<StagingSpec, { backend: 's3' }>;

/** What a handle says, as JSON: all that is needed to complete the upload, by any process. */
export interface S3Handle {
  /** Key of the port, below the configured prefix. */
  readonly key: string;
  readonly upload: string;
  readonly parts: readonly UploadedPart[];
}

export function parseHandle(handle: string): S3Handle {
  try {
    const value = JSON.parse(handle) as S3Handle;
    if (typeof value.key === 'string' && typeof value.upload === 'string' && Array.isArray(value.parts)) return value;
  } catch {
    // Said below.
  }
  throw new BronzeError('INTERNAL', 'not a handle of an S3 store');
}

export class S3StagingWriter implements StagingWriter {
  readonly #spec: S3Staging;
  readonly #target: StagingTarget;
  readonly #files: FileOps;
  readonly #uploads: S3Uploads;
  readonly #abort = new AbortController();
  /** Parts by number, from 1; a hole is one on its way. */
  readonly #parts: UploadedPart[] = [];
  readonly #sending = new Set<Promise<void>>();
  readonly #spare: Buffer[] = [];
  #begun: Promise<string> | null = null;
  #failure: unknown = null;
  #part: Buffer = Buffer.allocUnsafeSlow(PART_BYTES);
  #used = 0;
  #count = 0;

  constructor(spec: S3Staging, target: StagingTarget, files: FileOps) {
    this.#spec = spec;
    this.#target = target;
    this.#files = files;
    this.#uploads = new S3Uploads(new S3Bucket(spec.address, 'store'));
  }

  /** A promise where more parts are on their way than memory is meant for. */
  write(chunk: Uint8Array): void | Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    for (let at = 0; at < chunk.length; ) {
      const take = Math.min(PART_BYTES - this.#used, chunk.length - at);
      this.#part.set(chunk.subarray(at, at + take), this.#used);
      this.#used += take;
      at += take;
      if (this.#used === PART_BYTES) this.#send();
    }
    return this.#sending.size > IN_FLIGHT ? this.#breathe() : undefined;
  }

  async finish(): Promise<string> {
    // A file of no bytes is one part of none.
    if (this.#used > 0 || this.#count === 0) this.#send();
    await Promise.all(this.#sending);
    if (this.#failure !== null) throw this.#failure;
    const upload = await this.#upload();
    killPoint('staging:finished');
    const handle: S3Handle = { key: this.#target.key, upload, parts: this.#parts };
    return JSON.stringify(handle);
  }

  async abort(): Promise<void> {
    this.#abort.abort();
    await Promise.allSettled(this.#sending);
    // An upload that the owner has begun is the owner's to abort: somebody else may be writing the same parts to it.
    if (this.#begun === null || this.#spec.upload !== undefined) return;
    try {
      const upload = await this.#begun;
      await this.#uploads.abort(this.#fullKey, upload);
      await this.#note({ ended: upload }, false);
    } catch {
      // In the journal: the next holder of the lock aborts it.
    }
  }

  get #fullKey(): string {
    return `${this.#spec.prefix}${this.#target.key}`;
  }

  async #breathe(): Promise<void> {
    while (this.#sending.size > IN_FLIGHT) await Promise.race(this.#sending);
    if (this.#failure !== null) throw this.#failure;
  }

  /** Sends the part that is full; a failure is thrown by the next write or by finish. */
  #send(): void {
    const number = ++this.#count;
    const memory = this.#part;
    const bytes = memory.subarray(0, this.#used);
    this.#used = 0;
    this.#part = this.#spare.pop() ?? Buffer.allocUnsafeSlow(PART_BYTES);
    const sending = this.#sendPart(number, bytes)
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .finally(() => {
        this.#sending.delete(sending);
        this.#spare.push(memory);
      });
    this.#sending.add(sending);
  }

  async #sendPart(number: number, bytes: Uint8Array): Promise<void> {
    if (number > PARTS_AT_MOST) {
      throw new BronzeError('STORE_IO', `${this.#target.key} would have more than ${PARTS_AT_MOST} parts`, {
        details: { object: this.#target.key, hint: 'choose a smaller partition_size' },
        retryable: false,
      });
    }
    const upload = await this.#upload();
    const part = await this.#uploads.part(this.#fullKey, upload, number, bytes, this.#abort.signal);
    if (part === null) {
      throw new BronzeError('STAGED_GONE', `the upload to ${this.#target.key} was aborted while it went on`, {
        details: { object: this.#target.key },
      });
    }
    this.#parts[number - 1] = part;
    killPoint('staging:flushed');
  }

  /** The id of the upload, which is begun with the first part. */
  #upload(): Promise<string> {
    this.#begun ??= this.#spec.upload === undefined ? this.#begin() : Promise.resolve(this.#spec.upload);
    return this.#begun;
  }

  async #begin(): Promise<string> {
    const key = this.#fullKey;
    const { signal } = this.#abort;
    // Every attempt is in the journal: where an answer is lost, there may be an upload that nobody has the id of.
    return persistently(async () => {
      const label = `${this.#target.name}.${randomBytes(6).toString('hex')}`;
      await this.#note({ label, key }, true);
      const upload = await this.#uploads.begin(key, signal);
      await this.#note({ label, upload }, true);
      killPoint('staging:opened');
      return upload;
    }, signal);
  }

  async #note(line: Parameters<typeof appendLine>[2], durable: boolean): Promise<void> {
    const { journal } = this.#spec;
    if (journal !== null) await appendLine(this.#files, journal, line, durable);
  }
}
