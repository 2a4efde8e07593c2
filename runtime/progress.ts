/**
 * Progress for people: with a terminal a line per era that is rewritten in place, without one a log line a minute.
 * It reads the observer and writes to standard error; it never slows the copy (one write a second).
 */

import { lastLedger, MAX_LEDGER } from '../machines/partitions.ts';
import type { EraSpec } from '../machines/protocol.ts';
import type { Logger } from './log.ts';
import type { EraProgress, Observer } from './observer.ts';

const TERMINAL_MS = 1_000;
const LOG_MS = 60_000;

interface Rate {
  at: number;
  ledgers: number;
  rawBytes: number;
}

function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return 'unknown';
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  if (seconds < 5_400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3_600).toFixed(1)} h`;
}

/** Ledgers done so far, those of unfinished partitions included. */
const doneLedgers = (era: EraProgress): number =>
  era.ledgers + [...era.building.values()].reduce((sum, ledgers) => sum + ledgers, 0);

/** The figures of one era at one moment. */
function figures(spec: EraSpec, era: EraProgress, now: number, since: Rate) {
  const seconds = Math.max((now - since.at) / 1_000, 0.001);
  const ledgers = doneLedgers(era);
  const perSecond = (ledgers - since.ledgers) / seconds;
  const last = lastLedger(spec.grid, spec.stopAfter);
  const left = last === MAX_LEDGER ? null : Math.max(last + 1 - era.nextLedger - (ledgers - era.ledgers), 0);
  return {
    ledgers,
    partitions: era.partitions,
    left,
    mbPerSecond: (era.rawBytes - since.rawBytes) / 1e6 / seconds,
    etaSeconds: left === null ? null : left / perSecond,
  };
}

export class Progress {
  readonly #observer: Observer;
  readonly #specs: readonly EraSpec[];
  readonly #log: Logger;
  readonly #terminal: NodeJS.WriteStream | null;
  readonly #start = new Map<string, Rate>();
  #timer: NodeJS.Timeout | undefined;
  #lines = 0;

  /** `terminal` null: a log line a minute instead of a display. */
  constructor(specs: readonly EraSpec[], observer: Observer, log: Logger, terminal: NodeJS.WriteStream | null) {
    this.#specs = specs;
    this.#observer = observer;
    this.#log = log;
    this.#terminal = terminal;
  }

  start(): void {
    const at = performance.now();
    for (const spec of this.#specs) this.#start.set(spec.eraId, { at, ledgers: 0, rawBytes: 0 });
    this.#timer = setInterval(() => this.#tick(), this.#terminal ? TERMINAL_MS : LOG_MS);
    this.#timer.unref();
  }

  /** Takes the display away; the summary follows. */
  stop(): void {
    clearInterval(this.#timer);
    this.#clear();
  }

  #clear(): void {
    if (this.#terminal && this.#lines > 0) this.#terminal.write(`\x1b[${this.#lines}A\x1b[0J`);
    this.#lines = 0;
  }

  #tick(): void {
    const now = performance.now();
    const lines: string[] = [];
    for (const spec of this.#specs) {
      const era = this.#observer.eras.get(spec.eraId);
      const since = this.#start.get(spec.eraId);
      if (!era || !since) continue;
      const f = figures(spec, era, now, since);
      const waits = [...new Set(era.waits.values())].join(', ');
      if (this.#terminal) {
        const eta = f.etaSeconds === null ? 'unbounded' : `${duration(f.etaSeconds)} left`;
        lines.push(
          `${spec.eraId}: ledger ${era.nextLedger - 1}; ${f.ledgers} ledgers, ${f.partitions} partitions, ` +
            `${f.mbPerSecond.toFixed(0)} MB/s, ${eta}` +
            (era.retries > 0 ? `, ${era.retries} retries` : '') +
            (waits ? `; ${waits}` : ''),
        );
      } else if (era.endedAt === null) {
        this.#log.info(
          {
            component: 'progress',
            era_id: spec.eraId,
            ledgers: f.ledgers,
            partitions: f.partitions,
            mb_per_second: Number(f.mbPerSecond.toFixed(1)),
            eta_seconds: f.etaSeconds === null || !Number.isFinite(f.etaSeconds) ? null : Math.ceil(f.etaSeconds),
            ...(waits ? { waiting: waits } : {}),
          },
          'progress',
        );
      }
    }
    if (!this.#terminal) return;
    this.#clear();
    const width = Math.max(this.#terminal.columns ?? 80, 20);
    this.#terminal.write(lines.map((line) => `${line.slice(0, width - 1)}\n`).join(''));
    this.#lines = lines.length;
  }
}
