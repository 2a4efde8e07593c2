/**
 * Bronze on Google Cloud Storage. Publication is a rewrite of the staged object, of exactly its generation, to the final
 * name with `ifGenerationMatch: 0`; small objects are uploaded with the same condition. A condition that does not hold
 * is an unknown outcome and not a failure: it is also what a repeated request gets whose first answer was lost, and the
 * caller reads back. What GCS acknowledges is durable.
 * It must never remove, replace or change a published object, and never take an error for "not there".
 */
import { BronzeError } from '../../machines/errors.ts';
import { throwIfCancelled } from '../bounded.ts';
import { killPoint } from '../kill-points.ts';
import type { Conditions, Reservation, StagingSpec, StoreSpec } from '../ports/store.ts';
import type { ObjectFacts } from '../remote/bucket.ts';
import { remoteError } from '../remote/faults.ts';
import { GcsBucket, type GcsFacts } from '../remote/gcs-bucket.ts';
import { isMissingObject, isUnmet } from '../remote/gcs-client.ts';
import { BucketStore } from './bucket-store.ts';
import { type GcsHandle, parseGcsHandle } from './gcs-handle.ts';
import { removeGeneration } from './gcs-staging.ts';
import { insertWhole, resourceOf } from './gcs-uploads.ts';
import { randomLabel, STAGING_FOLDER, stagingName, stagingOwner } from './staging-names.ts';
import { untrue } from './stands.ts';

const DAY_MS = 86_400_000;
/** Rounds of one rewrite: within a location one is enough, so that more than this is a store that never ends. */
const REWRITE_ROUNDS = 10_000;

type GcsSpec = Extract<StoreSpec, { backend: 'gcs' }>;
type Round = { readonly token: string } | 'done' | 'unmet' | 'missing';

export class GcsStore extends BucketStore {
  readonly #spec: GcsSpec;
  readonly #bucket: GcsBucket;
  /** Chain prefix → nonce of the lock's holder in this process. */
  readonly #owners = new Map<string, string>();
  readonly #self = randomLabel();

  constructor(spec: GcsSpec) {
    const bucket = new GcsBucket(spec.address, 'store');
    super(bucket, spec.prefix);
    this.#spec = spec;
    this.#bucket = bucket;
  }

