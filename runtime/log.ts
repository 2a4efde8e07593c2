/**
 * Logs: pino, one JSON object a line, or text for people. Field names are the contract's (section 11).
 * A log line never carries a secret: what is logged is named field by field, never a configuration as a whole.
 */
import { isatty } from 'node:tty';
import { type Logger, pino } from 'pino';
import { isColourful } from './display.ts';
import { logText } from './log-text.ts';
import { ERR, lines, OUT } from './streams.ts';

export type { Logger };

export interface LogSettings {
  readonly format: 'json' | 'text';
  readonly level: string;
  /** With `--json`, standard output belongs to the answer and logs go to standard error. */
  readonly to: 'stdout' | 'stderr';
  readonly copierId?: string;
}

/** Writes between a display and what stands above it. */
type Above = (write: () => void) => void;

const plainly: Above = (write) => write();
let above: Above = plainly;

/** From now on log lines that go to a terminal are written by way of this; null: as they are. There is one terminal. */
export function shareTerminal(way: Above | null): void {
  above = way ?? plainly;
}

export function makeLogger(settings: LogSettings): Logger {
  const fd = settings.to === 'stdout' ? OUT : ERR;
  let isLost = false;
  let missing = 0;
  // A full log disk, a reader or a terminal that went away must not end the copy.
  const put = (text: string): void => {
    const problem = lines[fd].write(text);
    if (problem === null) {
      const before = missing;
      isLost = false;
      missing = 0;
      if (before > 0) log.warn({ component: 'log', lines: before }, 'lines of this log could not be written');
      return;
    }
    missing += 1;
    // Standard output is the answer's where logs go to standard error.
    if (!isLost && fd === OUT) {
      lines[ERR].write(
        `logs cannot be written: ${problem.message}; the work goes on, and lines that are lost are counted\n`,
      );
    }
    isLost = true;
  };
  const isTerminal = isatty(fd);
  const colour = isTerminal && isColourful();
  const write = (line: string): void => {
    const text = settings.format === 'json' ? line : logText(line, colour);
    if (isTerminal) above(() => put(text));
    else put(text);
  };
  const log = pino(
    {
      level: settings.level,
      base: settings.copierId === undefined ? {} : { copier_id: settings.copierId },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write },
  );
  return log;
}
