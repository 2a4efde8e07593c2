/**
 * How objects come to be on Google Cloud Storage: whole in one request, or in chunks of a resumable session. Both only
 * where nothing stands under the name, both with a checksum that the store compares before it keeps the object.
 * It must never give up a condition, and never take part of an object for the whole.
 */
import { BronzeError } from '../../machines/errors.ts';
import { crc32cOf } from '../remote/checksums.ts';
import { remoteError } from '../remote/faults.ts';
import { type GcsBucket, type GcsFacts, OBJECT_FIELDS } from '../remote/gcs-bucket.ts';
import { drained, type GcsAnswer, GcsRefusal, type GcsRequest, isUnmet, jsonOf } from '../remote/gcs-client.ts';
import { persistently } from '../remote/retry.ts';
import { whoseSmall } from './stands.ts';

const JSON_TYPE = { 'Content-Type': 'application/json; charset=UTF-8' } as const;
/** Only where nothing stands under the name. */
const ABSENT = { ifGenerationMatch: '0' } as const;

/**
 * Creates an object whole. `exists` is also what a repeated request gets whose first answer was lost. An answer that
 * does not say the CRC32C of exactly these bytes proves nothing: what stands there is read.
 */
export async function insertWhole(
  bucket: GcsBucket,
  key: string,
  bytes: Uint8Array,
  contentType: string,
  signal?: AbortSignal,
): Promise<'created' | 'exists'> {
  const outcome = await insertOnce(bucket, key, bytes, contentType, signal);
  if (outcome === 'said') return whoseSmall(bucket, key, bytes, signal);
  return outcome === 'proved' ? 'created' : outcome;
}

function insertOnce(
  bucket: GcsBucket,
  key: string,
  bytes: Uint8Array,
  contentType: string,
  signal?: AbortSignal,
): Promise<'proved' | 'said' | 'exists'> {
  const crc32c = crc32cOf(bytes);
  const boundary = `part-${crypto.randomUUID()}`;
  const part = (type: string): string => `--${boundary}\r\nContent-Type: ${type}\r\n\r\n`;
  const resource = JSON.stringify({ name: key, contentType, crc32c });
  const body = Buffer.concat([
    Buffer.from(`${part(JSON_TYPE['Content-Type'])}${resource}\r\n${part(contentType)}`),
    bytes,
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ]);
  return bucket.call<'proved' | 'said' | 'exists'>(
    {
      action: 'create',
      key,
      request: {
        method: 'POST',
        path: bucket.uploadPath(),
        query: { uploadType: 'multipart', name: key, fields: OBJECT_FIELDS, ...ABSENT },
        headers: { 'Content-Type': `multipart/related; boundary=${boundary}` },
        body,
      },
      read: async (answer) => {
        const said = await resourceOf(answer, signal);
        const isProof = said?.name === key && said.crc32c === crc32c && Number(said.size) === bytes.length;
        return isProof ? 'proved' : 'said';
      },
      otherwise: (error) => (isUnmet(error) ? 'exists' : undefined),
    },
    signal,
  );
}

/** The object of an answer in 2xx; null where it is none of the API's: cut on its way, or of somebody else. */
export async function resourceOf(answer: GcsAnswer, signal?: AbortSignal): Promise<Record<string, unknown> | null> {
  return jsonOf(answer, signal).catch((error: unknown) => {
    if (error instanceof GcsRefusal) return null;
    throw error;
  });
}

/** What the store says it keeps must be what was sent. */
function whole(
  bucket: GcsBucket,
  resource: Record<string, unknown>,
  key: string,
  size: number,
  crc32c: string,
): GcsFacts {
  const facts = bucket.factsOf(resource, key);
  if (facts.size === size && (facts.crc32c === null || facts.crc32c === crc32c)) return facts;
  throw remoteError('store', 'create', `${bucket.uri}${key}`, {
    kind: 'refused',
    reason: `the store keeps ${facts.size} bytes with CRC32C ${facts.crc32c} of the ${size} with ${crc32c} that were sent`,
  });
}

/** What a request of a session was answered: so many bytes are kept, the object is there, or there is no session. */
type Progress = { readonly kept: number } | Ended;
type Ended = { readonly done: Record<string, unknown> } | { readonly lost: string };

/**
 * A resumable upload. Chunks go one after the other; what the store has not kept of one is sent again, from where it
 * says, so that a lost answer costs a chunk and not a partition. A session that is forgotten costs nothing and leaves
 * nothing behind: GCS drops it after a week.
 */
export class GcsUpload {
  readonly #bucket: GcsBucket;
  readonly #key: string;
  readonly #signal: AbortSignal;
  #session: string | null = null;
  #sent = 0;

  constructor(bucket: GcsBucket, key: string, signal: AbortSignal) {
    this.#bucket = bucket;
    this.#key = key;
    this.#signal = signal;
  }

