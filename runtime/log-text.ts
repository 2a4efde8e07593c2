/**
 * A log line for a person: time, level, era, ledgers, what happened, in what time; below an error what to do about it.
 * What only programs use (ids, network, component) is left to the JSON. It does not throw: a line that cannot be read
 * is printed as it is.
 */
import { CODES, type ErrorCode, type Failure } from '../machines/errors.ts';
import { counted, durationText, grouped, megabytes, printable } from './human.ts';
import { errorText } from './print-error.ts';

type Line = Readonly<Record<string, unknown>>;

const COLOURS: Readonly<Record<string, number>> = { debug: 2, info: 32, warn: 33, error: 31, fatal: 31 };

/** How a field is said, in this order; of what is not here, name and value. */
const SAID: Readonly<Record<string, (value: never) => string>> = {
  ledgers: (n: number) => counted(n, 'ledger'),
  partitions: (n: number) => counted(n, 'partition'),
  ledgers_per_second: (n: number) => `${grouped(n)} ledgers/s`,
  mb_per_second: (n: number) => `${n} MB/s`,
  eta_seconds: (n: number) => (n === null ? 'time left unknown' : `${durationText(n)} left`),
  retries: (n: number) => counted(n, 'retry', 'retries'),
  bytes: megabytes,
  attempt: (n: number) => `attempt ${n}`,
  worker_id: (n: string) => `worker ${n}`,
  next_ledger: (n: number) => `next ledger ${n}`,
  left_out: (n: number) => `${n} like it left out`,
  dump: (path: string) => `details in ${path}`,
};

/** Said elsewhere in the line, or for programs only. */
const UNSAID = new Set(
  (
    'level time msg copier_id component correlation_id era_id version_label network ledger_start ledger_end run_id ' +
    'duration_ms error code retryable retryAfterMs ledger object check expected found hint step trace url'
  ).split(' '),
);

const isEmpty = (value: unknown): boolean => value === undefined || value === '';

/** What happened, without what stands before it already. */
function eventOf(line: Line): { event: string; without: readonly string[] } {
  if (line.msg === 'attempt failed') return { event: `attempt ${line.attempt ?? 1} failed`, without: ['attempt'] };
  if (line.msg === 'a step failed') return { event: `${line.step ?? 'a step'} failed`, without: ['attempt'] };
  if (line.component === 'progress' || line.component === 'era') {
    return { event: String(line.msg).replace(/^era /, ''), without: [] };
  }
  const event = line.ledger_start === undefined ? String(line.msg) : String(line.msg).replace(/^partition /, '');
  return { event, without: [] };
}

function valueText(name: string, value: unknown): string {
  const said = SAID[name];
  if (said) return said(value as never);
  if (name === 'waiting') return String(value);
  return `${name.replaceAll('_', ' ')} ${Array.isArray(value) ? value.join(', ') : typeof value === 'object' ? JSON.stringify(value) : value}`;
}

/** Below the line: of an error all that is known, of what is tried again only what to do. */
function below(line: Line): string[] {
  const { code, error, level } = line;
  const lines: string[] = [];
  if (typeof code === 'string' && code in CODES && level === 'error') {
    const failure = { ...line, code: code as ErrorCode, message: String(error) } as unknown as Failure;
    lines.push(...errorText(failure).trimEnd().split('\n').slice(1));
  } else if (typeof line.hint === 'string') lines.push(`  what to do: ${printable(line.hint)}`);
  if (typeof line.trace === 'string') lines.push(...line.trace.split('\n').map((each) => `  ${printable(each)}`));
  return lines.map((each) => `         ${each.trimEnd()}\n`);
}

function format(line: Line, colour: boolean): string {
  const level = String(line.level);
  const at = new Date(String(line.time));
  const time = Number.isNaN(at.getTime()) ? '' : at.toTimeString().slice(0, 8);
  const { ledger_start: start, ledger_end: end, era_id: eraId, duration_ms: took, error, code } = line;
  const { event, without } = eventOf(line);
  const subject = [eraId, start === undefined ? undefined : `${start}..${end}`].filter((part) => !isEmpty(part));
  const hidden = [
    ...without,
    ...(level === 'debug' ? [] : ['worker_id']),
    ...(line.component === 'progress' ? [] : ['waiting']),
  ];
  const rest = [...Object.keys(SAID), ...Object.keys(line).filter((name) => !(name in SAID) && !UNSAID.has(name))]
    .filter((name) => name in line && !hidden.includes(name) && !isEmpty(line[name]))
    .filter((name) => name !== 'attempt' || line[name] !== 1)
    .map((name) => valueText(name, line[name]));
  const text =
    [...subject, event].join(' ') +
    (typeof took === 'number' ? ` ${error === undefined ? 'in' : 'after'} ${durationText(took / 1_000)}` : '') +
    (isEmpty(error) ? '' : `: ${error}${isEmpty(code) ? '' : ` (${code})`}`) +
    (rest.length > 0 ? `${line.msg === 'progress' ? ':' : ','} ${rest.join(', ')}` : '');
  const label = level.padEnd(5);
  return `${time} ${colour ? `\x1b[${COLOURS[level] ?? 0}m${label}\x1b[0m` : label} ${printable(text)}\n${below(line).join('')}`;
}

/** `json`: a line as pino writes it. With its end of line; several lines where an error has more to say. */
export function logText(json: string, colour: boolean): string {
  try {
    return format(JSON.parse(json) as Line, colour);
  } catch {
    return json;
  }
}
