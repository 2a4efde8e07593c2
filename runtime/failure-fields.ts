/**
 * An error as fields of a log line: what is in a Failure, and where it was thrown. Everything passes the mask for secrets
 * once more: what other people's libraries put into their messages is not known here.
 */
import { redactSecrets } from '../config/secrets.ts';
import type { Failure } from '../machines/errors.ts';

/** Causes of causes that are followed. */
const DEEPEST = 4;
/** Characters of a trace that are kept. */
const KEPT_TRACE = 4_000;

/** `start` and `end` are left out: they stand in `ledger_start` and `ledger_end`. */
export function failureFields(failure: Failure): Record<string, unknown> {
  const { message, start: _start, end: _end, ...rest } = failure;
  const fields = Object.entries({ error: message, ...rest });
  return Object.fromEntries(
    fields.map(([name, value]) => [name, typeof value === 'string' ? redactSecrets(value) : value]),
  );
}

/** Of `inspect`'s account: messages and frames, not the properties of an error, which may hold a request's headers. */
const IS_TRACE = /^\s*(?:at |(?:\[cause\]: )?(?:\w+\.)*\w*Error\b)/;

const IS_FRAME = /^\s*at /;

/** Where an error was thrown, that of its causes as well; a thread's own account is one of them. */
export function traceOf(error: unknown): string {
  const lines: string[] = [];
  for (let each = error, depth = 0; each instanceof Error && depth < DEEPEST; each = each.cause, depth++) {
    const own = (each.stack ?? `${each.name}: ${each.message}`)
      .split('\n')
      .filter((line) => IS_TRACE.test(line))
      // Line by line: the mask takes everything up to the last @, and folders of packages begin with one.
      .map((line) => (IS_FRAME.test(line) ? line : redactSecrets(line)).replace(/ \{$/, ''));
    lines.push(...own.map((line, n) => (n === 0 && depth > 0 ? `caused by ${line.trim()}` : line)));
  }
  return lines.join('\n').slice(0, KEPT_TRACE);
}
