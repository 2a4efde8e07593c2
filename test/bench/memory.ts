/**
 * `npm run bench:memory`: that memory does not depend on how much is copied. One partition of 10,000 ledgers of 1 MB, and
 * 200 partitions one after another, each with its resident size sampled all the way, beside what `plan` says.
 *
 *   npm run bench:memory -- [--ledgers 10000] [--threads 1,2] [--lakes DIR] [--save]
 *
 * Needs ../shared; without it a made-up lake shows less.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { madeLake, realLake, SHARED } from './lake.ts';
import { product } from './product.ts';
import { median, record } from './record.ts';

export interface MemoryFigures {
  readonly what: string;
  readonly threads: number;
  readonly partitions: number;
  readonly rawMB: number;
  /** Resident, MB: medians of the second and of the last tenth of the samples, and the most. */
  readonly earlyMB: number;
  readonly lateMB: number;
  readonly peakMB: number;
  /** What `plan` had said, MB. */
  readonly expectedMB: number;
  readonly boundMB: number;
}

export interface Memory {
  readonly ledgers: number;
  readonly figures: readonly MemoryFigures[];
}

const { values } = parseArgs({
  options: {
    ledgers: { type: 'string', default: '10000' },
    threads: { type: 'string', default: '1,2' },
    lakes: { type: 'string' },
    save: { type: 'boolean', default: false },
  },
});
const ledgers = Number(values.ledgers);
const work = mkdtempSync(join(tmpdir(), 'bronze-memory-'));
const mb = (bytes: number): number => Math.round(bytes / 1e6);

try {
  const lakes = values.lakes ?? work;
  const of = existsSync(SHARED) ? realLake(lakes, '2026', ledgers) : await madeLake(join(lakes, 'sample'), ledgers + 1);
  const figures: MemoryFigures[] = [];
  for (const threads of values.threads.split(',').map(Number)) {
    for (const [what, partition] of [
      ['one partition for each thread', Math.ceil(ledgers / threads)],
      ['200 partitions', Math.ceil(ledgers / 200)],
    ] as const) {
      const { report, resident, plan } = await product(work, of, { threads, partition, codec: 'zstd-3' }, true);
      const tenth = Math.floor(resident.length / 10);
      figures.push({
        what,
        threads,
        partitions: report.eras[0]?.partitions ?? 0,
        rawMB: mb(report.eras[0]?.raw_bytes ?? 0),
        earlyMB: mb(median(resident.slice(tenth, 2 * tenth))),
        lateMB: mb(median(resident.slice(-tenth - 1, -1))),
        peakMB: mb(report.peak_rss_bytes),
        expectedMB: mb(plan?.memory_bytes ?? 0),
        boundMB: mb(plan?.memory_bytes_at_most ?? 0),
      });
      console.log(figures.at(-1));
    }
  }
  record('memory', { ledgers, figures } satisfies Memory, values.save);
} finally {
  rmSync(work, { recursive: true, force: true });
}
