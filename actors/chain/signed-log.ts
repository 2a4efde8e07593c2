/**
 * A signed log held against the newest of its heads, before anything is written: the newest beside the chain, and the newest
 * copy in the backup folder. It must never let a log pass that one of these contradicts, nor take a head for sound that none
 * of the known keys has signed.
 */
import { join } from 'node:path';
import { type ChainName, HEADS_FOLDER, headCopyFile, parseHeadName } from '../bronze/names.ts';
import { readSmall } from '../durable.ts';
import { errnoOf, fileError, realFiles } from '../files.ts';
import type { BronzeStore } from '../ports/store.ts';
import { EventTree, eventLeaf } from '../tlog/event-tree.ts';
import type { BackupFolder } from '../version-1/old-chain.ts';
import {
  assertHeadFits,
  assertSigned,
  COPY_LIMIT,
  type LogSigner,
  newestHead,
  readableHead,
  type StoredHead,
} from './log-heads.ts';

/** The newest copy of a head of a chain; null where there is none. Throws HEAD_INVALID, STATE_IO. */
async function newestCopy({ dir, chain, files = realFiles }: BackupFolder): Promise<StoredHead | null> {
  const folder = join(dir, HEADS_FOLDER);
  try {
    const sizes = (await files.readdir(folder)).flatMap(({ name }) => {
      const size = parseHeadName(name);
      return size !== null && name === headCopyFile(chain, size) ? [size] : [];
    });
    if (sizes.length === 0) return null;
    const size = Math.max(...sizes);
    const object = join(folder, headCopyFile(chain, size));
    const bytes = await readSmall(files, object, COPY_LIMIT);
    return bytes && { head: readableHead(bytes, object, size), bytes, object };
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null;
    throw fileError('state', 'read copies of heads in', folder, error);
  }
}

/** What is signed of a log, read before its events: a head is written after the last event that it is of. */
export class SignedLog {
  readonly tree: EventTree;
  /** Of the newest head beside the chain; null where there is none. */
  readonly newest: StoredHead | null;
  readonly #heads: readonly StoredHead[];
  readonly #signer: LogSigner;

  private constructor(signer: LogSigner, newest: StoredHead | null, copy: StoredHead | null) {
    this.#signer = signer;
    this.newest = newest;
    this.#heads = [newest, copy].filter((head) => head !== null);
    this.tree = new EventTree(this.#heads.map(({ head }) => head.size));
  }

  /** One listing of the heads; `backup`: where copies of them are. Throws HEAD_INVALID, STORE_*, STATE_IO. */
  static async open(
    place: { readonly store: BronzeStore; readonly chain: ChainName; readonly backup: BackupFolder | null },
    signer: LogSigner,
    signal?: AbortSignal,
  ): Promise<SignedLog> {
    // The copy first: it is written after the head.
    const copy = place.backup && (await newestCopy(place.backup));
    return new SignedLog(signer, await newestHead(place, signal), copy);
  }

  /** Takes in an event as it is stored, in any order. */
  note(sequence: number, bytes: Uint8Array): void {
    this.tree.note(sequence, eventLeaf(bytes));
  }

  /** Once all events are noted; `events`: how many there are. Throws HEAD_CONTRADICTS, HEAD_INVALID. */
  assertSound(events: number): void {
    const { origin } = this.#signer;
    for (const one of this.#heads) {
      assertHeadFits(one, { origin, root: this.tree.rootAt(one.head.size), events });
      assertSigned(one, this.#signer);
    }
  }
}
