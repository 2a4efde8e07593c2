/**
 * Bytes of a configuration file to text. It must never repair: a file that is not UTF-8 has a mistake in it, and a
 * replacement character inside a path or a label would only be found much later.
 */
import type { Problem } from './problems.ts';
import { notUnderstood, type Reading } from './yaml-source.ts';

const LINE_FEED = 0x0a;

function unusable(file: string, line: number, message: string, found: string): { readonly reading: Reading } {
  const origin = { kind: 'file', file, line, column: 1 } as const;
  const problem: Problem = { origin, key: '', message, expected: 'text in UTF-8', found };
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

/** The text, without a byte order mark; or, for what is no UTF-8, a reading that says so. */
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
  return { text: new TextDecoder('utf-8').decode(bytes) };
}
