/**
 * What is signed of a log: its head (c2sp.org/tlog-checkpoint), and the proof that something is in it
 * (c2sp.org/tlog-proof). Text to data and back; nothing is believed here. Pure.
 * It must never read two texts as the same head or the same proof.
 */
import { exactBase64 } from './keys.ts';
import { type Note, parseNote } from './note.ts';
import { HASH_BYTES } from './tree.ts';

/** The head of a log: its first `size` leaves have this root. */
export interface Head {
  readonly origin: string;
  readonly size: number;
  readonly root: Buffer;
}

export interface SignedHead extends Head {
  readonly note: Note;
}

/** The text that is signed. */
export const headText = ({ origin, size, root }: Head): string => `${origin}\n${size}\n${root.toString('base64')}\n`;

function countOf(text: string | undefined, what: string): number {
  const count = Number(text);
  if (text === undefined || !/^(?:0|[1-9]\d{0,15})$/.test(text) || !Number.isSafeInteger(count)) {
    throw new Error(`its ${what} is no number`);
  }
  return count;
}

function hashOf(text: string | undefined, what: string): Buffer {
  const bytes = exactBase64(text ?? '');
  if (bytes === null || bytes.length !== HASH_BYTES) throw new Error(`its ${what} is no SHA-256 in base64`);
  return bytes;
}

/** Reads a signed head. Throws a plain Error that says why it is none. */
export function parseHead(bytes: Uint8Array): SignedHead {
  const note = parseNote(bytes);
  const [origin = '', size, root, ...more] = note.text.slice(0, -1).split('\n');
  if (origin === '') throw new Error('it names no origin');
  // C2SP allows lines after these and recommends against them: nobody can audit what they say.
  if (more.length > 0) throw new Error('it has lines after its root hash');
  return { origin, size: countOf(size, 'tree size'), root: hashOf(root, 'root hash'), note };
}

const FIRST_LINE = 'c2sp.org/tlog-proof@v1';

/** That something is a leaf of a log. */
export interface TlogProof {
  readonly index: number;
  /** From the leaf's sibling up. */
  readonly path: readonly Buffer[];
  readonly head: SignedHead;
}

/** `head`: the signed note, as it is stored. */
export const tlogProofText = (of: { index: number; path: readonly Uint8Array[]; head: string }): string =>
  `${[FIRST_LINE, `index ${of.index}`, ...of.path.map((node) => Buffer.from(node).toString('base64'))].join('\n')}\n\n${of.head}`;

/** Reads a proof without extra data. Throws a plain Error that says why it is none. */
export function parseTlogProof(text: string): TlogProof {
  const at = text.indexOf('\n\n');
  if (at < 0) throw new Error('no empty line is between its path and its head');
  const [first, index, ...path] = text.slice(0, at).split('\n');
  if (first !== FIRST_LINE) throw new Error(`it does not begin with ${FIRST_LINE}`);
  if (!index?.startsWith('index ')) throw new Error('its second line is not its index');
  return {
    index: countOf(index.slice('index '.length), 'index'),
    path: path.map((node) => hashOf(node, 'path')),
    head: parseHead(Buffer.from(text.slice(at + 2))),
  };
}
