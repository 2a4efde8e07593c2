#!/usr/bin/env node
/**
 * The binary. Parses, loads the command's code, runs it, and turns errors into one clear message and an exit code.
 * No stack trace unless BRONZE_DEBUG is set.
 */
import { keepHeapsSmall } from '../actors/threads/heaps.ts';
import { CODES } from '../machines/errors.ts';
import { parse } from './cli/parse.ts';
import { END_PATIENCE_MS, endForSure } from './last-resort.ts';
import { printError } from './print-error.ts';
import { PRODUCER } from './version.ts';

async function main(): Promise<number> {
  const parsed = parse(process.argv.slice(2), PRODUCER.version);
  if (!parsed) return 0;
  const { execute } = await parsed.command.load();
  return execute(parsed.answer);
}

// A reader that went away (`| head`) ends neither the work nor changes how it came out.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

keepHeapsSmall();
try {
  process.exitCode = await main();
} catch (error) {
  const code = printError(error);
  process.exitCode = CODES[code].exit;
}

// Everything is said and done: what is still open now is a call that hangs, or a connection that nobody needs.
setTimeout(() => {
  endForSure();
  process.exit();
}, END_PATIENCE_MS).unref();
