/**
 * What Bronze in a bucket has in common, whatever the bucket's protocol: keys below a prefix, what is seen of them, and
 * reading. How objects come to be is each backend's own (s3.ts, gcs.ts). It writes nothing, and no key leaves the
 * prefix.
 */
import type { BronzeError } from '../../machines/errors.ts';
import type { StoredPart } from '../../machines/protocol.ts';
import { throwIfCancelled } from '../bounded.ts';
import type {
  BronzeStore,
  Conditions,
  ObjectReader,
  Reservation,
  StagingSpec,
  StagingTarget,
  StoredObject,
} from '../ports/store.ts';
import type { Bucket, ListOptions } from '../remote/bucket.ts';
import { remoteError } from '../remote/faults.ts';
import { bucketReader } from './bucket-reader.ts';
import { byteOrder, isHostile, keyParts, SMALL_OBJECT_LIMIT } from './keys.ts';
import { STAGING_FOLDER } from './staging-names.ts';

/** Names of one listing that are held in memory: a chain of two million partitions. */
const NAMES_AT_MOST = 4_000_000;

export abstract class BucketStore implements BronzeStore {
  readonly uri: string;
  readonly prefix: string;
  readonly #bucket: Bucket;

  /** `prefix` is `''` or ends in `/`. */
  constructor(bucket: Bucket, prefix: string) {
    if (prefix !== '') keyParts(prefix, true);
    this.#bucket = bucket;
    this.prefix = prefix;
    this.uri = `${bucket.uri}${prefix}`;
  }

  async list(keyPrefix: string, signal?: AbortSignal): Promise<StoredObject[]> {
    const below = folderKey(keyPrefix);
    const wantsStaging = below.split('/').includes(STAGING_FOLDER);
    const objects: StoredObject[] = [];
    for await (const page of this.#pages(below, {}, signal)) {
      for (const { key, size } of page.objects) {
        const own = this.#ownKey(key);
        if (own !== null && isOrdinary(own.slice(below.length), wantsStaging)) objects.push({ key: own, size });
        if (objects.length > NAMES_AT_MOST) throw this.#endless(below);
      }
    }
    // Byte order is what stores promise and not what every one of them keeps.
    return objects.sort((a, b) => byteOrder(a.key, b.key));
  }

  async folders(keyPrefix: string, signal?: AbortSignal, beginning = ''): Promise<string[]> {
    const below = folderKey(keyPrefix);
    const wantsStaging = below.split('/').includes(STAGING_FOLDER);
    const names = new Set<string>();
    if (beginning !== '') keyParts(beginning, false);
    for await (const page of this.#pages(`${below}${beginning}`, { delimiter: '/' }, signal)) {
      for (const folder of page.folders) {
        const name = this.#ownKey(folder)?.slice(below.length).replace(/\/$/, '') ?? '';
        if (isOrdinary(name, wantsStaging)) names.add(name);
        if (names.size > NAMES_AT_MOST) throw this.#endless(below);
      }
    }
    return [...names];
  }

  async get(key: string, signal?: AbortSignal): Promise<Uint8Array | null> {
    return this.#bucket.get(this.fullKey(key), SMALL_OBJECT_LIMIT, signal);
  }

  async open(key: string, signal?: AbortSignal): Promise<ObjectReader | null> {
    const facts = await this.#bucket.stat(this.fullKey(key), signal);
    return facts === null ? null : bucketReader(this.#bucket, facts, signal);
  }

  /** Buckets do not fill up. */
  async freeBytes(): Promise<number | null> {
    return null;
  }

  async check(signal?: AbortSignal): Promise<void> {
    await this.#bucket.check(this.prefix, signal);
  }

  abstract reserve(staging: StagingSpec, target: StagingTarget, signal?: AbortSignal): Promise<Reservation>;
  abstract prepare(): Promise<void>;
  abstract conditions(): Promise<Conditions | null>;
  abstract partsOf(handle: string): readonly StoredPart[] | null;
  abstract create(key: string, bytes: Uint8Array, signal?: AbortSignal): Promise<'created' | 'exists'>;
  abstract stage(handle: string, bytes: number, signal?: AbortSignal): Promise<void>;
  abstract publish(
    handle: string,
    key: string,
    signal?: AbortSignal,
    first?: () => Promise<void>,
  ): Promise<'published' | 'exists'>;
  abstract discard(handles: readonly string[], signal?: AbortSignal): Promise<void>;
  abstract stagingSpec(chainPrefix: string, owner: string): StagingSpec;
  abstract sweep(chainPrefix: string, owners: readonly string[], signal?: AbortSignal): Promise<number>;

  /** The key in the bucket of a key of the port. Throws STORE_DENIED for what could name something else. */
  protected fullKey(key: string): string {
    keyParts(key, false);
    return `${this.prefix}${key}`;
  }

  /** The same for a folder; ends in `/`, or is the configured prefix. */
  protected fullFolder(keyPrefix: string): string {
    return `${this.prefix}${folderKey(keyPrefix)}`;
  }

  async *#pages(below: string, options: ListOptions, signal?: AbortSignal) {
    throwIfCancelled(signal);
    yield* this.#bucket.list(`${this.prefix}${below}`, options, signal);
  }

  #endless(below: string): BronzeError {
    return remoteError('store', 'list', `${this.uri}${below}`, {
      kind: 'listing',
      reason: `it has more than ${NAMES_AT_MOST} names, which no chain has`,
    });
  }

  /** Null for what a listing shows and was not asked for: such a listing is not believed. */
  #ownKey(full: string): string | null {
    return full.startsWith(this.prefix) ? full.slice(this.prefix.length) : null;
  }
}

/** A key prefix that names a folder: `''`, or ending in `/`, so that `a/` never finds `ab`. */
function folderKey(keyPrefix: string): string {
  return keyPrefix === '' ? '' : `${keyParts(keyPrefix, true).join('/')}/`;
}

/**
 * Whether this program could have written a name. What it could not (a placeholder that a console makes for a folder,
 * an empty part, control characters) is passed over, as in a local folder.
 */
function isOrdinary(below: string, wantsStaging: boolean): boolean {
  return below
    .split('/')
    .every(
      (part) =>
        part !== '' && part !== '.' && part !== '..' && !isHostile(part) && (wantsStaging || part !== STAGING_FOLDER),
    );
}
