/**
 * What a run did, as data and as text. The counts come from the machines, the times from the observer.
 */
import { readFileSync } from 'node:fs';
import type { Failure } from '../machines/errors.ts';
import type { RunSummary } from '../machines/supervisor.ts';
import { counted, megabytes, printable } from './human.ts';
import type { Observer } from './observer.ts';
import { unsaidHint } from './print-error.ts';
import { lostLines } from './streams.ts';

export interface EraReport {
  readonly era_id: string;
  readonly status: 'done' | 'drained' | 'failed';
  readonly next_ledger: number;
  readonly partitions: number;
  readonly partitions_found: number;
  readonly ledgers: number;
  readonly source_bytes: number;
  readonly raw_bytes: number;
  readonly bronze_bytes: number;
  /** raw_bytes / bronze_bytes; null where nothing was written. */
  readonly ratio: number | null;
  /** 10^6 raw bytes per second of wall time. */
  readonly mb_per_second: number;
  readonly retries: number;
  readonly restages: number;
  readonly crashes: number;
  /** Catalog rows and events that are left for the next run; null = not known. */
  readonly pending_rows: number | null;
  readonly undelivered_events: number | null;
  readonly waited_ms: number;
  readonly duration_ms: number;
  readonly error: Failure | null;
}

export interface RunReport {
  readonly status: 'done' | 'drained' | 'failed';
  readonly started_at: string;
  readonly duration_ms: number;
  readonly breaker_trips: number;
  /** Processor time of the run, all threads, without the start of the program, ms. */
  readonly cpu_ms: number;
  /** Largest resident size of the process, bytes. */
  readonly peak_rss_bytes: number;
  /** Lines of logs and the like that could not be written. */
  readonly log_lines_lost: number;
  readonly eras: readonly EraReport[];
}

/** Linux hands what `getrusage` says on from the process that started this one; what /proc says begins with the program. */
function peakRssBytes(): number {
  try {
    const kib = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    if (kib !== undefined) return Number(kib) * 1_024;
  } catch {
    // Another system.
  }
  return process.resourceUsage().maxRSS * 1_024;
}

const STATUS = { done: 'done', stopped: 'drained', failed: 'failed' } as const;

export function makeReport(
  run: RunSummary,
  observer: Observer,
  startedAt: Date,
  durationMs: number,
  cpuBefore: NodeJS.CpuUsage,
): RunReport {
  const cpu = process.cpuUsage(cpuBefore);
  return {
    status: STATUS[run.outcome],
    started_at: startedAt.toISOString(),
    duration_ms: Math.round(durationMs),
    breaker_trips: run.breakerTrips,
    cpu_ms: Math.round((cpu.user + cpu.system) / 1_000),
    peak_rss_bytes: peakRssBytes(),
    log_lines_lost: lostLines(),
    eras: run.eras.map((era) => {
      const seen = observer.eras.get(era.eraId);
      const duration = seen ? (seen.endedAt ?? seen.startedAt + durationMs) - seen.startedAt : durationMs;
      return {
        era_id: era.eraId,
        status: era.outcome,
        next_ledger: era.nextLedger,
        partitions: era.partitions,
        partitions_found: era.partitionsFound,
        ledgers: era.ledgers,
        source_bytes: era.sourceBytes,
        raw_bytes: era.rawBytes,
        bronze_bytes: era.bronzeBytes,
        ratio: era.bronzeBytes > 0 ? Number((era.rawBytes / era.bronzeBytes).toFixed(2)) : null,
        mb_per_second: duration > 0 ? Number((era.rawBytes / 1e3 / duration).toFixed(1)) : 0,
        retries: era.retries,
        restages: era.restages,
        crashes: era.crashes,
        pending_rows: era.pending?.rows ?? null,
        undelivered_events: era.pending?.events ?? null,
        waited_ms: Math.round(seen?.waitedMs ?? 0),
        duration_ms: Math.round(duration),
        error: era.failure ? { ...era.failure } : null,
      };
    }),
  };
}

/** For a person, on standard error. */
export function reportText(report: RunReport): string {
  const lines = [`${report.status} in ${(report.duration_ms / 1000).toFixed(1)} s`];
  for (const era of report.eras) {
    lines.push(
      `  ${era.era_id}: ${era.status}; ${counted(era.ledgers, 'ledger')} in ${counted(era.partitions, 'partition')}` +
        (era.partitions_found > 0 ? ` (${era.partitions_found} were there already)` : '') +
        `; ${megabytes(era.source_bytes)} read, ${megabytes(era.raw_bytes)} raw, ${megabytes(era.bronze_bytes)} written` +
        (era.ratio === null ? '' : ` (${era.ratio}x)`) +
        `; ${era.mb_per_second} MB/s` +
        (era.retries > 0 ? `; ${counted(era.retries, 'retry', 'retries')}` : '') +
        (era.restages > 0 ? `; ${counted(era.restages, 'restage')}` : '') +
        (era.pending_rows ? `; ${counted(era.pending_rows, 'catalog row')} pending` : '') +
        (era.undelivered_events ? `; ${counted(era.undelivered_events, 'event')} undelivered` : '') +
        (era.pending_rows === null ? '; what is pending is not known' : '') +
        (era.waited_ms > 999 ? `; waited ${(era.waited_ms / 1000).toFixed(0)} s` : '') +
        `; next ledger ${era.next_ledger}`,
    );
    if (era.error) {
      const { code, message } = era.error;
      const hint = unsaidHint(era.error);
      lines.push(
        `    ${code}: ${message}`,
        ...(hint === null ? [] : [`    ${hint}`]),
        `    see docs/errors.md, ${code}`,
      );
    }
  }
  if (report.log_lines_lost > 0)
    lines.push(`  ${counted(report.log_lines_lost, 'line')} of the log could not be written`);
  return `${lines.map(printable).join('\n')}\n`;
}
