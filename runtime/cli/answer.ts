/**
 * What was asked for on the command line, and how a command reads it. Throws USAGE; executes nothing.
 */
import { BronzeError } from '../../machines/errors.ts';

export interface Answer {
  readonly args: readonly string[];
  /** Values as they were written; `true`/`false` for switches; absent = not given. Keys as on the command line. */
  readonly options: Readonly<Record<string, string | boolean>>;
}

export const usage = (message: string, hint = 'bronze-copier --help lists commands and options'): BronzeError =>
  new BronzeError('USAGE', message, { details: { hint } });

/** A ledger sequence as written on the command line. */
export function ledgerOption(answer: Answer, name: string): number | null {
  const value = answer.options[name];
  if (value === undefined) return null;
  if (typeof value !== 'string' || !/^(0|[1-9]\d{0,9})$/.test(value) || Number(value) > 0xffff_ffff) {
    throw usage(`--${name} takes a ledger sequence (0 to 4294967295), not ${String(value)}`);
  }
  return Number(value);
}

export const textOption = (answer: Answer, name: string): string | undefined => {
  const value = answer.options[name];
  return typeof value === 'string' ? value : undefined;
};

export const switchOption = (answer: Answer, name: string): boolean => answer.options[name] === true;
