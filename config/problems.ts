/**
 * What can be wrong with a configuration, as data: where it stands, what was expected, what was found, what was meant.
 * Whoever makes a Problem puts in `found` only what may be shown: no secret.
 */
import { distance } from 'fastest-levenshtein';
import { BronzeError } from '../machines/errors.ts';

/** Where a value (or its absence) was written. `line` and `column` count from 1. */
export type Origin =
  | { readonly kind: 'file'; readonly file: string; readonly line: number; readonly column: number }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'flag'; readonly name: string }
  /** Nowhere: a required key that neither file nor environment nor flag gives. */
  | { readonly kind: 'missing' };

/** One mistake. Two mistakes in one line are two problems; one mistake is never reported twice. */
export interface Problem {
  readonly origin: Origin;
  /** Dotted, with list indexes: `eras[0].partition_size`; empty for the file as a whole. */
  readonly key: string;
  /** What is wrong, in a few words. */
  readonly message: string;
  readonly expected: string;
  /** What was written; secrets are masked. */
  readonly found: string;
  /** The known key or name that comes closest to an unknown one. */
  readonly nearest?: string;
}

/** Thrown by the loader with every problem at once; `message` holds them all, one a line. */
export class ConfigError extends BronzeError {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    const first = problems[0];
    super('CONFIG_INVALID', `the configuration has ${countOf(problems)}:\n${formatProblems(problems)}`, {
      details:
        first === undefined
          ? {}
          : {
              ...(first.origin.kind === 'file' ? { object: first.origin.file } : {}),
              check: first.key,
              expected: first.expected,
              found: first.found,
            },
    });
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

const countOf = (problems: readonly Problem[]): string =>
  problems.length === 1 ? '1 problem' : `${problems.length} problems`;

/** `bronze.yaml:12:5`, `LEDGER_START (environment)`, `--eras`, or that nothing was given at all. */
export function formatOrigin(origin: Origin): string {
  switch (origin.kind) {
    case 'file':
      return `${origin.file}:${origin.line}:${origin.column}`;
    case 'variable':
      return `${origin.name} (environment)`;
    case 'flag':
      return origin.name;
    case 'missing':
      return '(not given)';
  }
}

/** One problem in one line, in the `file:line:column: …` form that editors and CI systems turn into links. */
export function formatProblem(problem: Problem): string {
  const key = problem.key === '' ? '' : ` ${problem.key}:`;
  const nearest = problem.nearest === undefined ? '' : `; nearest: ${problem.nearest}`;
  const found = problem.found === '' ? '' : `, found ${problem.found}`;
  return `${formatOrigin(problem.origin)}:${key} ${problem.message}; expected ${problem.expected}${found}${nearest}`;
}

/** All problems, one a line, without a newline at the end. */
export function formatProblems(problems: readonly Problem[]): string {
  const shown = problems.slice(0, SHOWN_PROBLEMS).map(formatProblem);
  const left = problems.length - shown.length;
  return [...shown, ...(left > 0 ? [`and ${left} more`] : [])].join('\n');
}

/** Problems that are printed; who has more begins with these. */
const SHOWN_PROBLEMS = 200;

const RANK = { file: 0, variable: 1, flag: 2, missing: 3 } as const;

/** Problems of the file by line, then those of the environment, of flags, and what is missing altogether. */
export function sortProblems(problems: readonly Problem[]): Problem[] {
  return [...problems].sort((a, b) => {
    if (a.origin.kind === 'file' && b.origin.kind === 'file') {
      return a.origin.line - b.origin.line || a.origin.column - b.origin.column;
    }
    return RANK[a.origin.kind] - RANK[b.origin.kind];
  });
}

/** Longest excerpt of a value that a message shows; more helps nobody find it. */
export const SHOWN = 80;

/** A written value, quoted so that blanks and line ends in it can be seen. */
export function quote(text: string): string {
  return JSON.stringify(text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text);
}

/** Spelling without what people mix up: case, dashes, underscores (`partitionSize`, `partition-size`). */
const plain = (name: string): string =>
  name
    .slice(0, 2 * SHOWN)
    .toLowerCase()
    .replaceAll(/[-_ ]/g, '');

/** How far two names are apart, 0 = same but for case and separators. */
export function apart(a: string, b: string): number {
  return distance(plain(a), plain(b));
}

/** The candidate that comes closest to `name`; undefined only where there are no candidates. */
export function nearestOf(name: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  for (const candidate of candidates) {
    if (best === undefined || apart(name, candidate) < apart(name, best)) best = candidate;
  }
  return best;
}
