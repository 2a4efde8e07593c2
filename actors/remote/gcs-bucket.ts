/**
 * A bucket of Google Cloud Storage, for reading, by its JSON API. What a store writes is in actors/store/gcs.ts.
 */
import { BronzeError } from '../../machines/errors.ts';
import { ownSignal } from '../bounded.ts';
import { BodyFault, collectBody } from './body.ts';
import type { Admission, Bucket, GcsAddress, ListedPage, ListOptions, ObjectFacts } from './bucket.ts';
import { crc32cOf, gcsCrc32c } from './checksums.ts';
import { type RemoteDomain, remoteError } from './faults.ts';
import {
  announced,
  emulatorHost,
  exchange,
  type GcsAnswer,
  type GcsRequest,
  gcsClient,
  gcsError,
  isMissingObject,
  isUnmet,
  jsonOf,
  refusalOf,
} from './gcs-client.ts';
import { gcsGet } from './gcs-get.ts';
import { ListingGuard } from './listing.ts';
import { persistently } from './retry.ts';

/** Longer than any call takes that moves: a chunk of 8 MB at 30 kB/s. ms. */
const CALL_MS = 280_000;
/** Keys a page; what GCS gives at the most. */
const PAGE = '1000';
/** What is asked of an object. */
export const OBJECT_FIELDS = 'name,size,generation,crc32c,timeCreated';

/** An object, with what GCS says of its bytes. `version` is its generation. */
export interface GcsFacts extends ObjectFacts {
  /** Base64; null where the store says none. */
  readonly crc32c: string | null;
}

/** Turns an error of the service into an answer; undefined = it is an error. */
type Otherwise<T> = (error: unknown) => T | undefined;

export interface GcsCall<T> {
  /** Continues "could not …". */
  readonly action: string;
  /** Full key, or prefix. */
  readonly key: string;
  readonly request: GcsRequest;
  /** Of an answer in 2xx, or one that `accepts`. */
  readonly read: (answer: GcsAnswer) => Promise<T>;
  readonly accepts?: (status: number) => boolean;
  readonly otherwise?: Otherwise<T>;
}

export class GcsBucket implements Bucket {
  readonly uri: string;
  readonly address: GcsAddress;
  readonly #domain: RemoteDomain;
  readonly #onRetry: (() => void) | undefined;
  readonly #emulator = emulatorHost();

  constructor(address: GcsAddress, domain: RemoteDomain, onRetry?: () => void) {
    this.address = address;
    this.#domain = domain;
    this.#onRetry = onRetry;
    this.uri = `gs://${address.bucket}/`;
  }

