/**
 * Multipart uploads of an S3 bucket, one call each. A part is durable when its upload is acknowledged, and invisible
 * until the upload is completed. It must never complete or abort an upload that it was not told to.
 */
import { createHash } from 'node:crypto';
import type { ListMultipartUploadsCommand, ListMultipartUploadsCommandOutput } from '@aws-sdk/client-s3';
import { BronzeError } from '../../machines/errors.ts';
import { remoteError } from '../remote/faults.ts';
import { ListingGuard } from '../remote/listing.ts';
import { persistently } from '../remote/retry.ts';
import type { S3Bucket } from '../remote/s3-bucket.ts';
import { nameOf, s3Sdk, statusOf } from '../remote/s3-client.ts';

/** A part as it was sent: what the store has must be the same. */
export interface UploadedPart {
  /** Bytes. */
  readonly size: number;
  /** Hex MD5: what stores call a part's ETag, where they do not encrypt with keys of their own. */
  readonly md5: string;
  /** As the store answered it. */
  readonly etag: string;
}

/** An upload that is under way, as listed. */
export interface OpenUpload {
  readonly key: string;
  readonly id: string;
  /** Milliseconds since 1970 by the store's clock; null where it does not say. */
  readonly initiatedMs: number | null;
}

export type Completed =
  /** The store says so. What stands there has to be asked. */
  | 'completed'
  /** An object stands there, and the store kept the condition. */
  | 'exists'
  /** No such upload: aborted, swept, or completed by a request whose answer was lost. */
  | 'gone'
  /** The store does not know the condition and did nothing. */
  | 'unsupported';

/** Of one upload; S3's own limit. */
export const PARTS_AT_MOST = 10_000;
/** Uploads under way below one prefix that are held in memory. */
const UPLOADS_AT_MOST = 1_000_000;

const base64Md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('base64');
const hexOf = (base64: string): string => Buffer.from(base64, 'base64').toString('hex');

/** Whether an ETag is an MD5 that can be compared: stores that encrypt with keys of their own give something else. */
const isMd5 = (etag: string): boolean => /^"?[0-9a-f]{32}"?$/.test(etag);
export const bareEtag = (etag: string): string => etag.replace(/^"|"$/g, '');

/** Whether an ETag is the MD5 of exactly these bytes; false also where the store calls its objects by something else. */
export const isMd5Of = (etag: string, bytes: Uint8Array): boolean => bareEtag(etag) === hexOf(base64Md5(bytes));

/** The ETag of an object that was uploaded in these parts: the MD5 of their MD5s, and how many they are. */
export function etagOfParts(parts: readonly Pick<UploadedPart, 'md5'>[]): string {
  const hash = createHash('md5');
  for (const { md5 } of parts) hash.update(Buffer.from(md5, 'hex'));
  return `${hash.digest('hex')}-${parts.length}`;
}

/** No such upload, in the store's own words (Ceph has two): the 404 of something in between is no answer. */
const isGone = (error: unknown): boolean => statusOf(error) === 404 && /^NoSuch(Upload|Key)$/.test(nameOf(error));
/** Status 200 and a body that is none of S3's: cut on its way, or of somebody else. */
const isUnreadable = (error: unknown): boolean => statusOf(error) !== null && (statusOf(error) as number) < 300;
export const isUnsupported = (error: unknown): boolean => statusOf(error) === 501 || nameOf(error) === 'NotImplemented';

export class S3Uploads {
  readonly bucket: S3Bucket;

  constructor(bucket: S3Bucket) {
    this.bucket = bucket;
  }

  /** The id of a new upload to `key`. Not retried: of an attempt whose answer is lost somebody has to know. */
  async begin(key: string, signal?: AbortSignal): Promise<string> {
    const { CreateMultipartUploadCommand } = await s3Sdk();
    const { bucket } = this;
    return bucket.once(
      'begin an upload to',
      key,
      async (client, options) => {
        const { UploadId } = await client.send(
          new CreateMultipartUploadCommand({ ...bucket.common, Key: key, ContentType: 'application/octet-stream' }),
          options,
        );
        if (UploadId) return UploadId;
        throw remoteError('store', 'begin an upload to', `${bucket.uri}${key}`, {
          kind: 'protocol',
          reason: 'the answer has no upload id',
        });
      },
      signal,
    );
  }

