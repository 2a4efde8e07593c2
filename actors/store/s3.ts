/**
 * Bronze in a bucket that speaks S3. Data objects are multipart uploads to their final key, invisible until completed
 * with `If-None-Match: *`; small objects are put with the same condition. Where a store does not keep the condition,
 * which is probed at the start, a *fence* does: every other upload to the key is aborted before looking and completing,
 * so that a late request of a dead process finds nothing to complete. It must never overwrite or delete what is
 * published, and never take an error for "not there".
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import * as z from 'zod';
import { BronzeError } from '../../machines/errors.ts';
import type { StoredPart } from '../../machines/protocol.ts';
import { bothDone, throwIfCancelled } from '../bounded.ts';
import { ensureFolder, readSmall, replaceFile } from '../durable.ts';
import type { FileOps } from '../files.ts';
import { parseJson, prettyJson } from '../json.ts';
import { killPoint } from '../kill-points.ts';
import type { Conditions, Reservation, StagingSpec, StagingTarget, StoreSpec } from '../ports/store.ts';
import { remoteError } from '../remote/faults.ts';
import { persistently } from '../remote/retry.ts';
import { S3Bucket } from '../remote/s3-bucket.ts';
import { s3Sdk, statusOf } from '../remote/s3-client.ts';
import { BucketStore } from './bucket-store.ts';
import { journalOwners, journalPath, type LeftUploads, readJournalOf, removeJournal } from './s3-journal.ts';
import { appendLine } from './s3-journal-append.ts';
import { parseHandle, type S3Handle } from './s3-staging.ts';
import {
  bareEtag,
  type Completed,
  etagOfParts,
  isMd5Of,
  isUnsupported,
  S3Uploads,
  type UploadedPart,
} from './s3-uploads.ts';
import { randomLabel, STAGING_FOLDER } from './staging-names.ts';
import { untrue, whoseSmall } from './stands.ts';

const DAY_MS = 86_400_000;
/** What a probe found, beside the checkpoints: `plan` says it without touching the store. */
const CONDITIONS_FILE = 'store-conditions.json';
const LIMIT = 1024 * 1024;

const conditionsSchema = z.record(z.string(), z.object({ create: z.boolean(), publish: z.boolean() }));

/** Keys of probes begin like this, below the configured prefix. */
const PROBES = `${STAGING_FOLDER}/probe-`;
const PROBE = /^_staging\/probe-[0-9a-f]{12}\.(?:create|publish)$/;

type S3Spec = Extract<StoreSpec, { backend: 's3' }>;

export class S3Store extends BucketStore {
  readonly #spec: S3Spec;
  readonly #files: FileOps;
  readonly #bucket: S3Bucket;
  readonly #uploads: S3Uploads;
  /** Chain prefix → nonce of the lock's holder in this process. */
  readonly #owners = new Map<string, string>();
  /** Uploads whose completion was asked for, with no answer that settles it. */
  readonly #completing = new Set<string>();
  #probing: Promise<Conditions> | null = null;

  constructor(spec: S3Spec, files: FileOps) {
    const bucket = new S3Bucket(spec.address, 'store');
    super(bucket, spec.prefix);
    this.#spec = spec;
    this.#files = files;
    this.#bucket = bucket;
    this.#uploads = new S3Uploads(bucket);
  }

  /** Probes which conditions the store keeps, in keys of its own. */
  async prepare(): Promise<void> {
    await this.#conditions();
  }

