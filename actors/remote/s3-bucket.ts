/**
 * A bucket that speaks S3, for reading: AWS, Cloudflare R2, MinIO, Ceph, Backblaze B2. What a store writes is in
 * actors/store/s3.ts.
 */
import type { Readable } from 'node:stream';
import type { ListObjectsV2CommandOutput, S3Client } from '@aws-sdk/client-s3';
import { BronzeError } from '../../machines/errors.ts';
import { orAborted, ownSignal } from '../bounded.ts';
import { collectBody } from './body.ts';
import type { Admission, Bucket, ListedPage, ListOptions, ObjectFacts, S3Address } from './bucket.ts';
import { type RemoteDomain, remoteError } from './faults.ts';
import { ListingGuard } from './listing.ts';
import { persistently } from './retry.ts';
import { nameOf, s3Client, s3Error, s3Sdk, statusOf } from './s3-client.ts';
import { s3Get } from './s3-get.ts';

/** Longer than any call takes that moves: a part of 8 MB at 30 kB/s. ms. */
const CALL_MS = 280_000;

/** Keys a page; what S3 gives at the most. */
const PAGE = 1000;

type Step<T> = (client: S3Client, options: { abortSignal?: AbortSignal }) => Promise<T>;
/** Turns an error of the service into an answer; undefined = it is an error. */
type Otherwise<T> = (error: unknown) => T | undefined;

export class S3Bucket implements Bucket {
  readonly uri: string;
  readonly address: S3Address;
  readonly #domain: RemoteDomain;
  readonly #onRetry: (() => void) | undefined;
  /** Of a lake's objects, which are millions; what is read of Bronze is little. */
  readonly #short: ReturnType<typeof s3Get> | null;

  constructor(address: S3Address, domain: RemoteDomain, onRetry?: () => void) {
    this.address = address;
    this.#domain = domain;
    this.#onRetry = onRetry;
    this.uri = `s3://${address.bucket}/`;
    this.#short = domain === 'source' ? s3Get(address) : null;
  }

  /** One call, retried within bounds; see `once`. Public for the store beside. */
  call<T>(action: string, key: string, step: Step<T>, signal?: AbortSignal, otherwise?: Otherwise<T>): Promise<T> {
    return this.#persistently(() => this.once(action, key, step, signal, otherwise), signal);
  }

