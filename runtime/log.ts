/**
 * Logs: pino, one JSON object a line, or text for people. Field names are the contract's (section 11).
 * A log line never carries a secret: what is logged is named field by field, never a configuration as a whole.
 */
import { createRequire } from 'node:module';
import { type DestinationStream, destination, type Logger, pino } from 'pino';
import type { PinoPretty } from 'pino-pretty';

export type { Logger };

/** Loaded only where people read the logs: it would be a good part of every start. */
const loadPretty = () => createRequire(import.meta.url)('pino-pretty') as typeof PinoPretty;

export interface LogSettings {
  readonly format: 'json' | 'text';
  readonly level: string;
  /** With `--json`, standard output belongs to the answer and logs go to standard error. */
  readonly to: 'stdout' | 'stderr';
  readonly copierId?: string;
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
  const stream: DestinationStream =
    settings.format === 'json'
      ? out
      : loadPretty()({
          destination: out,
          sync: true,
          colorize: process.env.NO_COLOR === undefined && (fd === 1 ? process.stdout : process.stderr).isTTY === true,
          translateTime: 'SYS:HH:MM:ss',
          ignore: 'pid,hostname,component,copier_id,correlation_id,network,version_label',
          errorLikeObjectKeys: [],
          messageFormat: '{component} {msg}',
          hideObject: false,
          singleLine: true,
        });
  return pino(
    {
      level: settings.level,
      base: settings.copierId === undefined ? {} : { copier_id: settings.copierId },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  );
}
