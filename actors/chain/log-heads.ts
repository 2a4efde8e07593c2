/**
 * Signed heads of a chain's audit log, `_audit/heads/{tree size}` beside its events: found, read, and created if absent.
 * It must never replace a head, nor let one pass that says something else of the same events.
 */
import { join } from 'node:path';
import { BronzeError } from '../../machines/errors.ts';
import {
  type ChainName,
  chainKey,
  HEADS_FOLDER,
  headCopyFile,
  headKey,
  headsPrefix,
  parseHeadName,
} from '../bronze/names.ts';
import { createFile, ensureFolder, readSmall } from '../durable.ts';
import { fileError, realFiles } from '../files.ts';
import { killPoint } from '../kill-points.ts';
import { type Head, headText, parseHead, type SignedHead } from '../tlog/checkpoint.ts';
import type { SigningKey, VerifierKey } from '../tlog/keys.ts';
import { signersOf, signNote } from '../tlog/note.ts';
import type { BackupFolder } from '../version-1/old-chain.ts';
import type { ChainPlace } from './chain-place.ts';

/** Bytes. */
export const COPY_LIMIT = 1024 * 1024;

/** `{pas.origin}/{network}/{era_id}/{version_label}` */
export const logOrigin = (origin: string, chain: ChainName): string => `${origin}/${chainKey(chain)}`;

/** Who signs the log of a chain; keys are named like the log. */
export interface LogSigner {
  readonly key: SigningKey;
  readonly origin: string;
  /** Keys that signed before this one. */
  readonly former: readonly VerifierKey[];
}

/** A head as it is stored. Who signed it is for the reader to check. */
export interface StoredHead {
  readonly head: SignedHead;
  readonly bytes: Uint8Array;
  /** Its key in the store. */
  readonly object: string;
}

type Place = Pick<ChainPlace, 'store' | 'chain'>;

/** Reads a head. `size`: what its name says, where that is known. Throws HEAD_INVALID. */
export function readableHead(bytes: Uint8Array, object: string, size: number | null): SignedHead {
  const refuse = (why: string) =>
    new BronzeError('HEAD_INVALID', `the head ${object} cannot be used: ${why}`, {
      details: { object, hint: 'find out what changed it; heads are never overwritten' },
    });
  let head: SignedHead;
  try {
    head = parseHead(bytes);
  } catch (error) {
    throw refuse(error instanceof Error ? error.message : String(error));
  }
  if (size !== null && head.size !== size) throw refuse(`it is of ${head.size} events`);
  return head;
}

/** Sizes of the heads of a chain, the smallest first: one listing. Other names are passed over. Throws STORE_*. */
export async function listHeads({ store, chain }: Place, signal?: AbortSignal): Promise<number[]> {
  const prefix = headsPrefix(chain);
  const sizes = (await store.list(prefix, signal)).map(({ key }) => parseHeadName(key.slice(prefix.length)));
  return sizes.filter((size) => size !== null).sort((a, b) => a - b);
}

/** The head of a size; null where there is none. Throws HEAD_INVALID, STORE_*. */
export async function readHead(
  { store, chain }: Place,
  size: number,
  signal?: AbortSignal,
): Promise<StoredHead | null> {
  const object = headKey(chain, size);
  const bytes = await store.get(object, signal);
  return bytes && { head: readableHead(bytes, object, size), bytes, object };
}

/** The newest head of a chain; null where there is none. Throws HEAD_INVALID, STORE_*. */
export async function newestHead(place: Place, signal?: AbortSignal): Promise<StoredHead | null> {
  const size = (await listHeads(place, signal)).at(-1);
  return size === undefined ? null : readHead(place, size, signal);
}

const contradicts = (object: string, message: string, expected: string, found: string): BronzeError =>
  new BronzeError('HEAD_CONTRADICTS', message, {
    details: {
      object,
      expected,
      found,
      hint: 'events were changed or removed after they were signed (docs/anchors.md, "A head contradicts the events")',
    },
  });

/**
 * Throws HEAD_CONTRADICTS where a head that is there says something else than the events. `root`: of as many events as
 * the head is of; null where that cannot be told. `events`: how many there are.
 */
export function assertHeadFits(
  { head, object }: Pick<StoredHead, 'object'> & { readonly head: Head },
  has: { readonly origin: string; readonly root: Uint8Array | null; readonly events: number },
): void {
  if (head.origin !== has.origin) {
    const message = `${object} is a head of the log ${head.origin}, and pas.origin makes this one ${has.origin}`;
    throw contradicts(object, message, has.origin, head.origin);
  }
  if (head.size > has.events) {
    const message = `${object} is signed for ${head.size} events, and the chain has ${has.events}`;
    throw contradicts(object, message, `${head.size} events`, `${has.events}`);
  }
  if (has.root === null || head.root.equals(has.root)) return;
  const [expected, found] = [head.root.toString('base64'), Buffer.from(has.root).toString('base64')];
  throw contradicts(
    object,
    `${object} is signed for other events than the first ${head.size} of the chain`,
    expected,
    found,
  );
}

/** Throws HEAD_INVALID where a head is signed by neither the present key of its log nor one before it. */
export function assertSigned({ head, object }: Pick<StoredHead, 'head' | 'object'>, { key, former }: LogSigner): void {
  try {
    signersOf(head.note, [key.verifier, ...former]);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new BronzeError('HEAD_INVALID', `the head ${object} cannot be used: ${why}`, {
      details: {
        object,
        hint: 'if the key was replaced, name the old public key in pas.former_keys; else find out who wrote the head',
      },
    });
  }
}

/**
 * Signs the log as it stands, if no head of this size is there, and copies it to the backup folder. The same head twice is
 * no harm: a signature of Ed25519 follows from text and key. Throws HEAD_CONTRADICTS, HEAD_INVALID, STORE_*, STATE_IO.
 */
export async function createHead(
  place: Place & { readonly backup: BackupFolder | null },
  signer: LogSigner,
  log: { readonly size: number; readonly root: Buffer },
  signal?: AbortSignal,
): Promise<void> {
  const { key, origin } = signer;
  const { size, root } = log;
  const has = { origin, root, events: size };
  const head = { origin, size, root };
  killPoint('commit:before-head');
  const object = headKey(place.chain, size);
  const bytes = Buffer.from(signNote(headText(head), [key]));
  const isNew = (await place.store.create(object, bytes, signal)) === 'created';
  const there = isNew ? null : await readHead(place, size, signal);
  if (there !== null) {
    assertHeadFits(there, has);
    assertSigned(there, signer);
  } else if (!isNew) {
    throw new BronzeError('STORE_IO', `the head ${object} was written and cannot be read back`, {
      details: { object },
    });
  }
  killPoint('commit:after-head');
  if (place.backup !== null) assertHeadFits(await copyHead(place.backup, there ?? { head, bytes }), has);
}

/** Answers the head that stands under the name of the copy. */
async function copyHead(
  { dir, chain, files = realFiles }: BackupFolder,
  { head, bytes }: { readonly head: Head; readonly bytes: Uint8Array },
): Promise<Pick<StoredHead, 'object'> & { readonly head: Head }> {
  const folder = join(dir, HEADS_FOLDER);
  const name = headCopyFile(chain, head.size);
  const object = join(folder, name);
  try {
    await ensureFolder(files, folder);
    if (await createFile(files, folder, name, bytes)) return { head, object };
    const there = await readSmall(files, object, COPY_LIMIT);
    if (there === null) throw new Error(`${object} comes and goes`);
    return { head: readableHead(there, object, head.size), object };
  } catch (error) {
    throw fileError('state', 'write the copy of a head', object, error);
  }
}
