/**
 * Logs: pino, one JSON object a line, or text for people. Field names are the contract's (section 11).
 * A log line never carries a secret: what is logged is named field by field, never a configuration as a whole.
 */
import { isatty } from 'node:tty';
import { destination, type Logger, pino } from 'pino';
import { isColourful } from './display.ts';
import { logText } from './log-text.ts';

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
  const fd = settings.to === 'stdout' ? 1 : 2;
  const out = destination({ fd, sync: true });
  let said = false;
  // A full log disk or a reader that went away must not end the copy.
  out.on('error', (error: Error) => {
    if (!said) process.stderr.write(`logs cannot be written any more: ${error.message}\n`);
    said = true;
  });
  const isTerminal = isatty(fd);
  const colour = isTerminal && isColourful();
  const write = (line: string): void => {
    const text = settings.format === 'json' ? line : logText(line, colour);
    if (isTerminal) above(() => out.write(text));
    else out.write(text);
  };
  return pino(
    {
      level: settings.level,
      base: settings.copierId === undefined ? {} : { copier_id: settings.copierId },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write },
  );
}
