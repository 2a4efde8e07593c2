/**
 * What was asked for on the command line, and how a command reads it. Throws USAGE; executes nothing.
 */
import type { BucketAccess } from '../../actors/verify/chains.ts';
import { BronzeError } from '../../machines/errors.ts';

export interface CommandLine {
  readonly args: readonly string[];
  /** Values as they were written; `true`/`false` for switches; absent = not given. Keys as on the command line. */
  readonly options: Readonly<Record<string, string | boolean>>;
}

export const usage = (message: string, hint = 'bronze-copier --help lists commands and options'): BronzeError =>
  new BronzeError('USAGE', message, { details: { hint } });

/** A ledger sequence as written on the command line. */
export function ledgerOption(commandLine: CommandLine, name: string): number | null {
  const value = commandLine.options[name];
  if (value === undefined) return null;
  if (typeof value !== 'string' || !/^(0|[1-9]\d{0,9})$/.test(value) || Number(value) > 0xffff_ffff) {
    throw usage(`--${name} takes a ledger sequence (0 to 4294967295), not ${String(value)}`);
  }
  return Number(value);
}

export const textOption = (commandLine: CommandLine, name: string): string | undefined => {
  const value = commandLine.options[name];
  return typeof value === 'string' ? value : undefined;
};

export const switchOption = (commandLine: CommandLine, name: string): boolean => commandLine.options[name] === true;

/** How many organisations have to agree; null = not given. */
export function quorumOption(commandLine: CommandLine): number | null {
  const text = textOption(commandLine, 'quorum');
  if (text === undefined) return null;
  if (!/^[1-9]\d{0,3}$/.test(text)) throw usage(`--quorum takes a number of organisations, not ${text}`);
  return Number(text);
}

/** How a bucket is reached that a path names. */
export const accessOption = (commandLine: CommandLine): BucketAccess => ({
  s3Endpoint: textOption(commandLine, 's3-endpoint') ?? null,
  s3Region: textOption(commandLine, 's3-region') ?? null,
  anonymous: switchOption(commandLine, 'anonymous'),
});