  async conditions(): Promise<Conditions | null> {
    if (this.#probing !== null) return this.#probing;
    return (await this.#remembered())[this.#placeKey] ?? null;
  }

  async create(key: string, bytes: Uint8Array, signal?: AbortSignal): Promise<'created' | 'exists'> {
    throwIfCancelled(signal);
    const full = this.fullKey(key);
    killPoint('create:before-write');
    const { create } = await this.#conditions(signal);
    killPoint('create:before-link');
    let outcome = create ? await this.#put(full, bytes, signal) : 'unsupported';
    if (outcome === 'unsupported') outcome = await this.#createFenced(key, bytes, signal);
    if (outcome === 'created') killPoint('create:after-link');
    return outcome;
  }

  /** Parts are durable when they are acknowledged: what the store has must be what was sent. */
  async stage(handle: string, bytes: number, signal?: AbortSignal): Promise<void> {
    throwIfCancelled(signal);
    const { key, upload, parts } = parseHandle(handle);
    killPoint('stage:before-fsync');
    const stored = await this.#uploads.parts(this.fullKey(key), upload, signal);
    if (stored === null) throw gone(key, 'its upload is not there');
    const size = stored.reduce((sum, part) => sum + part.size, 0);
    if (size !== bytes) throw gone(key, `it has ${size} bytes and not the ${bytes} that were written`);
    const differs = stored.findIndex(({ etag }, i) => bareEtag(etag) !== bareEtag(parts[i]?.etag ?? ''));
    if (differs >= 0 || stored.length !== parts.length)
      throw gone(key, `part ${differs + 1} is not the one that was sent`);
    killPoint('stage:after-fsync');
  }

  async publish(
    handle: string,
    key: string,
    signal?: AbortSignal,
    first: () => Promise<void> = async () => undefined,
  ): Promise<'published' | 'exists'> {
    throwIfCancelled(signal);
    const { key: staged, upload, parts } = parseHandle(handle);
    if (staged !== key) throw new BronzeError('INTERNAL', `what is staged for ${staged} cannot be published as ${key}`);
    const full = this.fullKey(key);
    const conditions = await this.#conditions(signal);
    // Where the store keeps no condition, the fence takes a while, and shows nobody anything.
    if (conditions.publish) await first();
    else await bothDone(first(), this.#fence(full, upload, signal));
    killPoint('publish:before-link');
    this.#completing.add(upload);
    await this.#noted(full, { completing: upload });
    let outcome = conditions.publish
      ? await this.#uploads.complete(full, upload, parts, true, signal)
      : await this.#completeBehindFence(full, upload, parts, signal);
    // Also where the store aborted it for a condition that it kept only now.
    if (outcome === 'unsupported') outcome = await this.#completeFenced(full, upload, parts, signal);
    if (outcome === 'completed') {
      killPoint('publish:after-link');
      const stands = await this.#whose(full, parts, signal);
      // Whatever said so: the upload may still be there, and this or the next run finds out.
      if (stands === 'nothing') throw untrue('publish', `${this.#bucket.uri}${full}`);
      if (stands === 'other') return 'exists';
      await this.#ended(full, upload);
      killPoint('publish:after-unlink');
      return 'published';
    }
    // The store has said that it did not complete it, or that it does not know it: neither is under way.
    this.#completing.delete(upload);
    if (outcome === 'exists' || (await this.#bucket.stat(full, signal)) !== null) return 'exists';
    throw gone(key, 'its upload is not there any more');
  }

  async discard(handles: readonly string[], signal?: AbortSignal): Promise<void> {
    for (const handle of handles) {
      throwIfCancelled(signal);
      const { key, upload } = parseHandle(handle);
      const full = this.fullKey(key);
      if (this.#completing.has(upload) && (await this.#mayBeCompleting(full, upload, signal))) continue;
      await this.#uploads.abort(full, upload, signal);
      await this.#ended(full, upload);
    }
  }

  stagingSpec(chainPrefix: string, owner: string): StagingSpec {
    this.#owners.set(chainPrefix, owner);
    const { address, prefix } = this.#spec;
    return { backend: 's3', address, prefix, owner, journal: this.#journal(chainPrefix, owner) };
  }

  /** Begins the upload here, so that it stands in the journal of the holder of the lock, whoever sends its parts. */
  async reserve(_: StagingSpec, target: StagingTarget, signal?: AbortSignal): Promise<Reservation> {
    const { key } = target;
    const upload = await persistently(() => this.#beginNoted(key, this.fullKey(key), signal), signal);
    return {
      upload,
      owns: (handle) => {
        try {
          const staged = parseHandle(handle);
          return staged.key === key && staged.upload === upload;
        } catch {
          return false;
        }
      },
      release: (late) => this.discard([JSON.stringify({ key, upload, parts: [] } satisfies S3Handle)], late),
    };
  }

  /**
   * Aborts what former holders of the lock left, by their journals, and what nobody knows and is older than a day by the
   * store's clock. Of a key in a journal without an id (death between beginning and writing down) every upload that no
   * journal here knows is aborted: should it be a copier's on another host, it builds again. An upload whose completion
   * was asked for, and under whose key something stands, is left alone as long as the store knows it: some stores
   * remove the parts of what they have just published. Its journal stays, so that the next holder looks again.
   */
  async sweep(chainPrefix: string, owners: readonly string[], signal?: AbortSignal): Promise<number> {
    const own = this.#owners.get(chainPrefix);
    const former = await this.#formerOwners(chainPrefix, owners, own);
    const ours = own === undefined || owners.includes(own) ? null : await this.#left(chainPrefix, own);
    let removed = 0;
    const swept = new Set<string>();
    const abort = async (key: string, id: string): Promise<void> => {
      if (swept.has(id) || ours?.known.has(id)) return;
      swept.add(id);
      throwIfCancelled(signal);
      killPoint('sweep:before-unlink');
      if (await this.#uploads.abort(key, id, signal)) removed += 1;
    };
    for (const owner of former) {
      const journal = await this.#left(chainPrefix, owner);
      let kept = false;
      for (const { key, id, completing } of journal.open) {
        if (completing && (await this.#mayBeCompleting(key, id, signal))) kept = true;
        else await abort(key, id);
      }
      for (const key of new Set(journal.intended)) {
        const { uploads } = await this.#uploads.list(key, signal);
        for (const upload of uploads) {
          if (upload.key === key && !journal.known.has(upload.id)) await abort(key, upload.id);
        }
      }
      // Only now: a death before this leaves the journal to the next holder.
      const path = this.#journal(chainPrefix, owner);
      if (path !== null && !kept) await removeJournal(this.#files, path);
    }
    const probes = this.fullFolder(`${STAGING_FOLDER}/`);
    for (const folder of [this.fullFolder(chainPrefix), probes]) {
      const { uploads, nowMs } = await this.#uploads.list(folder, signal);
      for (const { key, id, initiatedMs } of uploads) {
        // Below the root's staging folder probes are ours; anything else is somebody's who is named like it.
        if (folder === probes && !PROBE.test(key.slice(this.prefix.length))) continue;
        if (nowMs !== null && initiatedMs !== null && nowMs - initiatedMs > DAY_MS) await abort(key, id);
      }
      if (nowMs !== null && folder === probes) await this.#removeOldProbes(nowMs - DAY_MS, signal);
    }
    return removed;
  }

  /** What a start that died in its probe left behind. */
  async #removeOldProbes(beforeMs: number, signal?: AbortSignal): Promise<void> {
    for await (const { objects } of this.#bucket.list(`${this.prefix}${PROBES}`, {}, signal)) {
      for (const { key, modifiedMs } of objects) {
        // Exactly what a probe is called: an era of another copier may have been given a name that begins like it.
        if (!PROBE.test(key.slice(this.prefix.length))) continue;
        // Without the right to delete they stay; nobody reads them.
        if (modifiedMs !== null && modifiedMs < beforeMs) await this.#remove(key).catch(() => undefined);
      }
    }
  }

  partsOf(handle: string): readonly StoredPart[] {
    return parseHandle(handle).parts.map(({ size, md5 }) => ({ size, md5 }));
  }

  // ── journals ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** Whether anything stands under a key: of what is not there, a listing is believed at once, where a HEAD is not. */
  async #stands(full: string, signal?: AbortSignal): Promise<boolean> {
    for await (const { objects } of this.#bucket.list(full, { most: 1 }, signal)) return objects[0]?.key === full;
    return false;
  }

  #journal(chainPrefix: string, owner: string): string | null {
    const { stateDir } = this.#spec;
    return stateDir === null ? null : journalPath(stateDir, chainPrefix, this.#placeKey, owner);
  }

  /** `owners`, and whoever else has left a journal of this chain here: its lock is ours, so they are gone. */
  async #formerOwners(chainPrefix: string, owners: readonly string[], own: string | undefined): Promise<Set<string>> {
    const { stateDir } = this.#spec;
    const found = stateDir === null ? [] : await journalOwners(this.#files, stateDir, chainPrefix, this.#placeKey);
    return new Set([...owners, ...found.filter((owner) => owner !== own)]);
  }

  /** Whether a completion of this upload may still be working on what stands there. */
  async #mayBeCompleting(full: string, id: string, signal?: AbortSignal): Promise<boolean> {
    if ((await this.#bucket.stat(full, signal)) === null) return false;
    return !(await this.#uploads.isGone(full, id, signal));
  }

  async #left(chainPrefix: string, owner: string): Promise<LeftUploads> {
    const path = this.#journal(chainPrefix, owner);
    return path === null ? { open: [], intended: [], known: new Set() } : readJournalOf(this.#files, path);
  }

  /** Notes that an upload is over, where this process keeps the chain's journal. */
  #ended(full: string, upload: string): Promise<void> {
    this.#completing.delete(upload);
    return this.#noted(full, { ended: upload });
  }

  async #noted(full: string, line: { ended: string } | { completing: string }): Promise<void> {
    const key = full.slice(this.prefix.length);
    for (const [chainPrefix, owner] of this.#owners) {
      const path = key.startsWith(chainPrefix) ? this.#journal(chainPrefix, owner) : null;
      // Only to spare the sweep a question: that it cannot be written must not fail what is done already.
      if (path !== null) await appendLine(this.#files, path, line, false).catch(() => undefined);
    }
  }

  // ── writing ────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * What stands under a key after an upload of these parts was completed, by size and by the store's own checksum. Where
   * it does not call an object by the MD5 of its parts (one that encrypts with keys of its own does not), that is not
   * known: such a one counts as somebody else's, and is read.
   */
  async #whose(
    full: string,
    parts: readonly UploadedPart[],
    signal?: AbortSignal,
  ): Promise<'ours' | 'other' | 'nothing'> {
    const facts = await this.#bucket.stat(full, signal);
    if (facts === null) return 'nothing';
    const size = parts.reduce((sum, part) => sum + part.size, 0);
    return facts.size === size && bareEtag(facts.version) === etagOfParts(parts) ? 'ours' : 'other';
  }

  /** A conditional put. An answer that does not carry the MD5 of these bytes proves nothing: what stands there is read. */
  async #put(full: string, bytes: Uint8Array, signal?: AbortSignal): Promise<'created' | 'exists' | 'unsupported'> {
    const outcome = await this.#putOnce(full, bytes, signal);
    if (outcome === 'said') return whoseSmall(this.#bucket, full, bytes, signal);
    return outcome === 'proved' ? 'created' : outcome;
  }

  /** 409 is another request on this key at the same moment: asked again. */
  async #putOnce(
    full: string,
    bytes: Uint8Array,
    signal?: AbortSignal,
  ): Promise<'proved' | 'said' | 'exists' | 'unsupported'> {
    const { PutObjectCommand } = await s3Sdk();
    const bucket = this.#bucket;
    return bucket.call<'proved' | 'said' | 'exists' | 'unsupported'>(
      'create',
      full,
      async (client, options) => {
        const { ETag = '' } = await client.send(
          new PutObjectCommand({
            ...bucket.common,
            Key: full,
            Body: bytes,
            ContentLength: bytes.length,
            ContentMD5: createHash('md5').update(bytes).digest('base64'),
            ContentType: full.endsWith('.json') ? 'application/json' : 'application/octet-stream',
            IfNoneMatch: '*',
          }),
          options,
        );
        return isMd5Of(ETag, bytes) ? 'proved' : 'said';
      },
      signal,
      (error) => {
        if (statusOf(error) === 412) return 'exists';
        if (isUnsupported(error)) return 'unsupported';
        if (statusOf(error) !== 409) return undefined;
        throw remoteError('store', 'create', `${bucket.uri}${full}`, {
          kind: 'busy',
          reason: 'another request on this key came in between',
        });
      },
    );
  }

  /** A small object through an upload of one part, where the store does not keep the condition on a put. */
  async #createFenced(key: string, bytes: Uint8Array, signal?: AbortSignal): Promise<'created' | 'exists'> {
    const full = this.fullKey(key);
    for (let attempt = 1; ; attempt++) {
      if ((await this.#bucket.stat(full, signal)) !== null) return 'exists';
      const upload = await this.#beginNoted(key, full, signal);
      const part = await this.#uploads.part(full, upload, 1, bytes, signal);
      const outcome = part === null ? 'gone' : await this.#completeFenced(full, upload, [part], signal);
      if (outcome === 'completed') {
        const stands = await whoseSmall(this.#bucket, full, bytes, signal);
        await this.#ended(full, upload);
        return stands;
      }
      await this.#uploads.abort(full, upload, signal);
      await this.#ended(full, upload);
      if (outcome === 'exists') return 'exists';
      // Somebody else's fence took it; whoever is first stands there now, or the next turn is ours.
      if (attempt === FENCE_ATTEMPTS) {
        throw remoteError('store', 'create', `${this.#bucket.uri}${full}`, {
          kind: 'busy',
          reason: 'other copiers abort its upload again and again',
        });
      }
    }
  }

  async #beginNoted(key: string, full: string, signal?: AbortSignal): Promise<string> {
    const chain = [...this.#owners].find(([chainPrefix]) => key.startsWith(chainPrefix));
    const path = chain === undefined ? null : this.#journal(chain[0], chain[1]);
    const label = `create.${randomLabel()}`;
    if (path !== null) await appendLine(this.#files, path, { label, key: full }, true);
    const upload = await this.#uploads.begin(full, signal);
    if (path !== null) await appendLine(this.#files, path, { label, upload }, true);
    return upload;
  }

  /**
   * Order matters: abort what could still be completed, look, then complete. Of two that do this at once, each aborts the
   * other before it looks, so that at most one of them finds its upload when it completes.
   */
  async #completeFenced(
    full: string,
    upload: string,
    parts: Parameters<S3Uploads['complete']>[2],
    signal?: AbortSignal,
  ): Promise<'completed' | 'exists' | 'gone'> {
    await this.#fence(full, upload, signal);
    return this.#completeBehindFence(full, upload, parts, signal);
  }

  /** Aborts every other upload to a key, so that none of them can be completed any more. */
  async #fence(full: string, upload: string, signal?: AbortSignal): Promise<void> {
    const { uploads } = await this.#uploads.list(full, signal);
    const others = uploads.filter(({ key, id }) => key === full && id !== upload);
    // What stands there may still be in the making, by one of these: they are left alone then.
    if (others.length === 0 || (await this.#stands(full, signal))) return;
    for (const { id } of others) await this.#uploads.abort(full, id, signal);
    if (others.length > 0) {
      const left = (await this.#uploads.list(full, signal)).uploads;
      if (left.some(({ id }) => others.some((other) => other.id === id))) {
        throw remoteError('store', 'publish', `${this.#bucket.uri}${full}`, {
          kind: 'busy',
          reason: 'an upload that was aborted is still there',
        });
      }
    }
  }

  async #completeBehindFence(
    full: string,
    upload: string,
    parts: Parameters<S3Uploads['complete']>[2],
    signal?: AbortSignal,
  ): Promise<'completed' | 'exists' | 'gone'> {
    if (await this.#stands(full, signal)) return 'exists';
    const outcome = await this.#uploads.complete(full, upload, parts, false, signal);
    return outcome === 'unsupported' ? 'gone' : outcome;
  }

  // ── conditions ─────────────────────────────────────────────────────────────────────────────────────────────────

  get #placeKey(): string {
    const { endpoint, bucket } = this.#spec.address;
    return `${endpoint ?? 'aws'} ${bucket}`;
  }

  #conditions(signal?: AbortSignal): Promise<Conditions> {
    this.#probing ??= this.#probe(signal).catch((error: unknown) => {
      this.#probing = null;
      throw error;
    });
    return this.#probing;
  }

  /** Creates the same key twice, both ways, as a copier and its rival would, in keys of its own that it removes. */
  async #probe(signal?: AbortSignal): Promise<Conditions> {
    await this.#bucket.check(this.prefix, signal);
    const base = `${this.prefix}${PROBES}${randomLabel()}`;
    const small = `${base}.create`;
    const large = `${base}.publish`;
    try {
      const puts = [
        await this.#put(small, Buffer.from('probe'), signal),
        await this.#put(small, Buffer.from('again'), signal),
      ];
      const create = puts[0] === 'created' && puts[1] === 'exists';
      const publish = await this.#refusesSecondUpload(large, signal);
      const found = { create, publish };
      await this.#remember(found);
      return found;
    } finally {
      // Not the signal's business: what was put there is taken away.
      for (const key of [small, large]) await this.#remove(key).catch(() => undefined);
    }
  }

  /**
   * Whether the second of two uploads is refused. Both are begun before either is completed, as two copiers or a dead
   * one and its successor do: a store may remember the condition for uploads that are begun later, and only for those.
   */
  async #refusesSecondUpload(full: string, signal?: AbortSignal): Promise<boolean> {
    const uploads = [await this.#uploads.begin(full, signal), await this.#uploads.begin(full, signal)];
    const open = new Set(uploads);
    try {
      const outcomes: Completed[] = [];
      for (const upload of uploads) {
        const part = await this.#uploads.part(full, upload, 1, Buffer.from(`probe ${upload}`), signal);
        if (part === null) return false;
        const outcome = await this.#uploads.complete(full, upload, [part], true, signal);
        if (outcome === 'completed') {
          if ((await this.#whose(full, [part], signal)) === 'nothing')
            throw untrue('publish', `${this.#bucket.uri}${full}`);
          open.delete(upload);
        }
        outcomes.push(outcome);
      }
      return outcomes[0] === 'completed' && outcomes[1] === 'exists';
    } finally {
      for (const upload of open) await this.#uploads.abort(full, upload).catch(() => undefined);
    }
  }

  /** Only what a probe put there. */
  async #remove(full: string): Promise<void> {
    const { DeleteObjectCommand } = await s3Sdk();
    const bucket = this.#bucket;
    await bucket.call('remove', full, (client, options) =>
      client.send(new DeleteObjectCommand({ ...bucket.common, Key: full }), options),
    );
  }

  async #remembered(): Promise<Record<string, Conditions>> {
    const { stateDir } = this.#spec;
    if (stateDir === null) return {};
    try {
      const bytes = await readSmall(this.#files, join(stateDir, CONDITIONS_FILE), LIMIT);
      return bytes === null ? {} : conditionsSchema.parse(parseJson(bytes));
    } catch {
      // Only what `plan` says; the next probe writes it again.
      return {};
    }
  }

  async #remember(found: Conditions): Promise<void> {
    const { stateDir } = this.#spec;
    if (stateDir === null) return;
    const known = await this.#remembered();
    const before = known[this.#placeKey];
    if (before?.create === found.create && before.publish === found.publish) return;
    const bytes = prettyJson({ ...known, [this.#placeKey]: found });
    try {
      await ensureFolder(this.#files, stateDir);
      await replaceFile(this.#files, stateDir, CONDITIONS_FILE, bytes);
    } catch {
      // Only what `plan` says. Another copier may be writing it; a folder that cannot be written fails elsewhere.
    }
  }
}

/** Turns in which somebody else's fence may take an upload of ours. */
const FENCE_ATTEMPTS = 5;

const gone = (key: string, why: string): BronzeError =>
  new BronzeError('STAGED_GONE', `what was staged for ${key} cannot be used: ${why}`, { details: { object: key } });
