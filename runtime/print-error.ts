/**
 * An error for a person: code, what, where, what to do. One place, so that every command says it the same way.
 */
import { type ErrorCode, type Failure, toFailure } from '../machines/errors.ts';
import { printable } from './human.ts';
import { say } from './streams.ts';

/** Lines for standard error. Values of `details` are data of the user's; nothing of the environment is printed. */
export function errorText(failure: Failure): string {
  // Its message lists every problem with its place, a line each; the details would repeat the first one.
  if (failure.code === 'CONFIG_INVALID') {
    const problems = failure.message.split('\n').map(printable);
    return `${failure.code}: ${problems.join('\n')}\n  see docs/configuration.md\n`;
  }
  const lines = [`${failure.code}: ${failure.message}`];
  if (failure.object !== undefined) lines.push(`  object: ${failure.object}`);
  if (failure.check !== undefined) lines.push(`  check: ${failure.check}`);
  if (failure.expected !== undefined) lines.push(`  expected: ${failure.expected}`);
  if (failure.found !== undefined) lines.push(`  found: ${failure.found}`);
  const hint = unsaidHint(failure);
  if (hint !== null) lines.push(`  what to do: ${hint}`);
  lines.push(`  see docs/errors.md, ${failure.code}`);
  return `${lines.map(printable).join('\n')}\n`;
}

/** What to do, where the message does not say it already, as many do. */
export const unsaidHint = ({ message, hint }: Pick<Failure, 'message' | 'hint'>): string | null =>
  hint === undefined || message.includes(hint) ? null : hint;

/** Prints any thrown value and returns its code. */
export function printError(error: unknown): ErrorCode {
  const failure = toFailure(error);
  say(errorText(failure));
  if (process.env.BRONZE_DEBUG && error instanceof Error) say(`${error.stack ?? ''}\n`);
  return failure.code;
}