  /** Opens a session; nothing stands under the key until the last chunk. */
  async begin(): Promise<void> {
    this.#session = await this.#bucket.call(
      {
        action: 'begin an upload to',
        key: this.#key,
        request: {
          method: 'POST',
          path: this.#bucket.uploadPath(),
          query: { uploadType: 'resumable', name: this.#key, fields: OBJECT_FIELDS, ...ABSENT },
          headers: JSON_TYPE,
          body: Buffer.from('{}'),
        },
        read: async (answer) => {
          await drained(answer, this.#signal);
          const session = answer.header('location');
          if (session === undefined || !URL.canParse(session)) throw this.#strange('it gave no session');
          return session;
        },
      },
      this.#signal,
    );
  }

  /** Sends a chunk that is not the last one: a multiple of 256 KiB. `bytes` must not change until it resolves. */
  async send(bytes: Uint8Array): Promise<void> {
    const done = await this.#transfer(bytes, null, null);
    if (done !== null) throw this.#strange('it was finished before its end');
  }

  /** Sends the last chunk, which may be empty. Answers what stands there then. */
  async finish(bytes: Uint8Array, crc32c: string): Promise<GcsFacts> {
    const total = this.#sent + bytes.length;
    const done = await this.#transfer(bytes, total, crc32c);
    if (done === null) throw this.#strange('it was not finished by its last byte');
    return whole(this.#bucket, done, this.#key, total, crc32c);
  }

  /** Tells the store to forget the session. Never throws. */
  async cancel(): Promise<void> {
    const session = this.#session;
    this.#session = null;
    if (session === null) return;
    // 499 is how it says that it did.
    const accepts = (): boolean => true;
    const read = (answer: GcsAnswer): Promise<void> => drained(answer);
    const request: GcsRequest = { method: 'DELETE', path: session, body: new Uint8Array(0) };
    const call = { action: 'cancel the upload to', key: this.#key, request, read, accepts };
    await this.#bucket.once(call).catch(() => undefined);
  }

  /** Sends a chunk, the last one where `total` is given. Null where the upload goes on. */
  async #transfer(
    bytes: Uint8Array,
    total: number | null,
    crc32c: string | null,
  ): Promise<Record<string, unknown> | null> {
    const from = this.#sent;
    const end = from + bytes.length;
    let isUnsure = false;
    const ended = await persistently(async (): Promise<Ended | null> => {
      let at: Progress = isUnsure ? await this.#put(new Uint8Array(0), total, null) : { kept: from };
      isUnsure = true;
      // A store that keeps a part of a chunk is told the rest; one that keeps nothing is tried again after a pause.
      for (let before = -1; 'kept' in at; ) {
        const { kept } = at;
        if (kept < from || kept > end) return { lost: `it has ${kept} bytes, of ${from} to ${end}` };
        this.#sent = kept;
        if (kept === end && total === null) return null;
        if (kept <= before) throw this.#stuck(kept);
        before = kept;
        at = await this.#put(bytes.subarray(kept - from), total, crc32c);
      }
      return at;
    }, this.#signal);
    if (ended === null) return null;
    if ('done' in ended) return ended.done;
    // Outside, where nothing tries it again: what helps is to build the partition again.
    throw new BronzeError('STAGED_GONE', `the upload to ${this.#bucket.uri}${this.#key} is lost: ${ended.lost}`, {
      details: { object: this.#key },
    });
  }

  /** Sends `bytes` from where the session stands; without bytes and checksum it asks how far it is. */
  #put(bytes: Uint8Array, total: number | null, crc32c: string | null): Promise<Progress> {
    const session = this.#session;
    if (session === null) throw new BronzeError('INTERNAL', `the upload to ${this.#key} is not open`);
    const last = this.#sent + bytes.length - 1;
    const range = bytes.length === 0 ? '*' : `${this.#sent}-${last}`;
    return this.#bucket.once<Progress>(
      {
        action: 'upload to',
        key: this.#key,
        request: {
          method: 'PUT',
          path: session,
          headers: {
            'Content-Range': `bytes ${range}/${total ?? '*'}`,
            ...(crc32c === null ? {} : { 'X-Goog-Hash': `crc32c=${crc32c}` }),
          },
          body: bytes,
        },
        // "Resume incomplete": it goes on.
        accepts: (status) => status === 308,
        read: async (answer) => {
          if (answer.status !== 308) return { done: await jsonOf(answer, this.#signal) };
          await drained(answer, this.#signal);
          const kept = /^bytes=0-(\d+)$/.exec(answer.header('range') ?? '')?.[1];
          return { kept: kept === undefined ? 0 : Number(kept) + 1 };
        },
        otherwise: (error) =>
          error instanceof GcsRefusal && (error.status === 404 || error.status === 410)
            ? { lost: 'its session is not known any more' }
            : undefined,
      },
      this.#signal,
    );
  }

  #stuck(kept: number): BronzeError {
    return remoteError('store', 'upload to', `${this.#bucket.uri}${this.#key}`, {
      kind: 'busy',
      reason: `nothing more than the first ${kept} bytes was kept`,
    });
  }

  #strange(why: string): BronzeError {
    return remoteError('store', 'upload to', `${this.#bucket.uri}${this.#key}`, { kind: 'protocol', reason: why });
  }
}
