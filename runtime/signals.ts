/**
 * SIGINT and SIGTERM: the first asks for a drain, the second ends the process at once with 130.
 * It decides nothing else; what a drain means is the machines' business.
 */
import { endForSure } from './last-resort.ts';

/** Calls `drain` at the first signal. Returns a function that takes the handlers off again. */
export function onSignals(drain: (signal: string) => void): () => void {
  let asked = false;
  const handle = (signal: NodeJS.Signals): void => {
    if (asked) {
      process.stderr.write(`\n${signal} again: ending now; what is half done is finished by the next run\n`);
      endForSure();
      process.exit(130);
    }
    asked = true;
    drain(signal);
  };
  process.on('SIGINT', handle);
  process.on('SIGTERM', handle);
  return () => {
    process.off('SIGINT', handle);
    process.off('SIGTERM', handle);
  };
}
