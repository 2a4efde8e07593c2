/**
 * A scene whose Bronze, lake or both lie in buckets: of a real S3 server, or of the double of GCS. What a bucket holds is
 * brought to a local folder, so that everything that looks at Bronze on a disk can look at it here as well. It must
 * never be used by the program: it is how the test sees.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { GcsDouble } from './gcs-double.ts';
import { isProbe, isStagedOfChain } from './outcome.ts';
import { type Outcome, Scene, type Settings } from './program.ts';
import { makeBucket, makeGcsBucket, type S3Server, type TestBucket } from './servers.ts';

/** Where a bucket may be. `url` may be that of a proxy before it. */
export type RemoteKind =
  | { readonly protocol: 's3'; readonly server: S3Server; readonly url?: string }
  | { readonly protocol: 'gcs'; readonly double: GcsDouble; readonly url?: string };

const urlOf = (kind: RemoteKind): string =>
  kind.url ?? (kind.protocol === 's3' ? kind.server.endpoint : kind.double.url);

export const newBucket = (kind: RemoteKind): Promise<TestBucket> =>
  kind.protocol === 's3' ? makeBucket(kind.server) : makeGcsBucket(kind.double);

/** What the SDKs find in their environment. */
export function environmentFor(kind: RemoteKind): Record<string, string> {
  if (kind.protocol === 'gcs') return { STORAGE_EMULATOR_HOST: urlOf(kind) };
  const { accessKeyId, secretAccessKey } = kind.server;
  return { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
}

const PREFIX = 'bronze/';

export function storageIn(kind: RemoteKind, bucket: string): Settings {
  if (kind.protocol === 'gcs') return { backend: 'gcs', gcs_bucket: bucket, prefix: PREFIX };
  return { backend: 's3', s3_bucket: bucket, s3_endpoint: urlOf(kind), s3_region: kind.server.region, prefix: PREFIX };
}

export const LAKE_PREFIX = 'the/lake';

export function sourceIn(kind: RemoteKind, bucket: string): Settings {
  if (kind.protocol === 'gcs') return { mode: 'gcs', gcs_bucket: bucket, gcs_prefix: `${LAKE_PREFIX}/` };
  return {
    mode: 's3',
    s3_bucket: bucket,
    s3_prefix: LAKE_PREFIX,
    s3_endpoint: urlOf(kind),
    s3_region: kind.server.region,
  };
}

const filesBelow = (folder: string): string[] =>
  (readdirSync(folder, { recursive: true }) as string[]).filter((path) => statSync(join(folder, path)).isFile());

/** Puts a lake of a disk into a fresh bucket. */
export async function lakeIn(kind: RemoteKind, lake: string): Promise<TestBucket> {
  const bucket = await newBucket(kind);
  for (const path of filesBelow(lake)) await bucket.put(`${LAKE_PREFIX}/${path}`, readFileSync(join(lake, path)));
  return bucket;
}

/** A scene with Bronze in a bucket. `bronze` is the local picture of it, as of the last `look`. */
export class RemoteScene extends Scene {
  readonly kind: RemoteKind;
  readonly bucket: TestBucket;
  readonly #versions = new Map<string, string>();

  constructor(kind: RemoteKind, bucket: TestBucket, like: Scene) {
    super('', []);
    this.kind = kind;
    this.bucket = bucket;
    const { pas, checkpoint } = this.settings as { pas: Settings; checkpoint: Settings };
    this.settings = {
      ...like.settings,
      storage: storageIn(kind, bucket.name),
      pas: { ...(like.settings.pas as Settings), backup_dir: pas.backup_dir },
      checkpoint: { ...(like.settings.checkpoint as Settings), dir: checkpoint.dir },
    };
    Object.assign(this.environment, like.environment, environmentFor(kind));
  }

  /** A copier elsewhere on the same bucket, with state and backup folders of its own. */
  override elsewhere(): RemoteScene {
    const other = new RemoteScene(this.kind, this.bucket, this);
    other.settings = { ...other.settings, copier_id: 'copier-elsewhere' };
    return other;
  }

  /** Brings the local picture up to date; what was not written anew keeps its file as it is. */
  async look(): Promise<this> {
    const now = await this.bucket.versions(PREFIX);
    for (const key of this.#versions.keys()) {
      if (key in now) continue;
      rmSync(this.#pathOf(key), { force: true });
      this.#versions.delete(key);
    }
    for (const [key, version] of Object.entries(now)) {
      if (this.#versions.get(key) === version) continue;
      const bytes = await this.bucket.get(key);
      if (bytes === null) continue;
      mkdirSync(dirname(this.#pathOf(key)), { recursive: true });
      writeFileSync(this.#pathOf(key), bytes);
      this.#versions.set(key, version);
    }
    return this;
  }

  /** What readers must not see and nobody may leave behind: staging objects, and uploads that were never completed. */
  async leftovers(): Promise<string[]> {
    const objects = (await this.bucket.list(PREFIX)).filter((key) => isStagedOfChain(key.slice(PREFIX.length)));
    // Unfinished uploads of GCS cost nothing, are seen by nobody, and end by themselves: nothing can or need sweep them.
    const uploads = this.kind.protocol === 'gcs' ? [] : await this.bucket.uploads(PREFIX);
    const left = uploads.filter(({ key }) => !isProbe(key.slice(PREFIX.length)));
    return [...objects, ...left.map(({ key, id }) => `upload ${id} to ${key}`)];
  }

  /** `verify` of the bucket from outside: no configuration, no state. */
  override verify(...args: readonly string[]): Promise<Outcome> {
    const scheme = this.kind.protocol === 's3' ? 's3' : 'gs';
    const access =
      this.kind.protocol === 's3' ? ['--s3-endpoint', urlOf(this.kind), '--s3-region', this.kind.server.region] : [];
    return this.command('verify', `${scheme}://${this.bucket.name}/${PREFIX}`, '--threads', '1', ...access, ...args);
  }

  #pathOf(key: string): string {
    return join(this.bronze, key.slice(PREFIX.length));
  }
}

/** The same copier as `like`, with its Bronze in a fresh bucket. */
export async function remoteScene(kind: RemoteKind, like: Scene): Promise<RemoteScene> {
  return new RemoteScene(kind, await newBucket(kind), like);
}
