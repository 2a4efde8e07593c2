/**
 * What sources and stores need of a bucket, whatever its protocol: read, look, list, create. One file per protocol
 * implements it (s3-bucket.ts, gcs-bucket.ts). "Not there" is an answer and never an error; an error is never "not
 * there". Every call has time-outs, is retried within bounds, and ends when its signal fires.
 */

/** A stored object, as a listing or a look tells. */
export interface ObjectFacts {
  /** Full key in the bucket. */
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** What pins a content: ETag, or generation. */
  readonly version: string;
  /** Milliseconds since 1970 by the store's clock; null where it does not say. */
  readonly modifiedMs: number | null;
}

/** One page of a listing, in the order of the store. */
export interface ListedPage {
  readonly objects: readonly ObjectFacts[];
  /** Common prefixes, with the delimiter at their end; only where a delimiter was given. */
  readonly folders: readonly string[];
}

export interface ListOptions {
  readonly delimiter?: '/';
  /** Only keys that come after this one, in byte order. */
  readonly startAfter?: string;
  /** One page of at most so many; the rest is not asked for. S3 only. */
  readonly most?: number;
}

/**
 * Told the size of an object as soon as it is known, before its body is read, once for each request. It may give memory
 * of exactly that size for the body. What it throws (a BronzeError that is not retryable) ends the request.
 */
export type Admission = (size: number) => Uint8Array | undefined;

/** All keys are full keys in the bucket. Every method throws BronzeError in the codes of the bucket's domain. */
export interface Bucket {
  /** `s3://name/` or `gs://name/`; no credentials, no endpoint. */
  readonly uri: string;
  /**
   * A whole object, its length checked against what was announced and its checksum where the store keeps one. More than
   * `limit` bytes is an error (OBJECT_TOO_LARGE in a source, STORE_IO in a store). Exactly one request where nothing fails.
   */
  get(key: string, limit: number, signal?: AbortSignal, admit?: Admission): Promise<Uint8Array | null>;
  /** Size and version of an object, without its content. */
  stat(key: string, signal?: AbortSignal): Promise<ObjectFacts | null>;
  /** `length` bytes from `offset` of exactly this version; STORE_IO, not retryable, where another stands there now. */
  range(of: ObjectFacts, offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array>;
  /** All objects whose key begins with `prefix`, page by page, in byte order of keys. */
  list(prefix: string, options?: ListOptions, signal?: AbortSignal): AsyncIterable<ListedPage>;
  /**
   * Fails with a code of its own for a missing bucket, a wrong region, credentials that are not known, no right to
   * list, an endpoint that is no such store. Costs one listing of one key.
   */
  check(prefix: string, signal?: AbortSignal): Promise<void>;
}

/** Where an S3 bucket is; plain data without secrets: credentials come from the SDK's own chain. */
export interface S3Address {
  readonly protocol: 's3';
  readonly bucket: string;
  /** URL of an S3-compatible store; null = AWS. */
  readonly endpoint: string | null;
  /** Null = from the AWS environment. */
  readonly region: string | null;
  readonly pathStyle: boolean;
  readonly anonymous: boolean;
  readonly requesterPays: boolean;
}

/** Where a GCS bucket is. */
export interface GcsAddress {
  readonly protocol: 'gcs';
  readonly bucket: string;
  readonly anonymous: boolean;
  readonly requesterPays: boolean;
}

export type BucketAddress = S3Address | GcsAddress;
