/**
 * SIGINT, SIGTERM and SIGHUP: the first asks for a drain, the second ends the process at once with 130.
 * It decides nothing else; what a drain means is the machines' business.
 */
import { exitForSure } from './last-resort.ts';
import { say } from './streams.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * A terminal that is closed hangs up twice: its shell tells its jobs, and the kernel does once the shell has ended. A
 * second SIGHUP within this time is of the same hang-up, ms.
 */
const HANG_UP_MS = 2_000;

/** Calls `drain` at the first signal. Returns a function that takes the handlers off again. */
export function onSignals(drain: (signal: string) => void): () => void {
  let asked: NodeJS.Signals | null = null;
  let askedAt = 0;
  const handle = (signal: NodeJS.Signals): void => {
    if (asked === null) {
      asked = signal;
      askedAt = performance.now();
      drain(signal);
      return;
    }
    if (signal === 'SIGHUP' && asked === 'SIGHUP' && performance.now() - askedAt < HANG_UP_MS) return;
    const what = signal === asked ? `${signal} again` : `${signal} after ${asked}`;
    say(`\n${what}: ending now; what is half done is finished by the next run\n`);
    exitForSure(130);
  };
  for (const signal of SIGNALS) process.on(signal, handle);
  return () => {
    for (const signal of SIGNALS) process.off(signal, handle);
  };
}
