/**
 * Progress for people: on a terminal a few lines that are rewritten in place, without one a log line a minute.
 * It reads the observer and writes to standard error; it never slows the copy (one write a second).
 */
import type { EraSpec } from '../machines/protocol.ts';
import { Display, type DisplayLine, isDrawable, widthOf } from './display.ts';
import type { EraProgress } from './era-progress.ts';
import { figuresOf, waitWords } from './figures.ts';
import { counted, durationText, grouped } from './human.ts';
import { type Logger, shareTerminal } from './log.ts';
import type { Observer } from './observer.ts';

const TERMINAL_MS = 1_000;
const LOG_MS = 60_000;

const STATES: Readonly<Record<string, string>> = {
  recovering: 'starting',
  planning: 'starting',
  awaitingLedgers: 'following',
  crashed: 'starting',
};
const COLOURS: Readonly<Record<string, DisplayLine['colour']>> = { failed: 'red', done: 'green', drained: 'yellow' };

const stateOf = (era: EraProgress): string => era.outcome ?? STATES[era.state] ?? era.state;

/** As many parts as there is room for; never half of one but the first. */
function fitting(parts: readonly string[], columns: number): string {
  let text = parts[0] ?? '';
  for (const part of parts.slice(1)) {
    if (widthOf(text) + 2 + widthOf(part) > columns) break;
    text += `  ${part}`;
  }
  return text;
}

/** An era in one line, and what it waits for or failed at in a second one. */
export function eraLines(spec: EraSpec, era: EraProgress, now: number, columns: number, nameWidth = 0): DisplayLine[] {
  const f = figuresOf(spec, era, now);
  const state = stateOf(era);
  const name = era.eraId + ' '.repeat(Math.max(nameWidth - widthOf(era.eraId), 0));
  const ledgers =
    f.of === null ? `ledger ${era.nextLedger - 1}` : `${grouped(f.committed)} of ${grouped(f.of)} ledgers`;
  // Rounded down: 100 % is only what is done.
  const percent = f.of === null ? [] : [`${String(Math.floor((100 * f.committed) / f.of)).padStart(3)} %`];
  const behind = f.of === null && f.left !== null ? [f.left === 0 ? 'at the head' : `${grouped(f.left)} behind`] : [];
  const eta = f.etaSeconds === null ? 'time left unknown' : `${durationText(f.etaSeconds)} left`;
  const moving = [
    ...(f.left === 0 || f.left === null ? [] : [eta]),
    `${f.mbPerSecond.toFixed(f.mbPerSecond < 10 ? 1 : 0)} MB/s`,
    `${grouped(f.ledgersPerSecond)} ledgers/s`,
  ];
  const parts = [
    `${name}  ${state.padEnd(9)}`,
    ...percent,
    ledgers,
    ...behind,
    ...(era.outcome === null && state !== 'starting' ? moving : []),
    counted(era.partitions, 'partition'),
    ...(era.retries > 0 ? [counted(era.retries, 'retry', 'retries')] : []),
  ];
  const colour = COLOURS[state];
  const more = era.failure ? `${era.failure.code}: ${era.failure.message}` : waitWords(era);
  return [
    { text: fitting(parts, columns), ...(colour ? { colour } : {}) },
    ...(more ? [{ text: `${' '.repeat(widthOf(name))}  ${more}`, colour: colour ?? ('yellow' as const) }] : []),
  ];
}

/** Everything in at most so many rows: second lines go first, then eras that are over, and the rest is counted. */
export function allLines(
  eras: readonly (readonly [EraSpec, EraProgress])[],
  now: number,
  { columns, rows }: { readonly columns: number; readonly rows: number },
): DisplayLine[] {
  const nameWidth = Math.min(Math.max(...eras.map(([, { eraId }]) => widthOf(eraId))), 24);
  const all = eras.map(([spec, era]) => ({ era, lines: eraLines(spec, era, now, columns, nameWidth) }));
  const whole = all.flatMap(({ lines }) => lines);
  if (whole.length <= rows) return whole;
  if (all.length <= rows) return all.flatMap(({ lines }) => lines.slice(0, 1));
  const rank = ({ outcome }: EraProgress): number => (outcome === 'failed' ? 0 : outcome === null ? 1 : 2);
  const shown = new Set(all.toSorted((a, b) => rank(a.era) - rank(b.era)).slice(0, rows - 1));
  const states = new Map<string, number>();
  for (const one of all) {
    if (!shown.has(one)) states.set(stateOf(one.era), (states.get(stateOf(one.era)) ?? 0) + 1);
  }
  const rest = [...states].map(([state, n]) => `${n} ${state}`).join(', ');
  return [
    ...all.filter((one) => shown.has(one)).flatMap(({ lines }) => lines.slice(0, 1)),
    { text: `and ${counted(all.length - shown.size, 'more era')}: ${rest}` },
  ];
}

export class Progress {
  readonly #eras: readonly (readonly [EraSpec, EraProgress])[];
  readonly #log: Logger;
  readonly #stream: NodeJS.WriteStream | null;
  readonly #display: Display | null;
  #timer: NodeJS.Timeout | undefined;

  /** `stream` null: log lines. One that cannot be drawn on (a file, TERM=dumb) gets the lines once a minute. */
  constructor(specs: readonly EraSpec[], observer: Observer, log: Logger, stream: NodeJS.WriteStream | null) {
    this.#eras = specs.map((spec) => [spec, observer.eras.get(spec.eraId) as EraProgress]);
    this.#log = log;
    this.#stream = stream;
    this.#display = stream !== null && isDrawable(stream) ? new Display(stream) : null;
  }

  start(): void {
    if (this.#display) shareTerminal(this.#display.above);
    this.#timer = setInterval(() => this.#tick(), this.#display ? TERMINAL_MS : LOG_MS);
    this.#timer.unref();
  }

  /** Takes the display away; the summary follows. */
  stop(): void {
    clearInterval(this.#timer);
    shareTerminal(null);
    this.#display?.close();
  }

  #tick(): void {
    const now = performance.now();
    if (this.#display) this.#display.show(allLines(this.#eras, now, this.#display));
    else if (this.#stream) {
      const lines = allLines(this.#eras, now, { columns: 200, rows: Number.POSITIVE_INFINITY });
      this.#stream.write(lines.map(({ text }) => `${text}\n`).join(''));
    } else for (const [spec, era] of this.#eras) if (era.outcome === null) this.#logLine(spec, era, now);
  }

  #logLine(spec: EraSpec, era: EraProgress, now: number): void {
    const f = figuresOf(spec, era, now);
    const waiting = waitWords(era);
    const { eraId: era_id, versionLabel: version_label, network } = spec;
    this.#log.info(
      {
        component: 'progress',
        era_id,
        version_label,
        network,
        ledgers: f.committed,
        partitions: era.partitions,
        ledgers_per_second: Number(f.ledgersPerSecond.toFixed(1)),
        mb_per_second: Number(f.mbPerSecond.toFixed(1)),
        eta_seconds: f.etaSeconds === null ? null : Math.ceil(f.etaSeconds),
        ...(era.retries > 0 ? { retries: era.retries } : {}),
        ...(waiting ? { waiting } : {}),
      },
      'progress',
    );
  }
}