  /** Sends one part with its MD5, which the store compares; null where the upload is gone. `number` from 1. */
  async part(
    key: string,
    id: string,
    number: number,
    bytes: Uint8Array,
    signal?: AbortSignal,
  ): Promise<UploadedPart | null> {
    const { UploadPartCommand } = await s3Sdk();
    const { bucket } = this;
    const md5 = base64Md5(bytes);
    return bucket.call<UploadedPart | null>(
      'write',
      key,
      async (client, options) => {
        const { ETag = '' } = await client.send(
          new UploadPartCommand({
            ...bucket.common,
            Key: key,
            UploadId: id,
            PartNumber: number,
            Body: bytes,
            ContentLength: bytes.length,
            ContentMD5: md5,
          }),
          options,
        );
        if (isMd5(ETag) && bareEtag(ETag) !== hexOf(md5)) {
          throw remoteError('store', 'write', `${bucket.uri}${key}`, {
            kind: 'network',
            reason: `part ${number} arrived with MD5 ${bareEtag(ETag)} instead of ${hexOf(md5)}`,
          });
        }
        return { size: bytes.length, md5: hexOf(md5), etag: ETag };
      },
      signal,
      (error) => (isGone(error) ? null : undefined),
    );
  }

  /** Sizes and ETags of the parts that the store has, in order; null where the upload is gone. */
  async parts(
    key: string,
    id: string,
    signal?: AbortSignal,
  ): Promise<readonly { size: number; etag: string }[] | null> {
    const { ListPartsCommand } = await s3Sdk();
    const { bucket } = this;
    const found: { size: number; etag: string }[] = [];
    const odd = (reason: string): BronzeError =>
      remoteError('store', 'look at the upload to', `${bucket.uri}${key}`, { kind: 'listing', reason });
    let marker: string | undefined;
    let last = 0;
    do {
      const page = await bucket.call(
        'look at the upload to',
        key,
        (client, options) =>
          client.send(
            new ListPartsCommand({
              ...bucket.common,
              Key: key,
              UploadId: id,
              ...(marker === undefined ? {} : { PartNumberMarker: marker }),
            }),
            options,
          ),
        signal,
        (error) => (isGone(error) ? ({ $metadata: {}, UploadId: '' } as const) : undefined),
      );
      if (page.UploadId === '') return null;
      const parts = page.Parts ?? [];
      for (const { PartNumber = 0, Size = 0, ETag = '' } of parts) {
        // There are 10,000 numbers, so that this ends.
        if (PartNumber <= last) throw odd(`it has part ${PartNumber} after part ${last}`);
        if (PartNumber > PARTS_AT_MOST) throw odd(`it has a part ${PartNumber}`);
        last = PartNumber;
        found.push({ size: Size, etag: ETag });
      }
      marker = page.IsTruncated ? page.NextPartNumberMarker : undefined;
      if (page.IsTruncated && (marker === undefined || parts.length === 0)) {
        throw odd('its list of parts goes on, and has none or does not say where');
      }
    } while (marker !== undefined);
    return found;
  }

  /** Makes the parts one visible object. With `onlyIfAbsent` the condition is sent; whether it is kept is the store's. */
  async complete(
    key: string,
    id: string,
    parts: readonly Pick<UploadedPart, 'etag'>[],
    onlyIfAbsent: boolean,
    signal?: AbortSignal,
  ): Promise<Completed> {
    return persistently(async () => {
      try {
        return await this.#complete(key, id, parts, onlyIfAbsent, signal);
      } catch (error) {
        // Unknown outcome. Ceph also answers 500, "already in progress", for an upload that is not there.
        const unknown = error instanceof BronzeError && error.retryable;
        if (unknown && (await this.isGone(key, id, signal))) return 'gone';
        throw error;
      }
    }, signal);
  }

  /** Whether the store says that there is no such upload; asked once, and false where it says nothing. */
  async isGone(key: string, id: string, signal?: AbortSignal): Promise<boolean> {
    const { ListPartsCommand } = await s3Sdk();
    const { bucket } = this;
    return bucket
      .once<boolean>(
        'look at the upload to',
        key,
        async (client, options) => {
          await client.send(new ListPartsCommand({ ...bucket.common, Key: key, UploadId: id, MaxParts: 1 }), options);
          return false;
        },
        signal,
        (error) => (isGone(error) ? true : undefined),
      )
      .catch(() => false);
  }

