#!/usr/bin/env node
/**
 * The binary. Parses, loads the command's code, runs it, and turns errors into one clear message and an exit code.
 * No stack trace unless BRONZE_DEBUG is set.
 */
import { keepHeapsSmall } from '../actors/threads/heaps.ts';
import { CODES } from '../machines/errors.ts';
import { type Parsed, parse } from './cli/parse.ts';
import { END_PATIENCE_MS, exitForSure } from './last-resort.ts';
import { printError } from './print-error.ts';
import { guardStreams, print, READER_GONE, readerIsGone } from './streams.ts';
import { settleSurroundings } from './surroundings.ts';
import { PRODUCER } from './version.ts';

async function main(): Promise<number> {
  const { parsed, said } = heard(() =>
    parse(process.argv.slice(2), `${PRODUCER.version} (commit ${PRODUCER.git_sha})`),
  );
  if (!parsed) {
    await print(said);
    return 0;
  }
  const { execute } = await parsed.command.load();
  return execute(parsed.commandLine);
}

/** Help and version are cac's, which prints them by itself. */
function heard(parsing: () => Parsed | null): { readonly parsed: Parsed | null; readonly said: string } {
  const { info } = console;
  let said = '';
  console.info = (text: string) => {
    said += `${text}\n`;
  };
  try {
    const parsed = parsing();
    return { parsed, said };
  } finally {
    console.info = info;
  }
}

guardStreams();
settleSurroundings(process.env);
keepHeapsSmall();
try {
  const code = await main();
  process.exitCode = code === 0 && readerIsGone() ? READER_GONE : code;
} catch (error) {
  const code = printError(error);
  process.exitCode = CODES[code].exit;
}

// Everything is said and done: what is still open now is a call that hangs, or a connection that nobody needs.
setTimeout(() => exitForSure(), END_PATIENCE_MS).unref();
