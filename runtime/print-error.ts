/**
 * An error for a person: code, what, where, what to do. One place, so that every command says it the same way.
 */
import { type ErrorCode, type Failure, toFailure } from '../machines/errors.ts';

/** Lines for standard error. Values of `details` are data of the user's; nothing of the environment is printed. */
export function errorText(failure: Failure): string {
  const lines = [`${failure.code}: ${failure.message}`];
  // Its message lists every problem with its place; the details would repeat the first one.
  if (failure.code === 'CONFIG_INVALID') return `${lines.join('\n')}\n  see docs/configuration.md\n`;
  if (failure.object !== undefined) lines.push(`  object: ${failure.object}`);
  if (failure.check !== undefined) lines.push(`  check: ${failure.check}`);
  if (failure.expected !== undefined) lines.push(`  expected: ${failure.expected}`);
  if (failure.found !== undefined) lines.push(`  found: ${failure.found}`);
  if (failure.hint !== undefined) lines.push(`  what to do: ${failure.hint}`);
  lines.push(`  see docs/errors.md, ${failure.code}`);
  return `${lines.join('\n')}\n`;
}

/** Prints any thrown value and returns its code. */
export function printError(error: unknown): ErrorCode {
  const failure = toFailure(error);
  process.stderr.write(errorText(failure));
  if (process.env.BRONZE_DEBUG && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`);
  return failure.code;
}