  async #complete(
    key: string,
    id: string,
    parts: readonly Pick<UploadedPart, 'etag'>[],
    onlyIfAbsent: boolean,
    signal?: AbortSignal,
  ): Promise<Completed> {
    const { CompleteMultipartUploadCommand } = await s3Sdk();
    const { bucket } = this;
    return bucket.once<Completed>(
      'publish',
      key,
      async (client, options) => {
        await client.send(
          new CompleteMultipartUploadCommand({
            ...bucket.common,
            Key: key,
            UploadId: id,
            ...(onlyIfAbsent ? { IfNoneMatch: '*' } : {}),
            MultipartUpload: { Parts: parts.map(({ etag }, i) => ({ PartNumber: i + 1, ETag: etag })) },
          }),
          options,
        );
        return 'completed';
      },
      signal,
      (error) => {
        if (statusOf(error) === 412) return 'exists';
        // 409: another request on this key came in between; S3 says that the upload has to be made again.
        if (isGone(error) || statusOf(error) === 409) return 'gone';
        // Something was done, or something between has answered: what stands there tells.
        if (isUnreadable(error)) return 'completed';
        return onlyIfAbsent && isUnsupported(error) ? 'unsupported' : undefined;
      },
    );
  }

  /** Forgets an upload with its parts; that it is gone already is fine. Whether it was there. */
  async abort(key: string, id: string, signal?: AbortSignal): Promise<boolean> {
    const { AbortMultipartUploadCommand } = await s3Sdk();
    const { bucket } = this;
    return bucket.call(
      'abort the upload to',
      key,
      async (client, options) => {
        await client.send(new AbortMultipartUploadCommand({ ...bucket.common, Key: key, UploadId: id }), options);
        return true;
      },
      signal,
      (error) => (isGone(error) ? false : undefined),
    );
  }

  /** Uploads under way to keys that begin with `prefix`, and the store's clock (ms since 1970; null where it has none). */
  async list(prefix: string, signal?: AbortSignal): Promise<{ uploads: OpenUpload[]; nowMs: number | null }> {
    const sdk = await s3Sdk();
    const { bucket } = this;
    const uploads: OpenUpload[] = [];
    const where = { action: 'list the uploads below', uri: bucket.uri, prefix };
    const guard = new ListingGuard('store', where, { isUnordered: true });
    /** Ids of the last key: one key may have uploads on several pages. */
    let [lastKey, ids] = ['', new Set<string>()];
    let nowMs: number | null = null;
    let markers: { KeyMarker?: string; UploadIdMarker?: string } | null = {};
    while (markers !== null) {
      const command: ListMultipartUploadsCommand = new sdk.ListMultipartUploadsCommand({
        ...bucket.common,
        Prefix: prefix,
        ...markers,
      });
      // Headers of an answer are nowhere in the SDK's output.
      command.middlewareStack.add(
        (next) => async (args) => {
          const result = await next(args);
          const { headers } = result.response as { headers?: Record<string, string> };
          nowMs = Date.parse(headers?.date ?? '') || null;
          return result;
        },
        { step: 'deserialize', priority: 'low' },
      );
      const page: ListMultipartUploadsCommandOutput = await bucket.call(
        'list the uploads below',
        prefix,
        (client, options) => client.send(command, options),
        signal,
      );
      // A page of something else parses to an answer with nothing in it, and would pass for "no uploads".
      if (page.IsTruncated === undefined && page.MaxUploads === undefined) {
        const reason = 'the answer is no listing of uploads';
        throw remoteError('store', where.action, `${bucket.uri}${prefix}`, { kind: 'protocol', reason });
      }
      if (page.IsTruncated && !page.NextKeyMarker) throw guard.contradicts('it goes on and does not say where');
      // Within a page stores list as they like (moto does); from page to page keys only go on.
      if (page.IsTruncated && (page.NextKeyMarker as string) < (markers.KeyMarker ?? '')) {
        throw guard.contradicts(`it goes on before ${markers.KeyMarker}`);
      }
      const listed = page.Uploads ?? [];
      guard.page({
        keys: listed.map(({ Key = '' }) => Key),
        next: page.IsTruncated ? `${page.NextKeyMarker} ${page.NextUploadIdMarker ?? ''}` : null,
      });
      for (const { Key = '', UploadId = '', Initiated } of listed) {
        if (Key !== lastKey) [lastKey, ids] = [Key, new Set()];
        if (ids.has(UploadId)) throw guard.contradicts(`it has the upload ${UploadId} to ${Key} twice`);
        ids.add(UploadId);
        uploads.push({ key: Key, id: UploadId, initiatedMs: Initiated?.getTime() ?? null });
      }
      if (uploads.length > UPLOADS_AT_MOST) throw guard.contradicts(`it has more than ${UPLOADS_AT_MOST} uploads`);
      const next = {
        ...(page.NextKeyMarker ? { KeyMarker: page.NextKeyMarker } : {}),
        ...(page.NextUploadIdMarker ? { UploadIdMarker: page.NextUploadIdMarker } : {}),
      };
      markers = page.IsTruncated && page.NextKeyMarker ? next : null;
    }
    return { uploads, nowMs };
  }
}
