/**
 * A configuration file to text. Nothing is repaired: a file that is not UTF-8 has a mistake in it, and a replacement
 * character inside a path or a label would only be found much later. Nor must it wait, or read without end: a pipe, a
 * device and a file of gigabytes are refused, and what would keep a YAML parser busy for minutes.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { Problem } from './problems.ts';
import { notUnderstood, type Reading } from './yaml-source.ts';

const LINE_FEED = 0x0a;

/** Bytes of the largest configuration that is read: hundreds of eras, each with every key and a comment. */
export const CONFIG_LIMIT = 256 * 1024;
/** Lines, and characters in one: of what is longer, the time that it takes to parse grows with the square. */
const LINES = 10_000;
const LINE_LENGTH = 4096;
/** Brackets, dashes and colons in each other; three are enough for any configuration. */
const DEPTH = 32;

/**
 * Bytes of an ordinary file of at most `limit` bytes. It never blocks.
 * @throws Error of the operating system, or one that says in a few words what stands there instead.
 */
export function readOrdinaryFile(name: string, limit: number): Buffer {
  // Without O_NONBLOCK, opening a pipe waits for its writer.
  const fd = openSync(name, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    const found = fstatSync(fd);
    if (!found.isFile()) throw new Error(`${name} is ${kindOf(found)}, and not an ordinary file`);
    // Files of /proc say that they are empty.
    const room = Buffer.alloc(Math.min(Math.max(found.size, 4096), limit) + 1);
    let length = 0;
    while (length < room.length) {
      const read = readSync(fd, room, length, room.length - length, null);
      if (read === 0) break;
      length += read;
    }
    if (found.size > limit || length > limit) {
      throw new Error(`${name} has ${Math.max(found.size, length)} bytes, and at most ${limit} are read`);
    }
    return room.subarray(0, length);
  } finally {
    closeSync(fd);
  }
}

function kindOf(found: ReturnType<typeof fstatSync>): string {
  if (found.isDirectory()) return 'a folder';
  if (found.isFIFO()) return 'a pipe';
  if (found.isSocket()) return 'a socket';
  return 'a device';
}

/** What of a text would take a parser minutes, or all of its stack; null where there is nothing. */
function excessIn(text: string): { line: number; message: string; expected: string; found: string } | null {
  let depth = 0;
  let line = 0;
  for (let start = 0; start < text.length; ) {
    line += 1;
    const feed = text.indexOf('\n', start);
    const end = feed < 0 ? text.length : feed;
    const one = (message: string, expected: string, found: string) => ({ line, message, expected, found });
    if (line > LINES) return one('too many lines', `at most ${LINES} lines`, 'more');
    if (end - start > LINE_LENGTH) {
      return one('a line that is too long', `at most ${LINE_LENGTH} characters a line`, `${end - start} characters`);
    }
    // In a comment or in quotes they mean nothing, but nobody writes so many of them there either.
    let inLine = 0;
    for (let at = start; at < end; at++) {
      const char = text[at];
      if (char === '[' || char === '{') depth += 1;
      else if (char === ']' || char === '}') depth = Math.max(0, depth - 1);
      else if ((char === '-' || char === '?' || char === ':') && ' \t\r'.includes(text[at + 1] ?? ' ')) inLine += 1;
      else if (char === '#' && inLine === 0 && text.slice(start, at).trim() === '') break;
      if (depth > DEPTH || inLine > DEPTH) {
        return one('nested too deeply', `at most ${DEPTH} values in each other`, 'more');
      }
    }
    start = end + 1;
  }
  return null;
}

function unusable(
  file: string,
  line: number,
  message: string,
  found: string,
  expected = 'text in UTF-8',
): { readonly reading: Reading } {
  const origin = { kind: 'file', file, line, column: 1 } as const;
  const problem: Problem = { origin, key: '', message, expected, found };
  return { reading: notUnderstood([problem]) };
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** First line that is not UTF-8. A line feed never stands inside a sequence of UTF-8, so lines can be told apart. */
function badLine(bytes: Uint8Array): number {
  let line = 1;
  for (let start = 0; start < bytes.length; line += 1) {
    const feed = bytes.indexOf(LINE_FEED, start);
    const end = feed < 0 ? bytes.length : feed;
    if (!isUtf8(bytes.subarray(start, end))) return line;
    start = end + 1;
  }
  return line;
}

/** The text, without a byte order mark; or, for what is no UTF-8 or more than any configuration, a reading that says so. */
export function decodeText(bytes: Uint8Array, file: string): { readonly text: string } | { readonly reading: Reading } {
  const mark = [bytes[0], bytes[1]];
  if ((mark[0] === 0xff && mark[1] === 0xfe) || (mark[0] === 0xfe && mark[1] === 0xff)) {
    return unusable(file, 1, 'wrong encoding', 'UTF-16');
  }
  if (!isUtf8(bytes)) return unusable(file, badLine(bytes), 'wrong encoding', 'bytes that are not UTF-8');
  const nul = bytes.indexOf(0);
  if (nul >= 0) {
    const line = bytes.subarray(0, nul).filter((byte) => byte === LINE_FEED).length + 1;
    return unusable(file, line, 'not text', 'a NUL byte');
  }
  const text = new TextDecoder('utf-8').decode(bytes);
  const excess = excessIn(text);
  return excess === null ? { text } : unusable(file, excess.line, excess.message, excess.found, excess.expected);
}