  #persistently<T>(step: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    return persistently(step, signal, undefined, this.#onRetry);
  }

  /** One call, not retried. Errors are coded ones; `action` continues "could not …". */
  async once<T>(
    action: string,
    key: string,
    step: Step<T>,
    signal?: AbortSignal,
    otherwise: Otherwise<T> = () => undefined,
  ): Promise<T> {
    // The SDK's own time-outs and its signal begin with the request; what it does before, it does without either.
    const late = AbortSignal.timeout(CALL_MS);
    const either = signal ? AbortSignal.any([signal, late]) : late;
    const bounded: Step<T> = (client, options) => orAborted(step(client, options), either);
    return this.#unbounded(action, key, bounded, either, signal, otherwise);
  }

  /** Without a bound on the whole of it. */
  async #unbounded<T>(
    action: string,
    key: string,
    step: Step<T>,
    abortSignal: AbortSignal | undefined,
    signal: AbortSignal | undefined,
    otherwise: Otherwise<T>,
  ): Promise<T> {
    try {
      const client = await s3Client(this.address);
      return await step(client, abortSignal ? { abortSignal } : {});
    } catch (error) {
      const answer = otherwise(error);
      if (answer !== undefined) return answer;
      throw s3Error(this.#domain, action, `${this.uri}${key}`, error, signal);
    }
  }

  /** Parameters that every request carries. */
  get common(): { Bucket: string; RequestPayer?: 'requester' } {
    const { bucket, requesterPays } = this.address;
    return { Bucket: bucket, ...(requesterPays ? { RequestPayer: 'requester' as const } : {}) };
  }

  async get(key: string, limit: number, signal?: AbortSignal, admit?: Admission): Promise<Uint8Array | null> {
    const plain = await this.#short?.get(key, { limit, signal, admit, onRetry: this.#onRetry });
    if (plain) return plain;
    return this.#persistently(() => this.#longGet(key, limit, signal, admit), signal);
  }

  /** One GET through the SDK, not retried. */
  #longGet(key: string, limit: number, signal?: AbortSignal, admit?: Admission): Promise<Uint8Array | null> {
    const read = async (client: S3Client, options: { abortSignal?: AbortSignal }): Promise<Uint8Array> => {
      const { GetObjectCommand } = await s3Sdk();
      const answer = await client.send(new GetObjectCommand({ ...this.common, Key: key }), options);
      const length = answer.ContentLength ?? null;
      const body = answer.Body as Readable;
      let into: Uint8Array | undefined;
      try {
        // Its page would be the content of a manifest; in a lake the content tells.
        if (this.#domain === 'store' && !answer.ETag) throw this.#notS3('read', key);
        if (length !== null && length > limit) throw this.#tooLarge(key, length, limit);
        if (length !== null) into = admit?.(length) ?? undefined;
      } catch (error) {
        body.destroy();
        throw error;
      }
      return await collectBody(body, length, limit, signal, into);
    };
    const missing: Otherwise<Uint8Array | null> = (error) => (isNoSuchKey(error) ? null : undefined);
    // Without the bound on a whole call: a large object may take longer, and its body has a bound of its own.
    return this.#unbounded<Uint8Array | null>('read', key, read, ownSignal(signal), signal, missing);
  }

  async stat(key: string, signal?: AbortSignal): Promise<ObjectFacts | null> {
    const facts = await this.#head(key, signal);
    if (facts !== null) return facts;
    // The answer to a HEAD has no body that would tell a missing key from a missing bucket, or from a proxy's 404.
    for await (const { objects } of this.list(key, { most: 1 }, signal)) {
      if (objects[0]?.key !== key) return null;
      // It came in between, or a HEAD is not to be believed here.
      const again = await this.#head(key, signal);
      if (again !== null) return again;
      throw remoteError(this.#domain, 'look at', `${this.uri}${key}`, {
        kind: 'protocol',
        reason: 'it is listed, and HEAD says that it is not there',
      });
    }
    return null;
  }

  async #head(key: string, signal?: AbortSignal): Promise<ObjectFacts | null> {
    const { HeadObjectCommand } = await s3Sdk();
    return this.call<ObjectFacts | null>(
      'look at',
      key,
      async (client, options) => {
        const answer = await client.send(new HeadObjectCommand({ ...this.common, Key: key }), options);
        const { ContentLength, ETag } = answer;
        // A portal answers 200 to a HEAD of anything: it would be an object of no bytes, were it believed.
        if (ContentLength === undefined || !ETag) throw this.#notS3('look at', key);
        return {
          key,
          size: ContentLength,
          version: ETag,
          modifiedMs: answer.LastModified?.getTime() ?? null,
        };
      },
      signal,
      (error) => (isMissingKey(error) ? null : undefined),
    );
  }

  async range(of: ObjectFacts, offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    const { GetObjectCommand } = await s3Sdk();
    return this.call<Uint8Array>(
      'read',
      of.key,
      async (client, options) => {
        const answer = await client.send(
          new GetObjectCommand({
            ...this.common,
            Key: of.key,
            Range: `bytes=${offset}-${offset + length - 1}`,
            IfMatch: of.version,
          }),
          options,
        );
        const body = answer.Body as Readable;
        // A store that ignores Range would send the whole object.
        if (answer.ContentLength !== length) {
          body.destroy();
          throw remoteError(this.#domain, 'read', `${this.uri}${of.key}`, {
            kind: 'refused',
            reason: `${length} bytes at ${offset} were asked for, ${answer.ContentLength} came`,
          });
        }
        return await collectBody(body, length, length, signal);
      },
      signal,
      (error) => {
        if (statusOf(error) !== 412 && !isNoSuchKey(error)) return undefined;
        throw remoteError(this.#domain, 'read', `${this.uri}${of.key}`, {
          kind: 'refused',
          reason: 'it was changed or removed while it was read',
        });
      },
    );
  }

  async *list(prefix: string, options: ListOptions = {}, signal?: AbortSignal): AsyncGenerator<ListedPage> {
    const { ListObjectsV2Command } = await s3Sdk();
    const { startAfter } = options;
    const guard = new ListingGuard(
      this.#domain,
      { action: 'list', uri: this.uri, prefix },
      startAfter === undefined ? {} : { startAfter },
    );
    let token: string | undefined;
    do {
      const page = await this.call(
        'list',
        prefix,
        async (client, call) => {
          const answer = await client.send(
            new ListObjectsV2Command({
              ...this.common,
              Prefix: prefix,
              MaxKeys: options.most ?? PAGE,
              ...(options.delimiter ? { Delimiter: options.delimiter } : {}),
              ...(token === undefined && options.startAfter !== undefined ? { StartAfter: options.startAfter } : {}),
              ...(token === undefined ? {} : { ContinuationToken: token }),
            }),
            call,
          );
          this.#assertListing(answer, prefix);
          return answer;
        },
        signal,
      );
      const objects = (page.Contents ?? []).map((object) => ({
        key: object.Key ?? '',
        size: object.Size ?? 0,
        version: object.ETag ?? '',
        modifiedMs: object.LastModified?.getTime() ?? null,
      }));
      const folders = (page.CommonPrefixes ?? []).map(({ Prefix = '' }) => Prefix);
      token = nextToken(page, objects.length, folders.length, guard);
      guard.page({ keys: objects.map(({ key }) => key), folders, next: token ?? null });
      yield { objects, folders };
      if (options.most !== undefined) return;
    } while (token !== undefined);
  }

  async check(prefix: string, signal?: AbortSignal): Promise<void> {
    const { ListObjectsV2Command } = await s3Sdk();
    await this.call(
      'list',
      prefix,
      async (client, call) => {
        const answer = await client.send(
          new ListObjectsV2Command({ ...this.common, Prefix: prefix, MaxKeys: 1 }),
          call,
        );
        this.#assertListing(answer, prefix);
        return true;
      },
      signal,
    );
  }

  /** A page of HTML with status 200 parses to an answer with nothing in it: an empty bucket, were it believed. */
  #assertListing(
    answer: { readonly Name?: string | undefined; readonly KeyCount?: number | undefined },
    prefix: string,
  ): void {
    if (answer.Name !== undefined || answer.KeyCount !== undefined) return;
    throw remoteError(this.#domain, 'list', `${this.uri}${prefix}`, {
      kind: 'protocol',
      reason: 'the answer is not a listing of S3',
    });
  }

  #notS3(action: string, key: string): BronzeError {
    return remoteError(this.#domain, action, `${this.uri}${key}`, {
      kind: 'protocol',
      reason: 'the answer is not one of S3: it has no ETag',
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

/** What leads to the next page. Part of a listing must never pass for the whole. */
function nextToken(
  page: Pick<ListObjectsV2CommandOutput, 'IsTruncated' | 'KeyCount' | 'NextContinuationToken'>,
  keys: number,
  folders: number,
  guard: ListingGuard,
): string | undefined {
  const { IsTruncated, KeyCount, NextContinuationToken: token } = page;
  // Some stores leave common prefixes out of the count.
  if (KeyCount !== undefined && KeyCount !== keys && KeyCount !== keys + folders)
    throw guard.contradicts(`a page says that it has ${KeyCount} names, and has ${keys + folders}`);
  if (IsTruncated && !token) throw guard.contradicts('it goes on and does not say where');
  if (!IsTruncated && token) throw guard.contradicts('it says that it ends, and how it goes on');
  return token || undefined;
}

/** The store itself says that there is no such key; a 404 without its words may come from anything in between. */
const isNoSuchKey = (error: unknown): boolean => nameOf(error) === 'NoSuchKey';

/** The key is not there, as far as an answer without a body can say. A missing bucket is something else, and so is an answer that does not say which it is. */
function isMissingKey(error: unknown): boolean {
  return isNoSuchKey(error) || (nameOf(error) === 'NotFound' && statusOf(error) === 404);
}
