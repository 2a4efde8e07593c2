/**
 * JSON as bytes. It must never accept what other programs may read as something else: bytes that are not UTF-8, so that
 * two files that differ would read the same, or an object that says the same key twice, of which each takes one.
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
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`it is not JSON (${error instanceof Error ? error.message : String(error)})`);
  }
  const twice = repeatedKey(text);
  if (twice !== null) throw new Error(`it says the key ${twice} twice in one object`);
  return value;
}

/** A string, or what opens, closes or separates. */
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],]/g;

/** The first key, as it is written, that an object of a text that is JSON has twice; null where none has. */
function repeatedKey(text: string): string | null {
  /** Keys of the objects that are open; null for arrays. */
  const open: (Set<string> | null)[] = [];
  let isKeyNext = false;
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === '{' || token === '[') open.push(token === '{' ? new Set() : null);
    else if (token === '}' || token === ']') open.pop();
    const keys = open.at(-1);
    if (token.startsWith('"') && isKeyNext && keys) {
      const key = String(JSON.parse(token));
      if (keys.has(key)) return token;
      keys.add(key);
    }
    isKeyNext = token === '{' || token === ',';
  }
  return null;
}

/** JSON as this program stores it: two blanks of indent, a newline at the end, keys in the order of the object. */
export const prettyJson = (value: unknown): Uint8Array => Buffer.from(`${JSON.stringify(value, null, 2)}\n`);
