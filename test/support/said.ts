/** What a command that runs inside the test's process prints: answers and lines, past the standard streams. */
import { vi } from 'vitest';

/** What was said since the last `taken()`. */
const words: string[] = [];

/** Instead of runtime/streams.ts, for `vi.mock`. */
export async function quietly(original: <T>() => Promise<T>): Promise<object> {
  const keep = vi.fn((text: string) => void words.push(text));
  return { ...(await original<object>()), say: keep, print: async (text: string) => keep(text) };
}

export const taken = (): string => words.splice(0).join('');