  /** One request, retried within bounds; see `once`. Public for the store beside. */
  call<T>(call: GcsCall<T>, signal?: AbortSignal): Promise<T> {
    return persistently(() => this.once(call, signal), signal, undefined, this.#onRetry);
  }

  /** One request, not retried. Errors are coded ones. */
  async once<T>(call: GcsCall<T>, signal?: AbortSignal): Promise<T> {
    const { action, key, read, accepts, otherwise } = call;
    try {
      const client = await gcsClient(this.address, this.#emulator);
      const query: Record<string, string> = { ...call.request.query };
      if (this.address.requesterPays) query.userProject = await client.project();
      const request = { ...call.request, query };
      // The content of an object may take as long as it moves: millions are read, and each has a time-out of its own.
      const late = query.alt === 'media' ? null : AbortSignal.timeout(CALL_MS);
      const either = late === null ? ownSignal(signal) : signal ? AbortSignal.any([signal, late]) : late;
      return await exchange(
        client,
        request,
        async (answer) => {
          const { status } = answer;
          if ((status >= 200 && status < 300) || accepts?.(status)) return await read(answer);
          throw await refusalOf(answer, either);
        },
        either,
      );
    } catch (error) {
      const answer = otherwise?.(error);
      if (answer !== undefined) return answer;
      throw gcsError(this.#domain, action, `${this.uri}${key}`, error, signal);
    }
  }

  async get(key: string, limit: number, signal?: AbortSignal, admit?: Admission): Promise<Uint8Array | null> {
    const plain = this.#domain === 'source' ? await this.#shortGet(key, limit, signal, admit) : null;
    return plain ?? this.#longGet(key, limit, signal, admit);
  }

  /** Of a lake's objects, which are millions; what is read of Bronze is little. */
  async #shortGet(key: string, limit: number, signal?: AbortSignal, admit?: Admission): Promise<Uint8Array | null> {
    const client = await gcsClient(this.address, this.#emulator).catch(() => null);
    if (client === null) return null;
    const project = this.address.requesterPays ? await client.project().catch(() => null) : undefined;
    if (project === null) return null;
    const payer = project === undefined ? '' : `&userProject=${encodeURIComponent(project)}`;
    const wanting = { limit, signal, admit, onRetry: this.#onRetry };
    return gcsGet(client).get(`${this.objectPath(key)}?alt=media${payer}`, wanting);
  }

  /** Through Google's client, tried again within bounds. */
  #longGet(key: string, limit: number, signal?: AbortSignal, admit?: Admission): Promise<Uint8Array | null> {
    return this.call<Uint8Array | null>(
      {
        action: 'read',
        key,
        request: { method: 'GET', path: this.objectPath(key), query: { alt: 'media' } },
        read: async (answer) => {
          this.#assertObject(answer, key);
          const length = announced(answer);
          if (length !== null && length > limit) throw this.#tooLarge(key, length, limit);
          const into = length === null ? undefined : admit?.(length);
          const bytes = await collectBody(answer.body, length, limit, signal, into);
          const expected = gcsCrc32c(answer.header('x-goog-hash'));
          if (expected !== null && crc32cOf(bytes) !== expected) {
            throw new BodyFault('the bytes that came have another CRC32C than the store says');
          }
          return bytes;
        },
        otherwise: (error) => (isMissingObject(error) ? null : undefined),
      },
      signal,
    );
  }

  async stat(key: string, signal?: AbortSignal): Promise<GcsFacts | null> {
    return this.call<GcsFacts | null>(
      {
        action: 'look at',
        key,
        request: { method: 'GET', path: this.objectPath(key), query: { fields: OBJECT_FIELDS } },
        read: async (answer) => this.factsOf(await jsonOf(answer, signal), key),
        otherwise: (error) => (isMissingObject(error) ? null : undefined),
      },
      signal,
    );
  }

  async range(of: ObjectFacts, offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    const object = `${this.uri}${of.key}`;
    return this.call<Uint8Array>(
      {
        action: 'read',
        key: of.key,
        request: {
          method: 'GET',
          path: this.objectPath(of.key),
          query: { alt: 'media', generation: of.version },
          headers: { Range: `bytes=${offset}-${offset + length - 1}` },
        },
        read: async (answer) => {
          this.#assertObject(answer, of.key);
          const [, from, to] = /^bytes (\d+)-(\d+)\//.exec(answer.header('content-range') ?? '') ?? [];
          const isWhole = answer.status === 200 && offset === 0 && announced(answer) === length;
          if (!isWhole && (Number(from) !== offset || Number(to) !== offset + length - 1)) {
            // A store that ignores Range would send the whole object.
            throw remoteError(this.#domain, 'read', object, {
              kind: 'refused',
              reason: `${length} bytes at ${offset} were asked for, ${answer.header('content-range') ?? 'all'} came`,
            });
          }
          return await collectBody(answer.body, length, length, signal);
        },
        otherwise: (error) => {
          if (!isMissingObject(error) && !isUnmet(error)) return undefined;
          throw remoteError(this.#domain, 'read', object, {
            kind: 'refused',
            reason: 'it was changed or removed while it was read',
          });
        },
      },
      signal,
    );
  }

  async *list(prefix: string, options: ListOptions = {}, signal?: AbortSignal): AsyncGenerator<ListedPage> {
    const { delimiter, startAfter } = options;
    const guard = new ListingGuard(
      this.#domain,
      { action: 'list', uri: this.uri, prefix },
      startAfter === undefined ? {} : { startAfter },
    );
    let token: string | null = null;
    do {
      const query: Record<string, string> = {
        prefix,
        maxResults: PAGE,
        fields: `kind,nextPageToken,prefixes,items(${OBJECT_FIELDS})`,
        ...(delimiter ? { delimiter } : {}),
        ...(startAfter === undefined ? {} : { startOffset: startAfter }),
        ...(token === null ? {} : { pageToken: token }),
      };
      const page: Record<string, unknown> = await this.#page(prefix, query, signal);
      const { items = [], prefixes: folders = [], nextPageToken = null } = page;
      const isPage =
        Array.isArray(items) &&
        Array.isArray(folders) &&
        folders.every((folder) => typeof folder === 'string') &&
        (nextPageToken === null || (typeof nextPageToken === 'string' && nextPageToken !== ''));
      if (!isPage) throw this.#notGcs('list', prefix);
      // startOffset is where a listing begins, so what stands exactly there is not after it.
      const objects = items
        .map((item: unknown) => this.factsOf((item ?? {}) as Record<string, unknown>))
        .filter(({ key }) => key !== startAfter);
      token = nextPageToken;
      guard.page({ keys: objects.map(({ key }) => key), folders, next: token });
      yield { objects, folders };
    } while (token !== null);
  }

  async check(prefix: string, signal?: AbortSignal): Promise<void> {
    await this.#page(prefix, { prefix, maxResults: '1', fields: 'kind,nextPageToken,items(name)' }, signal);
  }

  /** The store's clock; null where it does not say. Costs a listing of one key. */
  async now(prefix: string, signal?: AbortSignal): Promise<number | null> {
    const query = { prefix, maxResults: '1', fields: 'kind' };
    return this.call(
      {
        action: 'list',
        key: prefix,
        request: { method: 'GET', path: this.bucketPath('/o'), query },
        read: async (answer) => {
          await jsonOf(answer, signal);
          const ms = Date.parse(answer.header('date') ?? '');
          return Number.isNaN(ms) ? null : ms;
        },
      },
      signal,
    );
  }

  // ── for the store beside ───────────────────────────────────────────────────────────────────────────────────────

  bucketPath(below = ''): string {
    return `/storage/v1/b/${encodeURIComponent(this.address.bucket)}${below}`;
  }

  objectPath(key: string): string {
    return this.bucketPath(`/o/${encodeURIComponent(key)}`);
  }

  uploadPath(): string {
    return `/upload${this.bucketPath('/o')}`;
  }

  /** An object as the API describes it. Throws ENDPOINT_INVALID for what it cannot have said. */
  factsOf(resource: Record<string, unknown>, key?: string): GcsFacts {
    const { name, size, generation, crc32c, timeCreated } = resource;
    const bytes = Number(size);
    const isObject = typeof name === 'string' && typeof generation === 'string' && Number.isSafeInteger(bytes);
    if (!isObject || (key !== undefined && name !== key)) throw this.#notGcs('look at', key ?? '');
    const created = Date.parse(String(timeCreated));
    return {
      key: name,
      size: bytes,
      version: generation,
      modifiedMs: Number.isNaN(created) ? null : created,
      crc32c: typeof crc32c === 'string' ? crc32c : null,
    };
  }

  #page(prefix: string, query: Record<string, string>, signal?: AbortSignal): Promise<Record<string, unknown>> {
    return this.call(
      {
        action: 'list',
        key: prefix,
        request: { method: 'GET', path: this.bucketPath('/o'), query },
        read: async (answer) => {
          const page = await jsonOf(answer, signal);
          // Any JSON without items parses to a listing with nothing in it: an empty bucket, were it believed.
          if (page.kind !== 'storage#objects') throw this.#notGcs('list', prefix);
          return page;
        },
      },
      signal,
    );
  }

  /** A page of HTML with status 200 would be an object's content, were it believed. */
  #assertObject(answer: GcsAnswer, key: string): void {
    if (answer.header('x-goog-generation') === undefined) throw this.#notGcs('read', key);
  }

  #notGcs(action: string, key: string): BronzeError {
    return remoteError(this.#domain, action, `${this.uri}${key}`, {
      kind: 'protocol',
      reason: 'the answer is not one of Google Cloud Storage',
    });
  }

  #tooLarge(key: string, size: number, limit: number): BronzeError {
    const object = `${this.uri}${key}`;
    return new BronzeError(
      this.#domain === 'source' ? 'OBJECT_TOO_LARGE' : 'STORE_IO',
      `${object} has ${size} bytes, more than ${limit}`,
      { details: { object, expected: `at most ${limit} bytes`, found: `${size} bytes` }, retryable: false },
    );
  }
}
