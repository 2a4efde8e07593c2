/**
 * Signed notes (c2sp.org/signed-note): a text, a blank line, one line per signature. Pure.
 * It must never give out a text that no known key has signed, nor one that a known key's signature does not fit.
 */
import { decodeUtf8 } from '../json.ts';
import { exactBase64, isKeyName, type SigningKey, type VerifierKey } from './keys.ts';

/** Bytes. Heads have a few hundred; post-quantum signatures of others may come to 5 kB each. */
const NOTE_LIMIT = 128 * 1024;
const DASH = '\u2014';
const ID_BYTES = 4;

export interface NoteSignature {
  readonly name: string;
  /** Four bytes in hex. */
  readonly id: string;
  readonly signature: Buffer;
}

/** A note as it is written: nothing of it is believed yet. */
export interface Note {
  /** With its last newline. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

const line = (key: SigningKey, text: string): string => {
  const { name, id } = key.verifier;
  return `${DASH} ${name} ${Buffer.concat([Buffer.from(id, 'hex'), key.sign(text)]).toString('base64')}\n`;
};

/** Signs a text that ends in a newline, with each key. */
export const signNote = (text: string, keys: readonly SigningKey[]): string =>
  `${text}\n${keys.map((key) => line(key, text)).join('')}`;

function signatureIn(text: string): NoteSignature {
  const [dash, name = '', encoded = '', ...more] = text.split(' ');
  const bytes = exactBase64(encoded);
  if (dash !== DASH || !isKeyName(name) || more.length > 0 || bytes === null || bytes.length <= ID_BYTES) {
    throw new Error('a line below its text is no signature');
  }
  return { name, id: bytes.toString('hex', 0, ID_BYTES), signature: bytes.subarray(ID_BYTES) };
}

/** Reads a note. Throws a plain Error that says why it is none. */
export function parseNote(bytes: Uint8Array): Note {
  if (bytes.length > NOTE_LIMIT) throw new Error(`it has ${bytes.length} bytes, more than the ${NOTE_LIMIT} of a note`);
  let whole: string;
  try {
    whole = decodeUtf8(bytes);
  } catch {
    throw new Error('it is not UTF-8');
  }
  if ([...whole].some((each) => each < ' ' && each !== '\n')) throw new Error('it has control characters');
  const at = whole.lastIndexOf('\n\n');
  if (at < 0) throw new Error('no blank line is between its text and its signatures');
  if (!whole.endsWith('\n')) throw new Error('it does not end with a newline');
  const signatures = whole
    .slice(at + 2, -1)
    .split('\n')
    .map(signatureIn);
  return { text: whole.slice(0, at + 1), signatures };
}

/**
 * Who of these keys has signed a note. Signatures of other keys are passed over, as C2SP says. Throws a plain Error where
 * the signature of one of them is false, or none of them has signed.
 */
export function signersOf(note: Note, keys: readonly VerifierKey[]): VerifierKey[] {
  const known = note.signatures.flatMap(({ name, id, signature }) =>
    keys.filter((key) => key.name === name && key.id === id).map((key) => ({ key, signature })),
  );
  const wrong = known.find(({ key, signature }) => !key.verifies(note.text, signature));
  if (wrong !== undefined) throw new Error(`the signature by ${wrong.key} is false`);
  if (known.length === 0) throw new Error('none of the keys has signed it');
  return known.map(({ key }) => key);
}
