/**
 * JSON as bytes. It must never accept bytes that are not UTF-8: two files that differ would read the same.
 */

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text of UTF-8 bytes; a byte-order mark is kept, so that JSON refuses it. Throws TypeError for anything else. */
export const decodeUtf8 = (bytes: Uint8Array): string => utf8.decode(bytes);

/** The value in the bytes, or a plain Error that says in a few words what they are instead. */
export function parseJson(bytes: Uint8Array): unknown {
  if (bytes.length === 0) throw new Error('it is empty');
  let text: string;
  try {
    text = decodeUtf8(bytes);
  } catch {
    throw new Error('it is not UTF-8');
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`it is not JSON (${error instanceof Error ? error.message : String(error)})`);
  }
}

/** JSON as this program stores it: two blanks of indent, a newline at the end, keys in the order of the object. */
export const prettyJson = (value: unknown): Uint8Array => Buffer.from(`${JSON.stringify(value, null, 2)}\n`);