  /**
   * Is the bucket there, and may this program list, create, read and remove in it? Found out with an object of its own,
   * before anything is built. And does the store keep the condition that everything rests on?
   */
  async prepare(): Promise<void> {
    await this.#bucket.check(this.prefix);
    const key = `${this.prefix}${STAGING_FOLDER}/${stagingName(this.#self, `probe-${randomLabel()}`)}`;
    const content = Buffer.from('{}\n');
    await insertWhole(this.#bucket, key, content, 'application/json');
    const again = await insertWhole(this.#bucket, key, content, 'application/json');
    const bytes = await this.#bucket.get(key, content.length);
    const facts = await this.#bucket.stat(key);
    if (facts !== null) await removeGeneration(this.#bucket, key, facts.version);
    if (again === 'exists' && bytes !== null && facts !== null) return;
    throw remoteError('store', 'rely on', `${this.#bucket.uri}${this.prefix}`, {
      kind: 'protocol',
      reason: 'what answers does not keep ifGenerationMatch, which Google Cloud Storage does',
    });
  }

  /** GCS keeps them always; `prepare` looks whether what answers is GCS. */
  async conditions(): Promise<Conditions> {
    return { create: true, publish: true };
  }

  partsOf(): null {
    return null;
  }

  async create(key: string, bytes: Uint8Array, signal?: AbortSignal): Promise<'created' | 'exists'> {
    const full = this.fullKey(key);
    killPoint('create:before-write');
    killPoint('create:before-link');
    const type = key.endsWith('.json') ? 'application/json' : 'application/octet-stream';
    if ((await insertWhole(this.#bucket, full, bytes, type, signal)) === 'exists') return 'exists';
    killPoint('create:after-link');
    return 'created';
  }

  /** A finished upload is durable; whether it is still there, and whole, is what is asked here. */
  async stage(handle: string, bytes: number, signal?: AbortSignal): Promise<void> {
    const staged = this.#handle(handle);
    killPoint('stage:before-fsync');
    const facts = await this.#bucket.stat(staged.key, signal);
    if (facts === null) throw gone(staged.key, 'it is not there');
    if (staged.size !== bytes)
      throw gone(staged.key, `it has ${staged.size} bytes and not the ${bytes} that were written`);
    const found = differsFrom(facts, staged);
    if (found !== null) throw gone(staged.key, found);
    killPoint('stage:after-fsync');
  }

  async publish(
    handle: string,
    key: string,
    signal?: AbortSignal,
    first?: () => Promise<void>,
  ): Promise<'published' | 'exists'> {
    const staged = this.#handle(handle);
    const full = this.fullKey(key);
    await first?.();
    killPoint('publish:before-link');
    const outcome = await this.#rewrite(staged, full, signal);
    if (outcome === 'done') {
      killPoint('publish:after-link');
      const stands = await this.#bucket.stat(full, signal);
      if (stands === null) throw untrue('publish', `${this.#bucket.uri}${full}`);
      // Also where it says no checksum: then it is read.
      if (stands.size !== staged.size || stands.crc32c !== staged.crc32c) return 'exists';
      // It is published, whatever comes of this: what cannot be removed now is swept by the next holder of the lock.
      await removeGeneration(this.#bucket, staged.key, staged.generation, signal).catch(() => false);
      killPoint('publish:after-unlink');
      return 'published';
    }
    // A staged object that is gone while its target stands there is also what a lost answer leaves behind.
    if (outcome === 'unmet' || (await this.#bucket.stat(full, signal)) !== null) return 'exists';
    throw gone(staged.key, 'it is not there');
  }

  async discard(handles: readonly string[], signal?: AbortSignal): Promise<void> {
    for (const handle of handles) {
      throwIfCancelled(signal);
      const { key, generation } = this.#handle(handle);
      await removeGeneration(this.#bucket, key, generation, signal);
    }
  }

  stagingSpec(chainPrefix: string, owner: string): StagingSpec {
    stagingName(owner, 'probe');
    this.#owners.set(chainPrefix, owner);
    const folder = `${this.fullFolder(chainPrefix)}${STAGING_FOLDER}/`;
    return { backend: 'gcs', address: this.#spec.address, folder, owner };
  }

  /** Nothing is begun: objects are told apart by the owner in their names. */
  async reserve(staging: StagingSpec): Promise<Reservation> {
    if (staging.backend !== 'gcs') throw new BronzeError('INTERNAL', 'a store on GCS cannot reserve elsewhere');
    const { folder, owner } = staging;
    return {
      upload: null,
      owns: (handle) => {
        try {
          const { key } = parseGcsHandle(handle);
          return key.startsWith(folder) && stagingOwner(key.slice(folder.length)) === owner;
        } catch {
          return false;
        }
      },
      release: async () => undefined,
    };
  }

  async sweep(chainPrefix: string, owners: readonly string[], signal?: AbortSignal): Promise<number> {
    const own = this.#owners.get(chainPrefix) ?? this.#self;
    const chain = await this.#sweepFolder(`${this.fullFolder(chainPrefix)}${STAGING_FOLDER}/`, owners, own, signal);
    // Where a probe was left.
    return chain + (await this.#sweepFolder(`${this.prefix}${STAGING_FOLDER}/`, [], this.#self, signal));
  }

  #handle(handle: string): GcsHandle {
    const staged = parseGcsHandle(handle);
    const parts = staged.key.slice(this.prefix.length).split('/');
    const isOurs = staged.key.startsWith(this.prefix) && parts.at(-2) === STAGING_FOLDER;
    if (isOurs && stagingOwner(parts.at(-1) ?? '') !== null) return staged;
    throw new BronzeError('INTERNAL', `not a handle of this store: ${handle}`);
  }

  /** All rounds of a rewrite: bytes that move between locations or storage classes take several. */
  async #rewrite(staged: GcsHandle, target: string, signal?: AbortSignal): Promise<Exclude<Round, object>> {
    let token: string | null = null;
    for (let n = 0; n < REWRITE_ROUNDS; n++) {
      const round: Round = await this.#rewriteRound(staged, target, token, signal);
      if (typeof round === 'string') return round;
      token = round.token;
    }
    throw remoteError('store', 'publish', `${this.#bucket.uri}${target}`, {
      kind: 'busy',
      reason: `the rewrite was not done after ${REWRITE_ROUNDS} rounds`,
    });
  }

  #rewriteRound(staged: GcsHandle, target: string, token: string | null, signal?: AbortSignal): Promise<Round> {
    const to = `/rewriteTo${this.#bucket.bucketPath(`/o/${encodeURIComponent(target)}`).replace('/storage/v1', '')}`;
    return this.#bucket.call<Round>(
      {
        action: 'publish',
        key: target,
        request: {
          method: 'POST',
          path: `${this.#bucket.objectPath(staged.key)}${to}`,
          query: {
            // Each call's own conditions count.
            ifGenerationMatch: '0',
            sourceGeneration: staged.generation,
            fields: 'done,rewriteToken',
            ...(token === null ? {} : { rewriteToken: token }),
          },
          headers: { 'Content-Type': 'application/json; charset=UTF-8' },
          body: Buffer.from('{}'),
        },
        read: async (answer) => {
          const said = await resourceOf(answer, signal);
          if (said?.done === false && typeof said.rewriteToken === 'string') return { token: said.rewriteToken };
          // What it says of the object is not looked at: the object itself is asked.
          return 'done';
        },
        otherwise: (error) => (isUnmet(error) ? 'unmet' : isMissingObject(error) ? 'missing' : undefined),
      },
      signal,
    );
  }

  /** Staged objects of `owners`, and of others but `own` that are older than a day by the store's clock. */
  async #sweepFolder(folder: string, owners: readonly string[], own: string, signal?: AbortSignal): Promise<number> {
    const dead: ObjectFacts[] = [];
    const others: ObjectFacts[] = [];
    for await (const { objects } of this.#bucket.list(folder, {}, signal)) {
      for (const object of objects) {
        const owner = stagingOwner(object.key.slice(folder.length));
        if (owner === null || object.key.slice(folder.length).includes('/')) continue;
        if (owners.includes(owner)) dead.push(object);
        else if (owner !== own) others.push(object);
      }
    }
    const now = others.length === 0 ? null : await this.#bucket.now(folder, signal);
    const old = others.filter(({ modifiedMs }) => now !== null && modifiedMs !== null && now - modifiedMs > DAY_MS);
    let removed = 0;
    for (const { key, version } of [...dead, ...old]) {
      throwIfCancelled(signal);
      killPoint('sweep:before-unlink');
      if (await removeGeneration(this.#bucket, key, version, signal)) removed += 1;
    }
    return removed;
  }
}

/** Null where an object is the one that was staged. */
function differsFrom(facts: GcsFacts, staged: GcsHandle): string | null {
  if (facts.version !== staged.generation) return 'another object stands in its place';
  if (facts.size !== staged.size) return `it has ${facts.size} bytes and not ${staged.size}`;
  if (facts.crc32c !== null && facts.crc32c !== staged.crc32c) return `its CRC32C is ${facts.crc32c}`;
  return null;
}

const gone = (key: string, why: string): BronzeError =>
  new BronzeError('STAGED_GONE', `the staged object ${key} cannot be used: ${why}`, { details: { object: key } });
